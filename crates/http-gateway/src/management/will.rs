//! The will that a client owes.

use super::{Call, clients::named, message::Shown};
use crate::{error_response::Problem, in_runtime::InRuntime, response::json};
use actix_http::{Response, StatusCode};
use bytes::Bytes;
use serde::Serialize;
use std::pin::pin;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
struct Will {
    #[serde(flatten)]
    message: Shown,
    /// Seconds after the end of the connection.
    delay_s: u32,
    /// When it is published, in milliseconds of cluster time; null while the connection lasts.
    due_at: Option<u64>,
}

/// The will that a client owes.
#[utoipa::path(
    get,
    path = "/api/v1/clients/{client_id}/will",
    params(("client_id" = String, Path, description = "the client id, one URL-encoded segment", min_length = 1)),
    responses((status = 200, description = "done", body = Will)),
)]
pub(super) async fn get(call: &Call<'_>, client: &str) -> Result<Response<Bytes>, Problem> {
    let client_id = named(call, client)?;
    let future = pin!(call.parts.questions.will(client_id));
    let owed = InRuntime { runtime: &call.parts.runtime, future }.await?.ok_or(Problem::NO_WILL)?;
    let (delay_s, due_at) = (owed.will.delay_s, owed.due.map(|due| due.0));
    Ok(json(StatusCode::OK, &Will { message: Shown::of(owed.will.message), delay_s, due_at }))
}
