//! The management API on the admin listener: which call a request is, who may make it, and its answer.
//!
//! Reading takes role viewer. Nodes, clients and block rules are changed by operators, users, policies and tokens by admins; a
//! user's own password by the user. What a call does is in the module of its resource.

mod asker;
mod audit;
mod block_rules;
mod certificate_authorities;
mod certificates;
mod clients;
mod cluster;
mod condition;
mod explain;
mod interests;
mod members;
mod message;
mod messages;
mod openapi;
mod path;
mod policies;
mod quota;
mod retained;
mod schemas;
mod subscriptions;
mod tokens;
mod users;
mod will;

use crate::{
    body::Body,
    config::GatewayParts,
    error_response::Problem,
    request_body,
    status::{Worker, whole},
};
use actix_http::{Method, Request, Response};
use asker::Asker;
use bytes::Bytes;
use path::{Resource, Route};
use serde::de::DeserializeOwned;

/// Where all of it is.
pub(crate) const PREFIX: &str = "/api/v1/";

/// Longest body of a change.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Answers one request below [`PREFIX`].
pub(crate) async fn respond(worker: &Worker, request: &mut Request) -> Response<Body> {
    match answer(worker, request).await {
        Ok(response) => response,
        Err(problem) => {
            // Read and forgotten where it is small, so that the refusal is read before the connection ends.
            let _unread = request_body::ignore(request).await;
            whole(problem.response())
        }
    }
}

async fn answer(worker: &Worker, request: &mut Request) -> Result<Response<Body>, Problem> {
    if let Some(description) = openapi::respond(request.method(), request.path()) {
        request_body::ignore(request).await?;
        return Ok(whole(description));
    }
    let (route, resource) = Route::of(request.path())?;
    let method = match request.method() {
        &Method::HEAD => Method::GET,
        method => method.clone(),
    };
    let wanted = route.wanted_role(&method)?;
    let asker = Asker::of(&worker.parts, request, &resource, wanted).await?;
    if resource == Resource::PresenceEvents {
        request_body::ignore(request).await?;
        return clients::events(worker, request).await;
    }
    let call = Call { worker, parts: &worker.parts, asker, query: request.uri().query().map(str::to_owned) };
    call.answer(request, method, resource).await.map(whole)
}

impl Call<'_> {
    async fn answer(
        &self,
        request: &mut Request,
        method: Method,
        resource: Resource,
    ) -> Result<Response<Bytes>, Problem> {
        let call = self;
        match resource {
            Resource::Cluster => cluster::get(call),
            Resource::Clients => clients::list(call).await,
            Resource::Client(id) => match method {
                Method::DELETE => clients::kick(call, &id).await,
                _ => clients::get(call, &id).await,
            },
            Resource::Subscriptions(id) => match method {
                Method::POST => subscriptions::add(call, request, &id).await,
                _ => subscriptions::list(call, &id).await,
            },
            Resource::Subscription(id, filter) => match method {
                Method::PUT => subscriptions::put(call, request, &id, filter).await,
                _ => subscriptions::delete(call, &id, filter).await,
            },
            Resource::Will(id) => will::get(call, &id).await,
            Resource::Topics => interests::topics(call).await,
            Resource::SharedGroups => interests::shared_groups(call).await,
            Resource::RetainedMessages => retained::list(call).await,
            Resource::RetainedMessage(topic) => match method {
                Method::DELETE => retained::delete(call, &topic).await,
                _ => retained::get(call, &topic).await,
            },
            Resource::Messages => messages::publish(call, request).await,
            // A stream, which has no whole answer.
            Resource::PresenceEvents => Err(Problem::NO_SUCH_RESOURCE),
            Resource::Nodes => Ok(members::nodes(call)),
            Resource::Partitions => Ok(members::partitions(call)),
            Resource::Quota => Ok(quota::quota(call)),
            Resource::Drain(name) => match method {
                Method::DELETE => members::undrain(call, &name).await,
                _ => members::drain(call, &name).await,
            },
            Resource::Node(name) => members::leave(call, &name).await,
            Resource::Users => users::list(call),
            Resource::User(name) => match method {
                Method::PUT => users::put(call, request, name).await,
                Method::DELETE => users::delete(call, request, name).await,
                _ => users::get(call, request, &name),
            },
            Resource::UserPassword(name) => users::set_password(call, request, name).await,
            Resource::Policies => policies::list(call),
            Resource::Policy(name) => match method {
                Method::PUT => policies::put(call, request, name).await,
                Method::DELETE => policies::delete(call, request, name).await,
                _ => policies::get(call, request, &name),
            },
            Resource::PolicyPlace(name) => policies::move_to(call, request, name).await,
            Resource::Explain => explain::explain(call, request).await,
            Resource::BlockRules => block_rules::list(call),
            Resource::BlockRule(name) => match method {
                Method::PUT => block_rules::put(call, request, name).await,
                Method::DELETE => block_rules::delete(call, request, name).await,
                _ => block_rules::get(call, request, &name),
            },
            Resource::Tokens => match method {
                Method::POST => tokens::issue(call, request).await,
                _ => tokens::list(call),
            },
            Resource::Token(id) => match method {
                Method::DELETE => tokens::delete(call, request, id).await,
                _ => tokens::get(call, request, &id),
            },
            Resource::Authorities => match method {
                Method::POST => certificate_authorities::register(call, request).await,
                _ => certificate_authorities::list(call),
            },
            Resource::Authority(id) => match method {
                Method::PUT => certificate_authorities::set_state(call, request, id).await,
                Method::DELETE => certificate_authorities::delete(call, request, id).await,
                _ => certificate_authorities::get(call, request, &id),
            },
            Resource::Certificates => match method {
                Method::POST => certificates::register(call, request).await,
                _ => certificates::list(call),
            },
            Resource::Certificate(id) => match method {
                Method::PUT => certificates::set_state(call, request, id).await,
                Method::DELETE => certificates::delete(call, request, id).await,
                _ => certificates::get(call, request, &id),
            },
            Resource::Audit => audit::list(call),
        }
    }
}

/// What every call has.
struct Call<'a> {
    worker: &'a Worker,
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
