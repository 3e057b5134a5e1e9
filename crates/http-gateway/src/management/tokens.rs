//! Tokens of the management API. What a holder presents is shown once, when the token is made.

use super::{Call, block_rules::expiry, body, condition};
use crate::{error_response::Problem, response::json};
use actix_http::{Request, Response, StatusCode};
use bytes::Bytes;
use rollcall_cluster::{ApiToken, Condition, ManagedChange, Role, TOKEN_REMARK_BYTES_MAX};
use serde::{Deserialize, Serialize};

const BODY: &str = "a token is {\"role\":\"viewer|operator|admin\",\"expires_in_s\":3600,\"remark\":\"…\"}; role is needed, and expires_at in milliseconds of cluster time may stand for expires_in_s";

#[derive(Serialize)]
struct Tokens {
    tokens: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    role: Role,
    remark: String,
    created_by: String,
    created_at: u64,
    expires_at: Option<u64>,
}

#[derive(Serialize)]
struct Issued {
    /// What the holder presents; nobody is told a second time.
    token: String,
    #[serde(flatten)]
    shown: Shown,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    role: Role,
    #[serde(default)]
    remark: String,
    #[serde(default)]
    expires_at: Option<u64>,
    #[serde(default)]
    expires_in_s: Option<u64>,
}

fn view(token: &ApiToken) -> Shown {
    Shown {
        id: token.id.clone(),
        role: token.role,
        remark: token.remark.clone(),
        created_by: token.created_by.clone(),
        created_at: token.created_at.0,
        expires_at: token.expires_at.map(|at| at.0),
    }
}

pub(super) fn list(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let now = call.parts.access.now();
    let tokens = call.look(|state| {
        let tokens = state.access().tokens().values();
        tokens.filter(|token| !token.is_expired(now)).map(view).collect()
    })?;
    Ok(json(StatusCode::OK, &Tokens { tokens }))
}

pub(super) fn get(call: &Call<'_>, request: &Request, id: &str) -> Result<Response<Bytes>, Problem> {
    let now = call.parts.access.now();
    let found = call.look(|state| state.access().tokens().get(id).cloned())?;
    let token = found.filter(|token| !token.is_expired(now)).ok_or(Problem::NO_SUCH_TOKEN)?;
    Ok(condition::tagged(request, StatusCode::OK, token.tag(), &view(&token)))
}

pub(super) async fn issue(call: &Call<'_>, request: &mut Request) -> Result<Response<Bytes>, Problem> {
    let given: Given = body(request, BODY).await?;
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

pub(super) async fn delete(call: &Call<'_>, request: &mut Request, id: String) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    call.change(only_if, ManagedChange::DeleteToken { id }).await?;
    Ok(condition::no_content())
}
