//! What concerns one client alone on its way to the node that owns its claim: messages, and another keep-alive.

use async_trait::async_trait;
use bytes::Bytes;
use rollcall_broker::Broker;
use rollcall_contracts::{CallError, KeepAliveError, OwnerLinks};
use rollcall_proto::Kind;
use rollcall_raft::{Groups, payload};
use rollcall_types::{ClientId, Epoch, Message, NodeId, NodeName};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// Longest time until the owner has answered.
const SEND_WITHIN: Duration = Duration::from_secs(2);
/// The same of a change of keep-alive, which the owner has committed before it answers.
const CHANGE_WITHIN: Duration = Duration::from_secs(6);

/// What the owner is asked to hand over.
#[derive(Serialize, Deserialize)]
struct ToClient {
    client_id: String,
    epoch: Epoch,
    message: Message,
}

/// Another keep-alive for a connection.
#[derive(Serialize, Deserialize)]
struct KeepAliveChange {
    client_id: String,
    epoch: Epoch,
    keep_alive_s: u16,
}

/// What the owner says to that.
#[derive(Serialize, Deserialize)]
enum KeepAliveAnswer {
    Changed,
    /// No connection of that epoch is here.
    NotHere,
    /// It has no keep-alive.
    Off,
    /// Nothing was changed: try again.
    NotNow,
    /// It was not committed in time, and may be yet.
    Unknown,
}

/// The way to the owners, over the mesh.
pub(crate) struct MeshOwnerLinks(pub(crate) Arc<Groups>);

impl MeshOwnerLinks {
    fn named(&self, node: &NodeName) -> Option<NodeId> {
        self.0.topology().names.iter().find(|(_, name)| *name == node).map(|(id, _)| *id)
    }
}

#[async_trait]
impl OwnerLinks for MeshOwnerLinks {
    async fn deliver_to_owner(
        &self,
        node: &NodeName,
        client_id: &ClientId,
        epoch: Epoch,
        message: Arc<Message>,
    ) -> Result<bool, CallError> {
        let owner = self.named(node).ok_or_else(|| CallError::Unreachable(format!("no member is named {}", node.0)))?;
        let to_client = ToClient { client_id: client_id.as_str().to_owned(), epoch, message: Message::clone(&message) };
        let request = payload::encode(&to_client).map_err(|e| CallError::Refused(e.to_string()))?;
        let reply =
            self.0.mesh().call(owner, Kind::PointToPoint as u32, 0, 0, Bytes::from(request), SEND_WITHIN).await?;
        payload::decode(&reply).map_err(|e| CallError::Refused(e.to_string()))
    }

    async fn change_keep_alive(
        &self,
        node: &NodeName,
        client_id: &ClientId,
        epoch: Epoch,
        keep_alive_s: u16,
    ) -> Result<(), KeepAliveError> {
        let unavailable = |may_have_happened| KeepAliveError::Unavailable { may_have_happened };
        let owner = self.named(node).ok_or(unavailable(false))?;
        let change = KeepAliveChange { client_id: client_id.as_str().to_owned(), epoch, keep_alive_s };
        let request = Bytes::from(payload::encode(&change).map_err(|_| unavailable(false))?);
        match self.0.mesh().call(owner, Kind::KeepAlive as u32, 0, 0, request, CHANGE_WITHIN).await {
            Ok(reply) => match payload::decode(&reply) {
                Ok(KeepAliveAnswer::Changed) => Ok(()),
                Ok(KeepAliveAnswer::NotHere) => Err(KeepAliveError::NotConnected),
                Ok(KeepAliveAnswer::Off) => Err(KeepAliveError::Off),
                Ok(KeepAliveAnswer::NotNow) => Err(unavailable(false)),
                Ok(KeepAliveAnswer::Unknown) | Err(_) => Err(unavailable(true)),
            },
            Err(error) => {
                tracing::debug!(node = %node.0, %error, "a change of keep-alive had no answer");
                Err(unavailable(matches!(error, CallError::Unknown(_))))
            }
        }
    }
}

/// Hands over what a peer sends to a client of this node.
pub(crate) fn answer_peer(broker: &Broker, request: &[u8]) -> Result<Bytes, String> {
    let to_client: ToClient = payload::decode(request).map_err(|e| e.to_string())?;
    let client_id = ClientId::new(&to_client.client_id).map_err(|e| e.to_string())?;
    let taken = broker.deliver_to_client(&client_id, to_client.epoch, &Arc::new(to_client.message));
    payload::encode(&taken).map(Bytes::from).map_err(|e| e.to_string())
}

/// Changes the keep-alive of a client of this node, as a peer asks.
pub(crate) async fn change_for_peer(broker: &Broker, request: &[u8]) -> Result<Bytes, String> {
    let change: KeepAliveChange = payload::decode(request).map_err(|e| e.to_string())?;
    let client_id = ClientId::new(&change.client_id).map_err(|e| e.to_string())?;
    let answer = match broker.change_keep_alive_here(&client_id, change.epoch, change.keep_alive_s).await {
        Ok(()) => KeepAliveAnswer::Changed,
        Err(KeepAliveError::NotConnected) => KeepAliveAnswer::NotHere,
        Err(KeepAliveError::Off) => KeepAliveAnswer::Off,
        Err(KeepAliveError::Unavailable { may_have_happened: true }) => KeepAliveAnswer::Unknown,
        Err(KeepAliveError::NoAnswer(_) | KeepAliveError::Unavailable { .. }) => KeepAliveAnswer::NotNow,
    };
    payload::encode(&answer).map(Bytes::from).map_err(|e| e.to_string())
}
