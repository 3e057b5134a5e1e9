//! One link in the chain of authenticators: what a client presents, and what may be said of it.
//!
//! What does not belong here: the order of the chain, limits on guessing, and stored users (`admission`); how credentials
//! are verified (`authenticators`).

use crate::{Account, ClientCertificate, SourceAddress};
use async_trait::async_trait;
use std::{fmt, sync::Arc};

/// What a client presents in its CONNECT. Nothing of it is proved.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// Client id; an assigned one where the client left it to the broker.
    pub client_id: &'a str,
    /// User name.
    pub username: Option<&'a str>,
    /// Password, or whatever stands in its place.
    pub password: Option<&'a [u8]>,
    /// Where it comes from.
    pub source: SourceAddress,
    /// The certificate it showed: signed by an authority of this node, and the client holds its key.
    pub certificate: Option<&'a Arc<ClientCertificate>>,
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A user name may be a token.
        f.debug_struct("Presented").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// What an authenticator says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The client acts for this account; nobody else is asked.
    Accepted(Arc<Account>),
    /// The credentials are of this authenticator's kind and do not hold; nobody else is asked.
    Refused,
    /// Not of its kind: the next one is asked.
    NotMine,
}

/// An authenticator cannot say now: the client is told to come back, and nobody else is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the authenticator cannot say now")]
pub struct CannotSay;

/// One authenticator.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// The name that configuration and metrics know it by.
    fn name(&self) -> &'static str;

    /// Whose credentials are these? The caller bounds how long it waits, and may give up at any time.
    ///
    /// # Errors
    /// When it cannot say now.
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Verdict, CannotSay>;
}
