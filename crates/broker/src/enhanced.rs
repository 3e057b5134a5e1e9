//! Enhanced authentication: which authenticator is asked, and whose account an exchange must prove. None is there unless
//! it is set. The packets of an exchange, its rounds and its time are the session's.

use crate::{Broker, Connection, Peer, metrics::Metrics};
use rollcall_contracts::{
    Account, AuthError, AuthenticatingClient, AuthenticationExchange, AuthenticationStep, EnhancedAuthenticator, Rated,
};
use rollcall_session::{AuthAnswer, Authenticating, ConnectRefusal};
use std::{fmt, sync::Arc};

/// An exchange under way.
pub struct Exchange {
    steps: Box<dyn AuthenticationExchange>,
    /// The account of the open connection that authenticates again.
    same_as: Option<Arc<Account>>,
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
            AuthenticationStep::Success(account, data)
                if self.same_as.as_ref().is_none_or(|same| same.username == account.username) =>
            {
                return Authenticated::Success(Proved(account), data);
            }
            AuthenticationStep::Success(..) => ConnectRefusal::OtherAccount,
            AuthenticationStep::Refused(AuthError::Rejected) => ConnectRefusal::NotAuthorized,
            AuthenticationStep::Refused(AuthError::TooManyFailures { .. }) => ConnectRefusal::TooManyFailures,
            AuthenticationStep::Refused(AuthError::Unavailable) => ConnectRefusal::AccountsUnavailable,
        };
        if self.same_as.is_none() {
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
        open: Option<&Connection>,
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
            certificate_subject: peer.certificate_subject.clone(),
        };
        Ok(Exchange { steps: method.begin(client), same_as: open.map(|open| open.account.clone()) })
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
        f.debug_struct("Exchange").field("same_as", &self.same_as).finish_non_exhaustive()
    }
}
