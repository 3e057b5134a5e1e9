//! May an account do something: block rules, the binding of client ids, and policies, in this order.

use crate::{Admission, ClientIdBinding, accounts::cluster_role};
use rollcall_cluster::{Action, CompiledPolicies, Request};
use rollcall_contracts::{Account, AccountOrigin, Asked};

impl Admission {
    /// The verdict, whose rule decides, and its name. The rules may be gone afterwards, hence `told`.
    pub(crate) fn judged<R>(
        &self,
        account: &Account,
        asked: &Asked<'_>,
        told: impl FnOnce(bool, &'static str, Option<&str>) -> R,
    ) -> R {
        if self.config.conformance {
            // Policies do not apply there; that only the broker publishes under `$events/` and `$SYS/` is none.
            let allowed = asked.action != Action::Pub || !is_reserved(asked.resource);
            return told(allowed, "conformance_profile", None);
        }
        if asked.action == Action::Connect {
            let blocks = self.users.blocks();
            if !blocks.is_empty() {
                let source = asked.source.to_canonical();
                let blocking = blocks.blocking(asked.client_id, &account.username, source, self.users.now());
                if let Some(rule) = blocking {
                    return told(false, "block_rule", Some(rule));
                }
            }
            if !self.is_bound(account, asked.client_id) {
                return told(false, "client_id_binding", None);
            }
        }
        let request = Request {
            action: asked.action,
            resource: asked.resource,
            client_id: asked.client_id,
            username: &account.username,
            role: cluster_role(account.role),
            ip: asked.source.to_canonical(),
            qos: asked.qos,
            retain: asked.retain,
            superuser: account.superuser,
            own_rules: account.own_rules.as_deref(),
            certificate: account.certificate.as_deref(),
        };
        let policies = self.users.policies();
        let decision = self.decide(&policies, request, account);
        told(decision.allowed, decision.by.name(), decision.rule)
    }

    fn decide<'p>(
        &self,
        policies: &'p CompiledPolicies,
        request: Request<'p>,
        account: &Account,
    ) -> rollcall_cluster::Decision<'p> {
        // Only there a role matters; it may have changed since the account connected.
        let role_matters = request.action == Action::Sub && request.resource.starts_with('$');
        let role = match (role_matters, account.origin) {
            (true, AccountOrigin::StoredUser) => self.users.user(&account.username).map(|user| user.role),
            _ => None,
        };
        policies.decide(&Request { role: role.unwrap_or(request.role), ..request })
    }

    /// Whether the client id is what it must be. Without one there is nothing to be bound.
    fn is_bound(&self, account: &Account, client_id: Option<&str>) -> bool {
        let Some(client_id) = client_id else { return true };
        match self.config.bind_client_id {
            ClientIdBinding::Free => true,
            ClientIdBinding::Username => client_id == account.username,
            ClientIdBinding::CommonName => {
                let certificate = account.certificate.as_ref();
                certificate.and_then(|fields| fields.common_name.as_deref()) == Some(client_id)
            }
        }
    }
}

/// Topics of the broker itself.
fn is_reserved(topic: &str) -> bool {
    matches!(topic.split('/').next(), Some("$events" | "$SYS"))
}
