//! Tokens of the management API. What a holder presents is shown once, when the token is made.

use super::{Call, block_rules::expiry, body, condition, schemas::RoleName};
use crate::{error_response::Problem, response::json};
use actix_http::{Request, Response, StatusCode};
use bytes::Bytes;
use rollcall_cluster::{ApiToken, Condition, ManagedChange, Role, TOKEN_REMARK_BYTES_MAX};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const BODY: &str = "a token is {\"role\":\"viewer|operator|admin\",\"expires_in_s\":3600,\"remark\":\"…\"}; role is needed, and expires_at in milliseconds of cluster time may stand for expires_in_s";

#[derive(Serialize, ToSchema)]
struct Tokens {
    tokens: Vec<ShownToken>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
struct ShownToken {
    id: String,
    #[schema(value_type = RoleName)]
    role: Role,
    remark: String,
    created_by: String,
    created_at: u64,
    expires_at: Option<u64>,
}

#[derive(Serialize, ToSchema)]
struct Issued {
    /// What the holder presents; nobody is told a second time.
    token: String,
    #[serde(flatten)]
    shown: ShownToken,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GivenToken {
    #[schema(value_type = RoleName)]
    role: Role,
    #[serde(default)]
    remark: String,
    #[serde(default)]
    expires_at: Option<u64>,
    #[serde(default)]
    expires_in_s: Option<u64>,
}

fn view(token: &ApiToken) -> ShownToken {
    ShownToken {
        id: token.id.clone(),
        role: token.role,
        remark: token.remark.clone(),
        created_by: token.created_by.clone(),
        created_at: token.created_at.0,
        expires_at: token.expires_at.map(|at| at.0),
    }
}

/// Tokens without their secrets.
#[utoipa::path(
    get,
    path = "/api/v1/tokens",
    responses((status = 200, description = "done", body = Tokens)),
)]
pub(super) fn list(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let now = call.parts.access.now();
    let tokens = call.look(|state| {
        let tokens = state.access().tokens().values();
        tokens.filter(|token| !token.is_expired(now)).map(view).collect()
    })?;
    Ok(json(StatusCode::OK, &Tokens { tokens }))
}

/// One token.
#[utoipa::path(
    get,
    path = "/api/v1/tokens/{id}",
    params(("id" = String, Path, description = "the token", min_length = 1)),
    responses((status = 200, description = "done", body = ShownToken)),
)]
pub(super) fn get(call: &Call<'_>, request: &Request, id: &str) -> Result<Response<Bytes>, Problem> {
    let now = call.parts.access.now();
    let found = call.look(|state| state.access().tokens().get(id).cloned())?;
    let token = found.filter(|token| !token.is_expired(now)).ok_or(Problem::NO_SUCH_TOKEN)?;
    Ok(condition::tagged(request, StatusCode::OK, token.tag(), &view(&token)))
}

/// Makes a token, which is shown this once.
#[utoipa::path(
    post,
    path = "/api/v1/tokens",
    request_body = GivenToken,
    responses((status = 201, description = "made", body = Issued)),
)]
pub(super) async fn issue(call: &Call<'_>, request: &mut Request) -> Result<Response<Bytes>, Problem> {
    let given: GivenToken = body(request, BODY).await?;
    if given.role == Role::Client {
        return Err(Problem::invalid("invalid_token", "a token has role viewer, operator or admin"));
    }
    if given.remark.len() > TOKEN_REMARK_BYTES_MAX {
        return Err(Problem::invalid("invalid_token", "a remark has at most 256 bytes"));
    }
    let expires_at = expiry(call, given.expires_at, given.expires_in_s)?;
    let issued = call.parts.access.issue_token();
    let token = ApiToken {
        id: issued.id,
        secret_hash: issued.secret_hash,
        role: given.role,
        remark: given.remark,
        created_by: call.asker.name().to_owned(),
        created_at: call.parts.access.now(),
        expires_at,
    };
    let shown = view(&token);
    call.change(Condition::Absent, ManagedChange::AddToken(Box::new(token))).await?;
    Ok(json(StatusCode::CREATED, &Issued { token: issued.presented, shown }))
}

/// Deletes a token.
#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{id}",
    params(("id" = String, Path, description = "the token", min_length = 1), ("If-Match" = Option<String>, Header, description = "a tag as ETag gave it, or *")),
    responses((status = 204, description = "done")),
)]
pub(super) async fn delete(call: &Call<'_>, request: &mut Request, id: String) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    call.change(only_if, ManagedChange::DeleteToken { id }).await?;
    Ok(condition::no_content())
}
