//! Users: names and roles. Their passwords go in and never come out, not even as hashes.

use super::{
    Call, body, condition,
    schemas::{RoleName, UserShape},
};
use crate::{error_response::Problem, in_runtime::InRuntime, parameters::Parameters, response::json};
use actix_http::{Request, Response, StatusCode};
use bytes::Bytes;
use rollcall_cluster::{Condition, ManagedChange, PasswordHash, Role, User, UserError};
use rollcall_contracts::HashedPassword;
use serde::{Deserialize, Serialize};
use std::{
    ops::Bound::{Excluded, Unbounded},
    pin::pin,
};
use utoipa::ToSchema;

/// Users on a page where none is said, and at most.
const PAGE: (u64, u64) = (100, 1_000);
/// Longest password, in bytes.
const PASSWORD_BYTES_MAX: usize = 1_024;
const PARAMETERS: &[&str] = &["after", "limit"];
const LIMIT: &str = "limit is 1 to 1000";
const BODY: &str = "a user is {\"role\":\"client|viewer|operator|admin\",\"password\":\"…\"}; of one that exists either may be left out";
const PASSWORD_BODY: &str = "a password is {\"password\":\"…\"}";

#[derive(Serialize)]
struct Shown<'a> {
    username: &'a str,
    role: Role,
    /// Whether the password can be proved by SCRAM-SHA-256.
    scram: bool,
}

#[derive(Serialize, ToSchema)]
struct Users {
    users: Vec<ShownOwned>,
    /// What `after` of the next page is; null on the last one.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = User)]
struct ShownOwned {
    username: String,
    #[schema(value_type = RoleName)]
    role: Role,
}

/// No `Debug`: it holds a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GivenUser {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<RoleName>)]
    role: Option<Role>,
    #[serde(default)]
    password: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GivenPassword {
    password: String,
}

/// Users by name.
#[utoipa::path(
    get,
    path = "/api/v1/users",
    params(("after" = Option<String>, Query, description = "`next` of the page before"), ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000)),
    responses((status = 200, description = "done", body = Users)),
)]
pub(super) fn list(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    let parameters = Parameters::of(call.query.as_deref(), PARAMETERS, true)?;
    let limit = parameters.number("limit", 1..=PAGE.1, LIMIT)?.unwrap_or(PAGE.0);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let after = parameters.get("after").unwrap_or_default();
    let page = call.look(|state| {
        let mut following = state.users().range::<str, _>((Excluded(after), Unbounded)).map(|(_, user)| user);
        let shown = |user: &User| ShownOwned { username: user.username.clone(), role: user.role };
        let users: Vec<ShownOwned> = following.by_ref().take(limit).map(shown).collect();
        let next = following.next().and_then(|_| users.last()).map(|last| last.username.clone());
        Users { users, next }
    })?;
    Ok(json(StatusCode::OK, &page))
}

/// One user.
#[utoipa::path(
    get,
    path = "/api/v1/users/{username}",
    params(("username" = String, Path, description = "the user", min_length = 1)),
    responses((status = 200, description = "done", body = UserShape)),
)]
pub(super) fn get(call: &Call<'_>, request: &Request, name: &str) -> Result<Response<Bytes>, Problem> {
    shown(call, request, StatusCode::OK, name)
}

fn shown(call: &Call<'_>, request: &Request, status: StatusCode, name: &str) -> Result<Response<Bytes>, Problem> {
    let found = call.look(|state| {
        let scram = state.access().scram_keys(name).is_some();
        state.user(name).map(|user| (user.tag(), user.role, scram))
    })?;
    let (tag, role, scram) = found.ok_or(Problem::NO_SUCH_USER)?;
    Ok(condition::tagged(request, status, tag, &Shown { username: name, role, scram }))
}

