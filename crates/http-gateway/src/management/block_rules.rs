//! Block rules: who may not connect, and until when.

use super::{Call, body, condition, policies::sentence, schemas::BlockKindName};
use crate::{error_response::Problem, response::json};
use actix_http::{Request, Response, StatusCode};
use bytes::Bytes;
use rollcall_cluster::{BlockKind, BlockRule, ManagedChange};
use rollcall_types::ClusterTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const BODY: &str = "a block rule is {\"kind\":\"client_id|username|address\",\"include\":\"…\",\"excludes\":[…],\"expires_in_s\":60,\"remark\":\"…\"}; kind and include are needed, and expires_at in milliseconds of cluster time may stand for expires_in_s";
/// Longest time a rule may have, in seconds.
const EXPIRES_IN_S_MAX: u64 = 10 * 366 * 24 * 3_600;

#[derive(Serialize, ToSchema)]
struct BlockRules {
    block_rules: Vec<ShownBlockRule>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = BlockRule)]
struct ShownBlockRule {
    name: String,
    #[schema(value_type = BlockKindName)]
    kind: BlockKind,
    include: String,
    excludes: Vec<String>,
    expires_at: Option<u64>,
    remark: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GivenBlockRule {
    #[serde(default)]
    name: Option<String>,
    #[schema(value_type = BlockKindName)]
    kind: BlockKind,
    include: String,
    #[serde(default)]
    excludes: Vec<String>,
    #[serde(default)]
    expires_at: Option<u64>,
    #[serde(default)]
    expires_in_s: Option<u64>,
    #[serde(default)]
    remark: String,
}

fn view(rule: &BlockRule) -> ShownBlockRule {
    ShownBlockRule {
        name: rule.name.clone(),
        kind: rule.kind,
        include: rule.include.clone(),
        excludes: rule.excludes.clone(),
        expires_at: rule.expires_at.map(|at| at.0),
        remark: rule.remark.clone(),
    }
}

/// When something expires: at a time, or after a while, or never.
pub(super) fn expiry(call: &Call<'_>, at: Option<u64>, in_s: Option<u64>) -> Result<Option<ClusterTime>, Problem> {
    let wrong = Problem::invalid(
        "invalid_expiry",
        "expires_in_s is 1 to 316224000, expires_at lies ahead, and only one of them is there",
    );
    let now = call.parts.access.now();
    match (at, in_s) {
        (None, None) => Ok(None),
        (Some(at), None) if at > now.0 => Ok(Some(ClusterTime(at))),
        (None, Some(seconds)) if (1..=EXPIRES_IN_S_MAX).contains(&seconds) => Ok(Some(now.plus_ms(seconds * 1_000))),
        _ => Err(wrong),
    }
}

/// Block rules that have not expired.
#[utoipa::path(
    get,
    path = "/api/v1/block-rules",
    responses((status = 200, description = "done", body = BlockRules)),
)]
pub(super) fn list(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let now = call.parts.access.now();
    let block_rules = call.look(|state| {
        let rules = state.access().block_rules().values();
        rules.filter(|rule| !rule.is_expired(now)).map(view).collect()
    })?;
    Ok(json(StatusCode::OK, &BlockRules { block_rules }))
}

/// One block rule.
#[utoipa::path(
    get,
    path = "/api/v1/block-rules/{name}",
    params(("name" = String, Path, description = "the rule", min_length = 1)),
    responses((status = 200, description = "done", body = ShownBlockRule)),
)]
pub(super) fn get(call: &Call<'_>, request: &Request, name: &str) -> Result<Response<Bytes>, Problem> {
    shown(call, request, StatusCode::OK, name)
}

fn shown(call: &Call<'_>, request: &Request, status: StatusCode, name: &str) -> Result<Response<Bytes>, Problem> {
    let now = call.parts.access.now();
    let found = call.look(|state| state.access().block_rules().get(name).cloned())?;
    let rule = found.filter(|rule| !rule.is_expired(now)).ok_or(Problem::NO_SUCH_BLOCK_RULE)?;
    Ok(condition::tagged(request, status, rule.tag(), &view(&rule)))
}

/// Adds or replaces a block rule.
#[utoipa::path(
    put,
    path = "/api/v1/block-rules/{name}",
    params(("name" = String, Path, description = "the rule", min_length = 1), ("If-Match" = Option<String>, Header, description = "a tag as ETag gave it, or *"), ("If-None-Match" = Option<String>, Header, description = "* to make only what is not there")),
    request_body = GivenBlockRule,
    responses((status = 200, description = "replaced", body = ShownBlockRule), (status = 201, description = "made", body = ShownBlockRule)),
)]
pub(super) async fn put(call: &Call<'_>, request: &mut Request, name: String) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    let given: GivenBlockRule = body(request, BODY).await?;
    if given.name.as_ref().is_some_and(|other| *other != name) {
        return Err(Problem::invalid("invalid_block_rule", "the body names another block rule than the path"));
    }
    let rule = BlockRule {
        name: name.clone(),
        kind: given.kind,
        include: given.include,
        excludes: given.excludes,
        expires_at: expiry(call, given.expires_at, given.expires_in_s)?,
        remark: given.remark,
    };
    rule.validate().map_err(|error| Problem::invalid("invalid_block_rule", sentence(&error)))?;
    let exists = call.look(|state| state.access().block_rules().contains_key(&name))?;
    call.change(only_if, ManagedChange::PutBlockRule(Box::new(rule))).await?;
    shown(call, request, if exists { StatusCode::OK } else { StatusCode::CREATED }, &name)
}

/// Deletes a block rule.
#[utoipa::path(
    delete,
    path = "/api/v1/block-rules/{name}",
    params(("name" = String, Path, description = "the rule", min_length = 1), ("If-Match" = Option<String>, Header, description = "a tag as ETag gave it, or *")),
    responses((status = 204, description = "done")),
)]
pub(super) async fn delete(call: &Call<'_>, request: &mut Request, name: String) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    call.change(only_if, ManagedChange::DeleteBlockRule { name }).await?;
    Ok(condition::no_content())
}
