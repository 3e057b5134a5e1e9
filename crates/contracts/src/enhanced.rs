//! Enhanced authentication (MQTT 5.0, 4.12) as the broker asks for it. Which packets carry the data, and in which order,
//! is no matter of these traits.

use crate::{Account, AuthError, ClientCertificate, SourceAddress};
use async_trait::async_trait;
use std::sync::Arc;

/// Who begins an exchange. What a client says of itself proves nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthenticatingClient {
    /// Client id.
    pub client_id: String,
    /// User name in CONNECT.
    pub username: Option<String>,
    /// Where it comes from.
    pub source: SourceAddress,
    /// The certificate it showed, where one was asked for.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// One method of enhanced authentication.
pub trait EnhancedAuthenticator: Send + Sync + 'static {
    /// Its name, as clients send it.
    fn method(&self) -> &str;

    /// Begins an exchange. Does no work yet: the client's first data come with the first step.
    fn begin(&self, client: AuthenticatingClient) -> Box<dyn AuthenticationExchange>;
}

/// One exchange with one client. The caller bounds its rounds and its time; dropping it gives it up.
#[async_trait]
pub trait AuthenticationExchange: Send + 'static {
    /// Takes what the client sent; empty when it sent no data.
    async fn step(&mut self, data: &[u8]) -> AuthenticationStep;
}

/// What follows from the data of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuthenticationStep {
    /// The client is to answer this.
    Continue(Vec<u8>),
    /// It proved to act for the account; the data are for the client and may be empty.
    Success(Arc<Account>, Vec<u8>),
    /// It did not.
    Refused(AuthError),
}
