//! A message of an operator's, by the door that those of clients take. Policies do not apply to it; the broker's own topics
//! stay its own.

use super::{Call, message::Given};
use crate::{
    client_id_path::checked,
    error_response::Problem,
    in_runtime::InRuntime,
    publish::{MESSAGE_BYTES_MIN, check},
    request_body,
    response::json,
};
use actix_http::{Request, Response, StatusCode};
use bytes::Bytes;
use rollcall_contracts::{Account, HttpPublisher};
use serde::Serialize;
use std::{pin::pin, sync::Arc};
use utoipa::ToSchema;

const BODY: &str = "a message is {\"topic\":\"…\",\"payload\":\"…\" or \"payload_base64\":\"…\",\"qos\":0|1|2,\"retain\":false,\"client_id\":\"…\",\"properties\":{…}}; topic is needed";
/// The publisher where none is named.
const CLIENT_ID: &str = "management";
/// What a body may have beside its payload: topic, properties, names of fields.
const BESIDE_PAYLOAD: usize = 256 * 1024;

#[derive(Serialize, ToSchema)]
struct Published {
    /// Somebody wanted it, or may have: of other nodes that is not known.
    matched: bool,
}

/// Publishes a message.
#[utoipa::path(
    post,
    path = "/api/v1/messages",
    request_body = Given,
    responses((status = 200, description = "done", body = Published)),
)]
pub(super) async fn publish(call: &Call<'_>, request: &mut Request) -> Result<Response<Bytes>, Problem> {
    let changes = &call.worker.changes;
    let most = changes.publish.payload_bytes_max;
    // Base64 takes a third more, and JSON writes a control character in six.
    let body_bytes_max = most.saturating_mul(6).saturating_add(BESIDE_PAYLOAD);
    let declared = request_body::declared_length(request.head().headers());
    let weight = declared.map_or(most, |length| usize::try_from(length).unwrap_or(usize::MAX).min(most));
    let _seats = changes.payloads.take_many(weight.max(MESSAGE_BYTES_MIN)).ok_or(Problem::TOO_MANY_PUBLISHES)?;
    let bytes = request_body::read(request, body_bytes_max, Problem::MESSAGE_TOO_LARGE).await?;
    let given: Given = serde_json::from_slice(&bytes).map_err(|_| Problem::bad_json(BODY))?;
    let client_id = checked(given.client_id.as_deref().unwrap_or(CLIENT_ID), call.worker.client_id_bytes_max)?;
    let message = given.into_message()?;
    check(&message.topic, changes.publish)?;
    if message.payload.len() > most {
        return Err(Problem::PAYLOAD_TOO_LARGE);
    }
    let account = Account { superuser: true, ..call.asker.account().clone() };
    let from = HttpPublisher { account: Arc::new(account), client_id, source: call.asker.address() };
    let future = pin!(call.parts.data_plane.clone().publish(from, message));
    let taken = InRuntime { runtime: &call.parts.runtime, future }.await?;
    Ok(json(StatusCode::OK, &Published { matched: taken.matched }))
}
