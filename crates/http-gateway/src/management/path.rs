//! Which resource a path names, which methods it has, and which role each takes.

use super::PREFIX;
use crate::{
    client_id_path::percent_decoded,
    error_response::{MEMBER_METHODS, Problem, READ_METHODS},
};
use actix_http::Method;
use rollcall_contracts::Role;

const OBJECT_METHODS: &str = "GET, HEAD, PUT, DELETE";
const TOKENS_METHODS: &str = "GET, HEAD, POST";
const TOKEN_METHODS: &str = "GET, HEAD, DELETE";
const PUT_METHODS: &str = "PUT";
const POST_METHODS: &str = "POST";

/// What a path names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Resource {
    Nodes,
    Node(String),
    Partitions,
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
    Audit,
    Authorities,
    Authority(String),
    Certificates,
    Certificate(String),
}

impl Resource {
    pub(super) fn of(path: &str) -> Result<Self, Problem> {
        let rest = path.strip_prefix(PREFIX).unwrap_or_default();
        let mut segments = rest.split('/');
        let (kind, name, part) = (segments.next().unwrap_or_default(), segments.next(), segments.next());
        let name = name.map(|raw| percent_decoded(raw, false)).transpose().map_err(|_| Problem::NO_SUCH_RESOURCE)?;
        let name = match name {
            Some(name) if name.is_empty() => return Err(Problem::NO_SUCH_RESOURCE),
            name => name.map(String::from),
        };
        if segments.next().is_some() {
            return Err(Problem::NO_SUCH_RESOURCE);
        }
        match (kind, name, part) {
            ("nodes", None, None) => Ok(Resource::Nodes),
            ("nodes", Some(name), None) => Ok(Resource::Node(name)),
            ("partitions", None, None) => Ok(Resource::Partitions),
            ("users", None, None) => Ok(Resource::Users),
            ("users", Some(name), None) => Ok(Resource::User(name)),
            ("users", Some(name), Some("password")) => Ok(Resource::UserPassword(name)),
            ("policies", None, None) => Ok(Resource::Policies),
            ("policies", Some(name), None) if name == "explain" => Ok(Resource::Explain),
            ("policies", Some(name), None) => Ok(Resource::Policy(name)),
            ("policies", Some(name), Some("place")) => Ok(Resource::PolicyPlace(name)),
            ("block-rules", None, None) => Ok(Resource::BlockRules),
            ("block-rules", Some(name), None) => Ok(Resource::BlockRule(name)),
            ("tokens", None, None) => Ok(Resource::Tokens),
            ("tokens", Some(id), None) => Ok(Resource::Token(id)),
            ("audit", None, None) => Ok(Resource::Audit),
            ("certificate-authorities", None, None) => Ok(Resource::Authorities),
            ("certificate-authorities", Some(id), None) => Ok(Resource::Authority(id)),
            ("certificates", None, None) => Ok(Resource::Certificates),
            ("certificates", Some(id), None) => Ok(Resource::Certificate(id)),
            _ => Err(Problem::NO_SUCH_RESOURCE),
        }
    }

    /// The least role that may do this.
    ///
    /// # Errors
    /// When it has no such method.
    pub(super) fn wanted_role(&self, method: &Method) -> Result<Role, Problem> {
        let (methods, changes) = match self {
            Resource::Nodes | Resource::Partitions | Resource::Users | Resource::Policies | Resource::BlockRules => {
                (READ_METHODS, Role::Admin)
            }
            Resource::Audit => (READ_METHODS, Role::Admin),
            Resource::Node(_) => (MEMBER_METHODS, Role::Operator),
            Resource::BlockRule(_) => (OBJECT_METHODS, Role::Operator),
            Resource::User(_) | Resource::Policy(_) | Resource::Authority(_) | Resource::Certificate(_) => {
                (OBJECT_METHODS, Role::Admin)
            }
            Resource::UserPassword(_) | Resource::PolicyPlace(_) => (PUT_METHODS, Role::Admin),
            // Asks, and changes nothing.
            Resource::Explain => (POST_METHODS, Role::Viewer),
            Resource::Tokens | Resource::Authorities | Resource::Certificates => (TOKENS_METHODS, Role::Admin),
            Resource::Token(_) => (TOKEN_METHODS, Role::Admin),
        };
        if !methods.split(", ").any(|name| name == method.as_str()) {
            return Err(Problem::method_not_allowed(methods));
        }
        Ok(if *method == Method::GET { Role::Viewer } else { changes })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_call_takes_its_role() {
        let get = [
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
            let resource = Resource::of(&format!("{PREFIX}{path}")).unwrap();
            assert_eq!(resource.wanted_role(&Method::GET), Ok(Role::Viewer), "{path}");
            assert!(resource.wanted_role(&Method::PATCH).is_err(), "{path}");
        }
        for (method, path, role) in [
            (Method::DELETE, "nodes/n1", Role::Operator),
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
            assert_eq!(Resource::of(&format!("{PREFIX}{path}")).unwrap().wanted_role(&method), Ok(role), "{path}");
        }
    }

    #[test]
    fn names_are_decoded_once_and_what_is_no_path_is_refused() {
        let of = |path: &str| Resource::of(&format!("{PREFIX}{path}"));
        assert_eq!(of("users/a%2Fb%20+"), Ok(Resource::User("a/b +".to_owned())));
        assert_eq!(of("policies/a%2525"), Ok(Resource::Policy("a%25".to_owned())));
        for path in
            ["", "users/", "users/a/", "users/a/b", "users/a/password/x", "users/%ff", "user", "nodes/a/b", "audit/1"]
        {
            assert_eq!(of(path), Err(Problem::NO_SUCH_RESOURCE), "{path}");
        }
    }
}
