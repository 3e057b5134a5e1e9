//! The authenticators in their order: the first that accepts or refuses decides, and one that cannot say ends the
//! asking, so that a failure never lets in whom it might have kept out.
//!
//! Stored users are a link like any other. An account that nobody knows is refused; who presents nothing at all may be
//! let in as nobody, but only after all were asked.

use crate::{Admission, metrics::LinkMetrics};
use rollcall_contracts::{Account, AuthError, Authenticator, Presented, Verdict};
use std::sync::Arc;

/// The name of the stored users among the authenticators.
const USERS: &str = "users";

/// One link.
pub struct Link {
    asked: Asked,
    metrics: LinkMetrics,
}

enum Asked {
    Users,
    Other(Arc<dyn Authenticator>),
}

impl Link {
    /// The users that the cluster stores. The metrics recorder must be installed before.
    #[must_use]
    pub fn users() -> Self {
        Link { asked: Asked::Users, metrics: LinkMetrics::of(USERS) }
    }

    /// Another authenticator. The metrics recorder must be installed before.
    #[must_use]
    pub fn other(authenticator: Arc<dyn Authenticator>) -> Self {
        Link { metrics: LinkMetrics::of(authenticator.name()), asked: Asked::Other(authenticator) }
    }
}

impl Admission {
    /// With these authenticators of MQTT clients, asked in this order, instead of the stored users alone.
    #[must_use]
    pub fn with_chain(mut self, chain: Vec<Link>) -> Self {
        self.chain = chain;
        self
    }

    pub(crate) async fn ask_in_order(&self, presented: &Presented<'_>) -> Result<Arc<Account>, AuthError> {
        for link in &self.chain {
            let verdict = self.ask(link, presented).await;
            match &verdict {
                Ok(Verdict::Accepted(_)) => link.metrics.accepted.increment(1),
                Ok(Verdict::Refused) => link.metrics.refused.increment(1),
                Ok(Verdict::NotMine) => link.metrics.ignored.increment(1),
                Err(AuthError::Unavailable) => link.metrics.unavailable.increment(1),
                Err(AuthError::Rejected | AuthError::TooManyFailures { .. }) => {}
            }
            match verdict? {
                Verdict::Accepted(account) => {
                    self.metrics.auth_ok.increment(1);
                    return Ok(account.with_certificate(presented.certificate));
                }
                Verdict::Refused => return Err(self.rejected(presented.source)),
                Verdict::NotMine => {}
            }
        }
        match presented.username.is_none() && presented.password.is_none() {
            true => Ok(self.without_credentials()?.with_certificate(presented.certificate)),
            false => Err(self.rejected(presented.source)),
        }
    }

    async fn ask(&self, link: &Link, presented: &Presented<'_>) -> Result<Verdict, AuthError> {
        match &link.asked {
            Asked::Users if presented.username.is_none() && presented.password.is_none() => Ok(Verdict::NotMine),
            Asked::Users => {
                let (username, password) =
                    (presented.username.unwrap_or_default(), presented.password.unwrap_or_default());
                let key = self.cache.credentials_key(username, password);
                self.verify(key, username, password, presented.source).await
            }
            Asked::Other(authenticator) => {
                self.not_blocked(presented.source)?;
                authenticator.authenticate(presented).await.map_err(|_| {
                    self.metrics.auth_unavailable.increment(1);
                    AuthError::Unavailable
                })
            }
        }
    }
}
