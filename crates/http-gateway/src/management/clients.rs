//! One client: what is known of it, and the end of its connection.

use super::{Call, condition};
use crate::{
    client_id_path::checked,
    error_response::Problem,
    in_runtime::InRuntime,
    parameters::{BadParameter, Parameters},
};
use actix_http::Response;
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

pub(super) async fn get(call: &Call<'_>, text: &str) -> Result<Response<Bytes>, Problem> {
    call.worker.presence_for_manager(named(call, text)?).await
}

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
