//! Which resource a path names, which methods it has, and which role each takes.

use super::PREFIX;
use crate::{
    client_id_path::percent_decoded,
    error_response::{MEMBER_METHODS, Problem, READ_METHODS},
};
use actix_http::Method;
use rollcall_contracts::Role;

const OBJECT_METHODS: &str = "GET, HEAD, PUT, DELETE";
const MADE_METHODS: &str = "GET, HEAD, POST";
const DELETED_METHODS: &str = "GET, HEAD, DELETE";
const DRAIN_METHODS: &str = "POST, DELETE";
const PUT_METHODS: &str = "PUT";
const PUT_DELETE_METHODS: &str = "PUT, DELETE";
const POST_METHODS: &str = "POST";

/// What a path names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Resource {
    Cluster,
    Nodes,
    Quota,
    Node(String),
    Drain(String),
    Partitions,
    Clients,
    Client(String),
    Subscriptions(String),
    Subscription(String, String),
    Will(String),
    PresenceEvents,
    Topics,
    SharedGroups,
    RetainedMessages,
    RetainedMessage(String),
    Messages,
    Users,
    User(String),
    UserPassword(String),
    Policies,
    Policy(String),
    PolicyPlace(String),
    Explain,
    BlockRules,
    BlockRule(String),
    Tokens,
    Token(String),
    Authorities,
    Authority(String),
    Certificates,
    Certificate(String),
    Audit,
}

/// One path, and what it takes.
pub(super) struct Route {
    /// Below [`PREFIX`]; a segment in braces is a name, URL-encoded.
    pub(super) path: &'static str,
    pub(super) methods: &'static str,
    /// The least role for all but reading, which takes a viewer.
    changes: Role,
    /// What it names, from up to two names.
    of: fn(String, String) -> Resource,
}

/// A path that is only read, or whose changes take that role.
const fn route(path: &'static str, methods: &'static str, changes: Role, of: fn(String, String) -> Resource) -> Route {
    Route { path, methods, changes, of }
}

/// Every path there is; the first that fits counts.
pub(super) const ROUTES: &[Route] = &[
    route("cluster", READ_METHODS, Role::Admin, |_, _| Resource::Cluster),
    route("nodes", READ_METHODS, Role::Admin, |_, _| Resource::Nodes),
    route("nodes/{name}", MEMBER_METHODS, Role::Operator, |name, _| Resource::Node(name)),
    route("nodes/{name}/drain", DRAIN_METHODS, Role::Operator, |name, _| Resource::Drain(name)),
    route("partitions", READ_METHODS, Role::Admin, |_, _| Resource::Partitions),
    route("quota", READ_METHODS, Role::Admin, |_, _| Resource::Quota),
    route("clients", READ_METHODS, Role::Admin, |_, _| Resource::Clients),
    route("clients/{client_id}", DELETED_METHODS, Role::Operator, |id, _| Resource::Client(id)),
    route("clients/{client_id}/subscriptions", MADE_METHODS, Role::Operator, |id, _| Resource::Subscriptions(id)),
    route("clients/{client_id}/subscriptions/{filter}", PUT_DELETE_METHODS, Role::Operator, Resource::Subscription),
    route("clients/{client_id}/will", READ_METHODS, Role::Admin, |id, _| Resource::Will(id)),
    route("presence/events", READ_METHODS, Role::Admin, |_, _| Resource::PresenceEvents),
    route("topics", READ_METHODS, Role::Admin, |_, _| Resource::Topics),
    route("shared-groups", READ_METHODS, Role::Admin, |_, _| Resource::SharedGroups),
    route("retained", READ_METHODS, Role::Admin, |_, _| Resource::RetainedMessages),
    route("retained/{topic}", DELETED_METHODS, Role::Operator, |topic, _| Resource::RetainedMessage(topic)),
    route("messages", POST_METHODS, Role::Operator, |_, _| Resource::Messages),
    route("users", READ_METHODS, Role::Admin, |_, _| Resource::Users),
    route("users/{username}", OBJECT_METHODS, Role::Admin, |name, _| Resource::User(name)),
    route("users/{username}/password", PUT_METHODS, Role::Admin, |name, _| Resource::UserPassword(name)),
    route("policies", READ_METHODS, Role::Admin, |_, _| Resource::Policies),
    // Asks, and changes nothing.
    route("policies/explain", POST_METHODS, Role::Viewer, |_, _| Resource::Explain),
    route("policies/{name}", OBJECT_METHODS, Role::Admin, |name, _| Resource::Policy(name)),
    route("policies/{name}/place", PUT_METHODS, Role::Admin, |name, _| Resource::PolicyPlace(name)),
    route("block-rules", READ_METHODS, Role::Admin, |_, _| Resource::BlockRules),
    route("block-rules/{name}", OBJECT_METHODS, Role::Operator, |name, _| Resource::BlockRule(name)),
    route("tokens", MADE_METHODS, Role::Admin, |_, _| Resource::Tokens),
    route("tokens/{id}", DELETED_METHODS, Role::Admin, |id, _| Resource::Token(id)),
    route("certificate-authorities", MADE_METHODS, Role::Admin, |_, _| Resource::Authorities),
    route("certificate-authorities/{id}", OBJECT_METHODS, Role::Admin, |id, _| Resource::Authority(id)),
    route("certificates", MADE_METHODS, Role::Admin, |_, _| Resource::Certificates),
    route("certificates/{id}", OBJECT_METHODS, Role::Admin, |id, _| Resource::Certificate(id)),
    route("audit", READ_METHODS, Role::Admin, |_, _| Resource::Audit),
];

