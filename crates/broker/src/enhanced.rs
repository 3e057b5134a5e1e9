//! Enhanced authentication: which authenticator is asked, and whose account an exchange must prove. None is there unless
//! it is set. The packets of an exchange, its rounds and its time are the session's.

use crate::{Broker, Connection, Peer, expiry::Expiries, metrics::Metrics};
use rollcall_contracts::{
    Account, AuthError, AuthenticatingClient, AuthenticationExchange, AuthenticationStep, EnhancedAuthenticator, Rated,
};
use rollcall_session::{AuthAnswer, Authenticating, ConnectRefusal};
use std::{fmt, sync::Arc};

/// An exchange under way.
pub struct Exchange {
    steps: Box<dyn AuthenticationExchange>,
    /// The open connection that authenticates again.
    open: Option<(Arc<Connection>, Arc<Expiries>)>,
}

/// The account that an exchange has proved.
#[derive(Debug)]
pub struct Proved(pub(crate) Arc<Account>);

/// What follows from the data of a client.
#[derive(Debug)]
pub enum Authenticated {
    /// The client is to answer this.
    Continue(Exchange, Vec<u8>),
    /// It proved to act for the account.
    Success(Proved, Vec<u8>),
    /// It did not.
    Refused(ConnectRefusal),
}

impl Exchange {
    /// Hands data of the client to the authenticator. Whoever waits for it bounds the time.
    pub async fn step(mut self, data: Vec<u8>) -> Authenticated {
        let refusal = match self.steps.step(&data).await {
            AuthenticationStep::Continue(data) => return Authenticated::Continue(self, data),
            AuthenticationStep::Success(account, data) => match &self.open {
                Some((connection, _)) if connection.account.username != account.username => {
                    ConnectRefusal::OtherAccount
                }
                Some((connection, expiries)) => {
                    expiries.watch(connection, &account);
                    return Authenticated::Success(Proved(account), data);
                }
                None => return Authenticated::Success(Proved(account), data),
            },
            AuthenticationStep::Refused(AuthError::Rejected) => ConnectRefusal::NotAuthorized,
            AuthenticationStep::Refused(AuthError::TooManyFailures { .. }) => ConnectRefusal::TooManyFailures,
            AuthenticationStep::Refused(AuthError::Unavailable) => ConnectRefusal::AccountsUnavailable,
        };
        if self.open.is_none() {
            Metrics::refused(refusal.name());
        }
        Authenticated::Refused(refusal)
    }
}

impl Broker {
    /// The methods of enhanced authentication from now on. The first call counts.
    pub fn set_authenticators(&self, authenticators: Vec<Arc<dyn EnhancedAuthenticator>>) {
        let _ = self.authenticators.set(authenticators);
    }

    /// Begins an exchange: of a CONNECT, or of an open connection, which must prove its account anew.
    ///
    /// # Errors
    /// What the client is told where there is no such method, or no CONNECT may come in.
    pub fn begin_authentication(
        &self,
        asked: &Authenticating,
        peer: &Peer,
        open: Option<&Arc<Connection>>,
    ) -> Result<Exchange, AuthAnswer> {
        let known = self.authenticators.get().into_iter().flatten();
        let method = known.into_iter().find(|known| known.method() == asked.method).ok_or(AuthAnswer::UnknownMethod)?;
        if open.is_none() {
            self.admit_exchange().map_err(|refusal| {
                Metrics::refused(refusal.name());
                AuthAnswer::Refused(refusal)
            })?;
        }
        let client = AuthenticatingClient {
            client_id: asked.client_id.as_str().to_owned(),
            username: asked.username.clone(),
            source: peer.address.ip(),
            certificate: peer.certificate.clone(),
        };
        Ok(Exchange { steps: method.begin(client), open: open.map(|open| (open.clone(), self.expiries.clone())) })
    }

    /// Rate before credentials, as for every CONNECT.
    fn admit_exchange(&self) -> Result<(), ConnectRefusal> {
        if self.is_draining() {
            return Err(ConnectRefusal::ShuttingDown);
        }
        self.lease.serving().ok_or(ConnectRefusal::NotServing)?;
        self.admission.admit(Rated::Connects).map_err(|_| ConnectRefusal::RateExceeded)
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("open", &self.open.is_some()).finish_non_exhaustive()
    }
}
