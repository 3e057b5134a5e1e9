//! One client: what is known of it, and the end of its connection.

use super::{
    Call, condition,
    schemas::{ClientPage, ClientPresence},
};
use crate::{
    body::Body,
    client_id_path::checked,
    error_response::Problem,
    in_runtime::InRuntime,
    parameters::{BadParameter, Parameters},
    status::Worker,
};
use actix_http::{Request, Response};
use bytes::Bytes;
use rollcall_cluster::Deed;
use rollcall_contracts::ControlError;
use rollcall_types::ClientId;
use std::pin::pin;

const KICK_PARAMETERS: &[&str] = &["delete_session"];

/// The client that a path names.
pub(super) fn named(call: &Call<'_>, text: &str) -> Result<ClientId, Problem> {
    Ok(checked(text, call.worker.client_id_bytes_max)?)
}

/// Clients in the order of their ids.
#[utoipa::path(
    get,
    path = "/api/v1/clients",
    params(("prefix" = Option<String>, Query, description = "the id begins with this"), ("node" = Option<String>, Query, description = "online on the node of this name"), ("username" = Option<String>, Query, description = "the account of the last connection"), ("online" = Option<bool>, Query, description = "online, or offline"), ("since" = Option<u64>, Query, description = "in its present state since then, milliseconds, or later"), ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000), ("cursor" = Option<String>, Query, description = "of the page before")),
    responses((status = 200, description = "done", body = ClientPage)),
)]
pub(super) async fn list(call: &Call<'_>) -> Result<Response<Bytes>, Problem> {
    call.worker.clients_for_manager(call.query.as_deref()).await
}

/// Follows who comes and goes: a stream of events.
#[utoipa::path(
    get,
    path = "/api/v1/presence/events",
    params(("client_id" = Option<String>, Query, description = "only this client"), ("prefix" = Option<String>, Query, description = "only clients whose id begins with this"), ("kinds" = Option<String>, Query, description = "client_connected, client_disconnected, or both with a comma"), ("from" = Option<String>, Query, description = "the id of an event to go on behind")),
    responses((status = 200, description = "events, as Server-Sent Events", body = String, content_type = "text/event-stream")),
)]
pub(super) async fn events(worker: &Worker, request: &Request) -> Result<Response<Body>, Problem> {
    worker.event_stream(request, false).await
}

/// All that is known of one client.
#[utoipa::path(
    get,
    path = "/api/v1/clients/{client_id}",
    params(("client_id" = String, Path, description = "the client id, one URL-encoded segment", min_length = 1)),
    responses((status = 200, description = "done", body = ClientPresence)),
)]
pub(super) async fn get(call: &Call<'_>, text: &str) -> Result<Response<Bytes>, Problem> {
    call.worker.presence_for_manager(named(call, text)?).await
}

/// Ends the connection of a client, and its session where that is asked for.
#[utoipa::path(
    delete,
    path = "/api/v1/clients/{client_id}",
    params(("client_id" = String, Path, description = "the client id, one URL-encoded segment", min_length = 1), ("delete_session" = Option<bool>, Query, description = "also its session")),
    responses((status = 204, description = "done")),
)]
pub(super) async fn kick(call: &Call<'_>, text: &str) -> Result<Response<Bytes>, Problem> {
    let client_id = named(call, text)?;
    let parameters = Parameters::of(call.query.as_deref(), KICK_PARAMETERS, true).map_err(|error| match error {
        BadParameter::Unknown => BadParameter::Value("the parameter is delete_session"),
        other => other,
    })?;
    let and_session = match parameters.get("delete_session") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(BadParameter::Value("delete_session is true or false").into()),
    };
    let deed = if and_session { Deed::DeleteSession } else { Deed::KickClient };
    call.note(deed, client_id.as_str(), "").await?;
    let future = pin!(call.parts.clients.kick(&client_id, and_session));
    InRuntime { runtime: &call.parts.runtime, future }.await?;
    Ok(condition::no_content())
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NotConnected => Problem::NOT_CONNECTED,
            ControlError::NoSession => Problem::NO_SESSION,
            ControlError::NotSubscribed => Problem::NOT_SUBSCRIBED,
            ControlError::NotAuthorized => Problem::FILTER_FORBIDDEN,
            ControlError::LimitReached => Problem::SUBSCRIPTIONS_LIMIT,
            ControlError::NoAnswer(error) => Problem::from(error),
            ControlError::Unavailable { may_have_happened } => Problem::not_applied(may_have_happened),
        }
    }
}
