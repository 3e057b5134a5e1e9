//! Who makes a call, and how a change is asked for in that name.

use super::{Call, path::Resource};
use crate::{
    authentication::{self, source_address},
    config::GatewayParts,
    error_response::Problem,
    in_runtime::InRuntime,
};
use actix_http::Request;
use rollcall_cluster::{ClusterOutcome, ClusterRefusal, Condition, Deed, ManagedChange};
use rollcall_contracts::{Account, AccountOrigin, AskedChange, Role, SourceAddress};
use std::{pin::pin, sync::Arc};

/// Who makes a call.
pub(super) struct Asker {
    account: Arc<Account>,
    source: SourceAddress,
    source_text: String,
}

impl Asker {
    /// Authenticates and looks at the role. A stored user may change its own password, whatever its role.
    pub(super) async fn of(
        parts: &GatewayParts,
        request: &Request,
        resource: &Resource,
        wanted: Role,
    ) -> Result<Self, Problem> {
        let account = authentication::manager(parts, request).await?;
        let own_password = account.origin == AccountOrigin::StoredUser
            && matches!(resource, Resource::UserPassword(name) if *name == account.username);
        if account.role < wanted && !own_password {
            return Err(Problem::ROLE_TOO_LOW);
        }
        let source = source_address(request);
        Ok(Asker { account, source, source_text: source.to_string() })
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn name(&self) -> &str {
        &self.account.username
    }

    pub(super) fn source(&self) -> &str {
        &self.source_text
    }

    pub(super) fn address(&self) -> SourceAddress {
        self.source
    }
}

impl Call<'_> {
    /// Records what is about to be done elsewhere: what cannot be recorded is not done.
    pub(super) async fn note(&self, deed: Deed, object: &str, detail: &str) -> Result<(), Problem> {
        let (object, detail) = (object.to_owned(), detail.to_owned());
        self.change(Condition::Always, ManagedChange::Note { deed, object, detail }).await
    }

    /// Has the change made.
    pub(super) async fn change(&self, only_if: Condition, change: ManagedChange) -> Result<(), Problem> {
        let asked =
            AskedChange { by: self.asker.name().to_owned(), source: self.asker.source().to_owned(), only_if, change };
        let future = pin!(self.parts.access.change(asked));
        let outcome = InRuntime { runtime: &self.parts.runtime, future }.await.map_err(|_| Problem::NO_QUORUM)?;
        match outcome {
            ClusterOutcome::Refused(refusal) => Err(problem(&refusal)),
            _ => Ok(()),
        }
    }
}

fn problem(refusal: &ClusterRefusal) -> Problem {
    match refusal {
        ClusterRefusal::ConditionFailed => Problem::PRECONDITION_FAILED,
        ClusterRefusal::UnknownUser => Problem::NO_SUCH_USER,
        ClusterRefusal::UnknownPolicy => Problem::NO_SUCH_POLICY,
        ClusterRefusal::UnknownBlockRule => Problem::NO_SUCH_BLOCK_RULE,
        ClusterRefusal::UnknownToken => Problem::NO_SUCH_TOKEN,
        ClusterRefusal::UnknownAuthority => Problem::NO_SUCH_AUTHORITY,
        ClusterRefusal::UnknownCertificate => Problem::NO_SUCH_CERTIFICATE,
        ClusterRefusal::AuthorityInUse => Problem::AUTHORITY_IN_USE,
        ClusterRefusal::CertificateRevoked => Problem::CERTIFICATE_REVOKED,
        ClusterRefusal::LastAdmin => Problem::LAST_ADMIN,
        ClusterRefusal::TooMany { .. } => Problem::LIMIT_REACHED,
        ClusterRefusal::NotFormed => Problem::NO_CLUSTER_YET,
        _ => Problem::CHANGE_REFUSED,
    }
}
