//! Asking for membership: one question of a node that has no id yet. What is asked and answered is the shells' business.

use crate::{
    dial,
    dial::Dialled,
    limits::{HELLO_BYTES_MAX, HELLO_REPLY_BYTES_MAX, HELLO_REQUEST_BYTES_MAX, REFUSAL_BYTES_MAX},
    local::Local,
};
use bytes::Bytes;
use rollcall_contracts::CallError;
use rollcall_proto::{JoinReply, JoinRequest, join_reply, mesh_client::MeshClient};
use tonic::Status;

/// Decides about nodes that ask to become members.
#[async_trait::async_trait]
pub trait JoinHandler: Send + Sync + 'static {
    /// The facts the node starts with, or a sentence why it is no member now, which reaches it as
    /// [`CallError::Refused`]. At most [`HELLO_BYTES_MAX`] bytes. It must not block; the future is dropped when the node
    /// gives up.
    async fn join(&self, request: Bytes) -> Result<Bytes, String>;
}

/// Asks on a connection that has proved itself. Bounded by the caller.
pub(crate) async fn ask(dialled: Dialled, request: Bytes) -> Result<Bytes, CallError> {
    let mut client = MeshClient::new(dialled.channel)
        .max_decoding_message_size(HELLO_REPLY_BYTES_MAX)
        .max_encoding_message_size(HELLO_REQUEST_BYTES_MAX);
    let answer = client.join(JoinRequest { request }).await;
    // Whether it was handled is not known then; asking again is harmless.
    let answer = answer.map_err(|status| CallError::Unknown(dial::sentence(&status)))?;
    match answer.into_inner().result {
        Some(join_reply::Result::Payload(payload)) => Ok(payload),
        Some(join_reply::Result::Refused(sentence)) => Err(CallError::Refused(sentence)),
        None => Err(CallError::Unknown("the peer sent an empty answer".to_owned())),
    }
}

/// Answers a node that asks.
pub(crate) async fn answer(local: &Local, request: JoinRequest) -> Result<JoinReply, Status> {
    let refused = |mut sentence: String| {
        sentence.truncate(sentence.floor_char_boundary(REFUSAL_BYTES_MAX));
        JoinReply { result: Some(join_reply::Result::Refused(sentence)) }
    };
    let Some(handler) = local.joins.get() else {
        return Ok(refused("this node takes no members yet: it is still starting".to_owned()));
    };
    match handler.join(request.request).await {
        Ok(payload) if payload.len() > HELLO_BYTES_MAX => {
            tracing::error!(bytes = payload.len(), "the facts for a new member are too large to send");
            Err(Status::internal("the facts for a new member are too large to send"))
        }
        Ok(payload) => Ok(JoinReply { result: Some(join_reply::Result::Payload(payload)) }),
        Err(sentence) => Ok(refused(sentence)),
    }
}
