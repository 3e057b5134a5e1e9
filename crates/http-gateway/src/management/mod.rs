//! The management API on the admin listener: which call a request is, who may make it, and its answer.
//!
//! Reading takes role viewer. Nodes and block rules are changed by operators, users, policies and tokens by admins; a
//! user's own password by the user. What a call does is in the module of its resource.

mod asker;
mod audit;
mod block_rules;
mod certificate_authorities;
mod certificates;
mod condition;
mod explain;
mod members;
mod path;
mod policies;
mod tokens;
mod users;

use crate::{config::GatewayParts, error_response::Problem, request_body};
use actix_http::{Method, Request, Response};
use asker::Asker;
use bytes::Bytes;
use path::Resource;
use serde::de::DeserializeOwned;

/// Where all of it is.
pub(crate) const PREFIX: &str = "/api/v1/";

/// Longest body of a change.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Answers one request below [`PREFIX`].
pub(crate) async fn respond(parts: &GatewayParts, request: &mut Request) -> Response<Bytes> {
    match answer(parts, request).await {
        Ok(response) => response,
        Err(problem) => {
            // Read and forgotten where it is small, so that the refusal is read before the connection ends.
            let _unread = request_body::ignore(request).await;
            problem.response()
        }
    }
}

async fn answer(parts: &GatewayParts, request: &mut Request) -> Result<Response<Bytes>, Problem> {
    let resource = Resource::of(request.path())?;
    let method = match request.method() {
        &Method::HEAD => Method::GET,
        method => method.clone(),
    };
    let wanted = resource.wanted_role(&method)?;
    let asker = Asker::of(parts, request, &resource, wanted).await?;
    let call = Call { parts, asker, query: request.uri().query().map(str::to_owned) };
    match resource {
        Resource::Nodes => Ok(members::nodes(&call)),
        Resource::Partitions => Ok(members::partitions(&call)),
        Resource::Node(name) => members::leave(&call, &name).await,
        Resource::Users => users::list(&call),
        Resource::User(name) => match method {
            Method::PUT => users::put(&call, request, name).await,
            Method::DELETE => users::delete(&call, request, name).await,
            _ => users::get(&call, request, &name),
        },
        Resource::UserPassword(name) => users::set_password(&call, request, name).await,
        Resource::Policies => policies::list(&call),
        Resource::Policy(name) => match method {
            Method::PUT => policies::put(&call, request, name).await,
            Method::DELETE => policies::delete(&call, request, name).await,
            _ => policies::get(&call, request, &name),
        },
        Resource::PolicyPlace(name) => policies::move_to(&call, request, name).await,
        Resource::Explain => explain::explain(&call, request).await,
        Resource::BlockRules => block_rules::list(&call),
        Resource::BlockRule(name) => match method {
            Method::PUT => block_rules::put(&call, request, name).await,
            Method::DELETE => block_rules::delete(&call, request, name).await,
            _ => block_rules::get(&call, request, &name),
        },
        Resource::Tokens => match method {
            Method::POST => tokens::issue(&call, request).await,
            _ => tokens::list(&call),
        },
        Resource::Token(id) => match method {
            Method::DELETE => tokens::delete(&call, request, id).await,
            _ => tokens::get(&call, request, &id),
        },
        Resource::Audit => audit::list(&call),
        Resource::Authorities => match method {
            Method::POST => certificate_authorities::register(&call, request).await,
            _ => certificate_authorities::list(&call),
        },
        Resource::Authority(id) => match method {
            Method::PUT => certificate_authorities::set_state(&call, request, id).await,
            Method::DELETE => certificate_authorities::delete(&call, request, id).await,
            _ => certificate_authorities::get(&call, request, &id),
        },
        Resource::Certificates => match method {
            Method::POST => certificates::register(&call, request).await,
            _ => certificates::list(&call),
        },
        Resource::Certificate(id) => match method {
            Method::PUT => certificates::set_state(&call, request, id).await,
            Method::DELETE => certificates::delete(&call, request, id).await,
            _ => certificates::get(&call, request, &id),
        },
    }
}

/// What every call has.
struct Call<'a> {
    parts: &'a GatewayParts,
    asker: Asker,
    query: Option<String>,
}

impl Call<'_> {
    /// A look at the state of the cluster.
    fn look<R>(&self, mut look: impl FnMut(&rollcall_cluster::ClusterState) -> R) -> Result<R, Problem> {
        let mut seen = None;
        self.parts.access.look(&mut |state| seen = Some(look(state)));
        seen.ok_or(Problem::NO_CLUSTER_YET)
    }
}

/// Reads the body as JSON; `sentence` says what this call takes.
async fn body<T: DeserializeOwned>(request: &mut Request, sentence: &'static str) -> Result<T, Problem> {
    let bytes = request_body::read(request, BODY_BYTES_MAX, Problem::CHANGE_TOO_LARGE).await?;
    serde_json::from_slice(&bytes).map_err(|_| Problem::bad_json(sentence))
}