/// Adds or changes a user.
#[utoipa::path(
    put,
    path = "/api/v1/users/{username}",
    params(("username" = String, Path, description = "the user", min_length = 1), ("If-Match" = Option<String>, Header, description = "a tag as ETag gave it, or *"), ("If-None-Match" = Option<String>, Header, description = "* to make only what is not there")),
    request_body = GivenUser,
    responses((status = 200, description = "changed", body = UserShape), (status = 201, description = "made", body = UserShape)),
)]
pub(super) async fn put(call: &Call<'_>, request: &mut Request, username: String) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    let given: GivenUser = body(request, BODY).await?;
    if given.username.as_ref().is_some_and(|name| *name != username) {
        return Err(Problem::invalid("invalid_user", "the body names another user than the path"));
    }
    let present = call.look(|state| state.user(&username).map(|user| user.role))?;
    let status = if present.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    let mut keys = None;
    let change = match (given.password, given.role, present) {
        (Some(password), role, present) => {
            // Checked before the hash is paid for.
            let user = |password_hash| User {
                username: username.clone(),
                password_hash,
                role: role.or(present).unwrap_or_default(),
            };
            user("$".to_owned()).validate().map_err(problem)?;
            let hashed = hash(call, password).await?;
            keys = keys_of(&username, &hashed);
            ManagedChange::PutUser(user(hashed.hash))
        }
        (None, Some(role), Some(_)) => ManagedChange::SetUserRole { username: username.clone(), role },
        (None, _, None) => return Err(Problem::invalid("invalid_user", "a new user needs a password")),
        (None, None, Some(_)) => return Err(Problem::bad_json(BODY)),
    };
    call.change(only_if, change).await?;
    set_keys(call, keys).await?;
    shown(call, request, status, &username)
}

/// Gives a user another password.
#[utoipa::path(
    put,
    path = "/api/v1/users/{username}/password",
    params(("username" = String, Path, description = "the user", min_length = 1), ("If-Match" = Option<String>, Header, description = "a tag as ETag gave it, or *")),
    request_body = GivenPassword,
    responses((status = 204, description = "done")),
)]
pub(super) async fn set_password(
    call: &Call<'_>,
    request: &mut Request,
    username: String,
) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    let GivenPassword { password } = body(request, PASSWORD_BODY).await?;
    call.look(|state| state.user(&username).map(|_| ()))?.ok_or(Problem::NO_SUCH_USER)?;
    let hashed = hash(call, password).await?;
    let keys = keys_of(&username, &hashed);
    let password_hash = PasswordHash(hashed.hash);
    call.change(only_if, ManagedChange::SetUserPassword { username, password_hash }).await?;
    set_keys(call, keys).await?;
    Ok(condition::no_content())
}

/// Deletes a user.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{username}",
    params(("username" = String, Path, description = "the user", min_length = 1), ("If-Match" = Option<String>, Header, description = "a tag as ETag gave it, or *")),
    responses((status = 204, description = "done")),
)]
pub(super) async fn delete(
    call: &Call<'_>,
    request: &mut Request,
    username: String,
) -> Result<Response<Bytes>, Problem> {
    let only_if = condition::of(request)?;
    call.change(only_if, ManagedChange::DeleteUser { username }).await?;
    Ok(condition::no_content())
}

/// The keys for SCRAM-SHA-256 that go behind a password, where they are wanted.
fn keys_of(username: &str, hashed: &HashedPassword) -> Option<ManagedChange> {
    let (username, password_hash) = (username.to_owned(), PasswordHash(hashed.hash.clone()));
    hashed.scram_keys.clone().map(|keys| ManagedChange::SetScramKeys { username, password_hash, keys })
}

async fn set_keys(call: &Call<'_>, keys: Option<ManagedChange>) -> Result<(), Problem> {
    match keys {
        // The password is another by now, and has keys of its own.
        Some(change) => match call.change(Condition::Always, change).await {
            Err(problem) if problem == Problem::PRECONDITION_FAILED => Ok(()),
            outcome => outcome,
        },
        None => Ok(()),
    }
}

async fn hash(call: &Call<'_>, password: String) -> Result<HashedPassword, Problem> {
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(Problem::invalid("invalid_password", "a password has 1 to 1024 bytes"));
    }
    let future = pin!(call.parts.access.hash_password(password));
    let unavailable = Problem::NO_CLUSTER_YET;
    InRuntime { runtime: &call.parts.runtime, future }.await.map_err(|_| unavailable)
}

fn problem(error: UserError) -> Problem {
    let detail = match error {
        UserError::NoName => "a user needs a name",
        UserError::NameTooLong => "a user name has at most 256 bytes",
        UserError::NameUnusable => "a user name holds neither a colon nor a control character",
        UserError::HashUnusable => "the password cannot be stored",
    };
    Problem::invalid("invalid_user", detail)
}
