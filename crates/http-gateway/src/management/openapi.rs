//! The description of the management API (OpenAPI 3.1), made from the code, and the page that shows it.

use super::{
    audit, block_rules, certificate_authorities, certificates, clients, cluster, explain, interests, members, messages,
    path::ROUTES, policies, quota, retained, schemas::ProblemShape, subscriptions, tokens, users, will,
};
use crate::{
    error_response::{Problem, READ_METHODS},
    response::page,
};
use actix_http::{Method, Response, StatusCode};
use bytes::Bytes;
use std::sync::LazyLock;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, Ref, ResponseBuilder,
        path::{Operation, PathItem},
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

/// Below [`super::PREFIX`].
const DOCUMENT: &str = "openapi.json";
const PAGE: &str = include_str!("openapi.html");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Rollcall management",
        description = "Any node answers. A change goes to the leader of the cluster group, and its answer comes when a quorum \
                       has it. Times are milliseconds of cluster time.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        cluster::get,
        members::nodes,
        members::partitions,
        members::leave,
        quota::quota,
        clients::list,
        clients::get,
        clients::kick,
        clients::events,
        subscriptions::list,
        subscriptions::add,
        subscriptions::put,
        subscriptions::delete,
        will::get,
        interests::topics,
        interests::shared_groups,
        retained::list,
        retained::get,
        retained::delete,
        messages::publish,
        users::list,
        users::get,
        users::put,
        users::set_password,
        users::delete,
        policies::list,
        policies::get,
        policies::put,
        policies::delete,
        policies::move_to,
        explain::explain,
        block_rules::list,
        block_rules::get,
        block_rules::put,
        block_rules::delete,
        tokens::list,
        tokens::get,
        tokens::issue,
        tokens::delete,
        certificate_authorities::list,
        certificate_authorities::get,
        certificate_authorities::register,
        certificate_authorities::set_state,
        certificate_authorities::delete,
        certificates::list,
        certificates::get,
        certificates::register,
        certificates::set_state,
        certificates::delete,
        audit::list,
        members::drain,
        members::undrain,
    ),
    components(schemas(ProblemShape)),
    modifiers(&Completed),
)]
struct Description;

/// What all operations have alike.
struct Completed;

impl Modify for Completed {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let scheme = |scheme| SecurityScheme::Http(Http::new(scheme));
        components.add_security_scheme("basic", scheme(HttpAuthScheme::Basic));
        components.add_security_scheme("token", scheme(HttpAuthScheme::Bearer));
        let none: [&str; 0] = [];
        document.security =
            Some(vec![SecurityRequirement::new("basic", none), SecurityRequirement::new("token", none)]);
        for (path, item) in &mut document.paths.paths {
            let below = path.strip_prefix(super::PREFIX).unwrap_or_default().to_owned();
            let route = ROUTES.iter().find(|route| route.path == below);
            for (method, operation) in operations(item) {
                let name = below.replace(['/', '-'], "_").replace(['{', '}'], "");
                operation.operation_id = Some(format!("{}_{name}", method.as_str().to_ascii_lowercase()));
                operation.tags = below.split('/').next().map(|tag| vec![tag.to_owned()]);
                if let Some(role) = route.and_then(|route| route.wanted_role(&method).ok()) {
                    operation.description = Some(format!("Role `{}` or above.", format!("{role:?}").to_lowercase()));
                }
                let problem = Content::new(Some(Ref::from_schema_name("Problem")));
                let refused =
                    ResponseBuilder::new().description("refused").content("application/problem+json", problem);
                operation.responses.responses.insert("default".to_owned(), refused.build().into());
            }
        }
    }
}

/// The operations of a path that there are.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, delete, .. } = item;
    let all = [(Method::GET, get), (Method::PUT, put), (Method::POST, post), (Method::DELETE, delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

static JSON: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(Description::openapi().to_json().unwrap_or_default()));

/// The description or its page, which hold no secret; `None` for any other path.
pub(super) fn respond(method: &Method, path: &str) -> Option<Response<Bytes>> {
    let (content_type, body) = match path.strip_prefix(super::PREFIX)? {
        "" => ("text/html; charset=utf-8", Bytes::from_static(PAGE.as_bytes())),
        DOCUMENT => ("application/json", JSON.clone()),
        _ => return None,
    };
    Some(match *method {
        Method::GET | Method::HEAD => page(StatusCode::OK, content_type, body),
        _ => Problem::method_not_allowed(READ_METHODS).response(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_path_that_is_served_is_described_and_every_path_described_is_served() {
        let mut described = BTreeSet::new();
        let mut document = Description::openapi();
        for (path, item) in &mut document.paths.paths {
            let below = path.strip_prefix(super::super::PREFIX).unwrap().to_owned();
            for (method, _) in operations(item) {
                described.insert((below.clone(), method.to_string()));
            }
        }
        let mut served = BTreeSet::new();
        for route in ROUTES {
            for method in route.methods.split(", ").filter(|method| *method != "HEAD") {
                served.insert((route.path.to_owned(), method.to_owned()));
            }
        }
        assert_eq!(described, served);
    }

    #[test]
    fn the_description_names_its_version_and_every_operation_once() {
        let document: serde_json::Value = serde_json::from_slice(&JSON).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let mut ids = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let id = operation["operationId"].as_str().unwrap().to_owned();
                assert!(operation["responses"]["default"].is_object() && !operation["summary"].is_null(), "{id}");
                assert!(operation["description"].as_str().unwrap().starts_with("Role `"), "{id}");
                assert!(ids.insert(id.clone()), "{id} is there twice");
            }
        }
        // What is referred to is there.
        let text = String::from_utf8(JSON.to_vec()).unwrap();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "no schema {name}");
        }
    }

    #[test]
    fn the_page_stands_by_itself() {
        for outside in ["http://", "https://", "src=", "@import"] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
        assert!(respond(&Method::GET, "/api/v1/").is_some() && respond(&Method::GET, "/api/v1/nodes").is_none());
        assert_eq!(respond(&Method::PUT, "/api/v1/openapi.json").unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