impl Route {
    /// The route of a path and what it names.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn of(path: &str) -> Result<(&'static Route, Resource), Problem> {
        let rest = path.strip_prefix(PREFIX).unwrap_or_default();
        for route in ROUTES {
            if let Some(names) = route.names(rest) {
                let decoded = names.map(|raw| percent_decoded(raw, false).map(String::from));
                let [Ok(first), Ok(second)] = decoded else { return Err(Problem::NO_SUCH_RESOURCE) };
                return Ok((route, (route.of)(first, second)));
            }
        }
        Err(Problem::NO_SUCH_RESOURCE)
    }

    /// The raw names in a path; `None` when it is another one. A name has at least one character.
    fn names<'p>(&self, path: &'p str) -> Option<[&'p str; 2]> {
        let mut names = [""; 2];
        let mut free = names.iter_mut();
        let mut segments = path.split('/');
        for wanted in self.path.split('/') {
            let segment = segments.next()?;
            if !wanted.starts_with('{') {
                if segment != wanted {
                    return None;
                }
            } else if segment.is_empty() {
                return None;
            } else {
                *free.next()? = segment;
            }
        }
        segments.next().is_none().then_some(names)
    }

    /// The least role that may do this.
    ///
    /// # Errors
    /// When there is no such method.
    pub(super) fn wanted_role(&self, method: &Method) -> Result<Role, Problem> {
        if !self.methods.split(", ").any(|name| name == method.as_str()) {
            return Err(Problem::method_not_allowed(self.methods));
        }
        Ok(if *method == Method::GET { Role::Viewer } else { self.changes })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_call_takes_its_role() {
        let get = [
            "cluster",
            "clients",
            "clients/c",
            "clients/c/subscriptions",
            "clients/c/will",
            "presence/events",
            "topics",
            "shared-groups",
            "retained",
            "retained/t",
            "nodes",
            "partitions",
            "users",
            "users/a",
            "policies",
            "policies/p",
            "block-rules",
            "block-rules/b",
            "tokens",
            "tokens/t",
            "audit",
            "certificate-authorities",
            "certificate-authorities/a",
            "certificates",
            "certificates/c",
        ];
        for path in get {
            let (route, _) = Route::of(&format!("{PREFIX}{path}")).unwrap();
            assert_eq!(route.wanted_role(&Method::GET), Ok(Role::Viewer), "{path}");
            assert!(route.wanted_role(&Method::PATCH).is_err(), "{path}");
        }
        for (method, path, role) in [
            (Method::DELETE, "nodes/n1", Role::Operator),
            (Method::POST, "nodes/n1/drain", Role::Operator),
            (Method::DELETE, "nodes/n1/drain", Role::Operator),
            (Method::DELETE, "clients/c", Role::Operator),
            (Method::POST, "clients/c/subscriptions", Role::Operator),
            (Method::PUT, "clients/c/subscriptions/f", Role::Operator),
            (Method::DELETE, "clients/c/subscriptions/f", Role::Operator),
            (Method::DELETE, "retained/t", Role::Operator),
            (Method::POST, "messages", Role::Operator),
            (Method::PUT, "block-rules/b", Role::Operator),
            (Method::DELETE, "block-rules/b", Role::Operator),
            (Method::PUT, "users/a", Role::Admin),
            (Method::DELETE, "users/a", Role::Admin),
            (Method::PUT, "users/a/password", Role::Admin),
            (Method::PUT, "policies/p", Role::Admin),
            (Method::DELETE, "policies/p", Role::Admin),
            (Method::PUT, "policies/p/place", Role::Admin),
            (Method::POST, "policies/explain", Role::Viewer),
            (Method::POST, "tokens", Role::Admin),
            (Method::DELETE, "tokens/t", Role::Admin),
            (Method::POST, "certificate-authorities", Role::Admin),
            (Method::PUT, "certificates/c", Role::Admin),
            (Method::DELETE, "certificates/c", Role::Admin),
        ] {
            assert_eq!(Route::of(&format!("{PREFIX}{path}")).unwrap().0.wanted_role(&method), Ok(role), "{path}");
        }
    }

    #[test]
    fn names_are_decoded_once_and_what_is_no_path_is_refused() {
        let of = |path: &str| Route::of(&format!("{PREFIX}{path}")).map(|(_, resource)| resource);
        assert_eq!(of("users/a%2Fb%20+"), Ok(Resource::User("a/b +".to_owned())));
        assert_eq!(of("policies/a%2525"), Ok(Resource::Policy("a%25".to_owned())));
        assert_eq!(of("clients/..%2F"), Ok(Resource::Client("../".to_owned())));
        let subscription = Resource::Subscription("a/b".to_owned(), "$share/g/+".to_owned());
        assert_eq!(of("clients/a%2Fb/subscriptions/%24share%2Fg%2F+"), Ok(subscription));
        assert_eq!(of("policies/explain"), Ok(Resource::Explain));
        for path in
            ["", "users/", "users/a/", "users/a/b", "users/a/password/x", "users/%ff", "user", "nodes/a/b", "audit/1"]
        {
            assert_eq!(of(path), Err(Problem::NO_SUCH_RESOURCE), "{path}");
        }
    }

    #[test]
    fn a_path_has_room_for_its_names() {
        for Route { path, .. } in ROUTES {
            assert!(path.split('/').filter(|segment| segment.starts_with('{')).count() <= 2, "{path}");
        }
    }
}
