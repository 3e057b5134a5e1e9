//! Policies, in the order they are tried.

use super::{
    Call, body, condition,
    schemas::{ActionName, EffectName, PolicyShape},
};
use crate::{error_response::Problem, response::json};
use actix_http::{Request, Response, StatusCode};
use bytes::Bytes;
use rollcall_cluster::{Action, Effect, ManagedChange, Policy, PolicyError, RetainCondition};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const BODY: &str = "a policy is {\"effect\":\"allow|deny\",\"actions\":[\"connect|pub|sub\"],\"resources\":[…],\"client_id\":…,\"username\":…,\"ip\":…,\"qos\":[0,1,2],\"retain\":1|2|3}; effect and actions are needed";
const PLACE_BODY: &str = "a place is {\"place\":0} for the first, and so on; beyond the end means the end";

#[derive(Serialize, ToSchema)]
struct Policies {
    #[schema(value_type = Vec<PolicyShape>)]
    policies: Vec<Policy>,
}

/// A policy whose name stands in the path.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GivenPolicy {
    #[serde(default)]
    name: Option<String>,
    #[schema(value_type = EffectName)]
    effect: Effect,
    #[schema(value_type = Vec<ActionName>)]
    actions: Vec<Action>,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    ip: Option<String>,
    #[serde(default)]
    qos: Option<Vec<u8>>,
    #[serde(default)]
    #[schema(value_type = u8, minimum = 1, maximum = 3)]
    retain: RetainCondition,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GivenPlace {
    place: u32,
}

/// Policies in the order they are tried.
#[utoipa::path(
    get,
    path = "/api/v1/policies",
    responses((status = 200, description = "done", body = Policies)),
)]
pub(super) fn list(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let policies = call.look(|state| state.policies().to_vec())?;
    Ok(json(StatusCode::OK, &Policies { policies }))
}

/// One policy.
#[utoipa::path(
    get,
    path = "/api/v1/policies/{name}",
    params(("name" = String, Path, description = "the policy", min_length = 1)),
    responses((status = 200, description = "done", body = PolicyShape)),
)]
pub(super) fn get(call: &Call<'_>, request: &Request, name: &str) -> Result<Response<Bytes>, Problem> {
    shown(call, request, StatusCode::OK, name)
}

fn shown(call: &Call<'_>, request: &Request, status: StatusCode, name: &str) -> Result<Response<Bytes>, Problem> {
    let found = call.look(|state| state.policies().iter().find(|policy| policy.name == name).cloned())?;
    let policy = found.ok_or(Problem::NO_SUCH_POLICY)?;
    Ok(condition::tagged(request, status, policy.tag(), &policy))
}

/// Replaces a policy where it stands, or adds it at the end.
#[utoipa::path(
    put,
    path = "/api/v1/policies/{name}",
    params(("name" = String, Path, description = "the policy", min_length = 1), ("If-Match" = Option<String>, Header, description = "a tag as ETag gave it, or *"), ("If-None-Match" = Option<String>, Header, description = "* to make only what is not there")),
    request_body = GivenPolicy,
    responses((status = 200, description = "replaced", body = PolicyShape), (status = 201, description = "made", body = PolicyShape)),
)]
pub(super) async fn put(call: &Call<'_>, request: &mut Request, name: String) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    let given: GivenPolicy = body(request, BODY).await?;
    if given.name.as_ref().is_some_and(|other| *other != name) {
        return Err(Problem::invalid("invalid_policy", "the body names another policy than the path"));
    }
    let policy = Policy {
        name: name.clone(),
        effect: given.effect,
        actions: given.actions,
        resources: given.resources,
        client_id: given.client_id,
        username: given.username,
        ip: given.ip,
        qos: given.qos.unwrap_or_else(|| vec![0, 1, 2]),
        retain: given.retain,
    };
    policy.validate().map_err(|error| Problem::invalid("invalid_policy", sentence(&error)))?;
    let exists = call.look(|state| state.policies().iter().any(|present| present.name == name))?;
    call.change(only_if, ManagedChange::PutPolicy(Box::new(policy))).await?;
    shown(call, request, if exists { StatusCode::OK } else { StatusCode::CREATED }, &name)
}

/// Deletes a policy.
#[utoipa::path(
    delete,
    path = "/api/v1/policies/{name}",
    params(("name" = String, Path, description = "the policy", min_length = 1), ("If-Match" = Option<String>, Header, description = "a tag as ETag gave it, or *")),
    responses((status = 204, description = "done")),
)]
pub(super) async fn delete(call: &Call<'_>, request: &mut Request, name: String) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    call.change(only_if, ManagedChange::DeletePolicy { name }).await?;
    Ok(condition::no_content())
}

/// Moves a policy within the order.
#[utoipa::path(
    put,
    path = "/api/v1/policies/{name}/place",
    params(("name" = String, Path, description = "the policy", min_length = 1), ("If-Match" = Option<String>, Header, description = "a tag as ETag gave it, or *")),
    request_body = GivenPlace,
    responses((status = 204, description = "done")),
)]
pub(super) async fn move_to(call: &Call<'_>, request: &mut Request, name: String) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    let GivenPlace { place } = body(request, PLACE_BODY).await?;
    call.change(only_if, ManagedChange::MovePolicy { name, to: place }).await?;
    Ok(condition::no_content())
}

/// Why a policy or block rule is not acceptable, in fixed words.
pub(super) fn sentence(error: &PolicyError) -> &'static str {
    match error {
        PolicyError::Name => "a name has 1 to 1024 bytes, and a remark at most 1024",
        PolicyError::NoAction => "a policy needs at least one action of connect, pub, sub",
        PolicyError::TooManyResources => "a policy has at most 100 resources",
        PolicyError::PatternLength => "a pattern has 1 to 1024 bytes",
        PolicyError::UnknownVariable(_) => {
            "a variable is ${ClientId}, ${Username} or ${Certificate.Subject.…} with CommonName, Country, Organization, \
             OrganizationalUnit, State or SerialNumber, each perhaps with .substring(begin) or .substring(begin,end)"
        }
        PolicyError::Wildcard(_) => "in a resource, + must be a whole level and # the whole last level",
        PolicyError::Address(_) => "an address is an IP address or a CIDR block such as 192.0.2.0/24",
        PolicyError::Qos(_) => "qos holds 0, 1 and 2 only",
        PolicyError::NoQos => "qos names at least one of 0, 1, 2",
        PolicyError::NoTopic => "an entry of an acl names its topics",
        PolicyError::TooManyExcludes => "a block rule has at most 10 excludes",
        PolicyError::Retain(_) => "retain is 1 (retained only), 2 (others only) or 3 (both)",
    }
}
