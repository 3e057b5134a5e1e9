//! Messages for one client on their way to the node that owns its claim.

use async_trait::async_trait;
use bytes::Bytes;
use rollcall_broker::Broker;
use rollcall_contracts::{CallError, OwnerLinks};
use rollcall_proto::Kind;
use rollcall_raft::{Groups, payload};
use rollcall_types::{ClientId, Epoch, Message, NodeName};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// Longest time until the owner has answered.
const SEND_WITHIN: Duration = Duration::from_secs(2);

/// What the owner is asked to hand over.
#[derive(Serialize, Deserialize)]
struct ToClient {
    client_id: String,
    epoch: Epoch,
    message: Message,
}

/// The way to the owners, over the mesh.
pub(crate) struct MeshOwnerLinks(pub(crate) Arc<Groups>);

#[async_trait]
impl OwnerLinks for MeshOwnerLinks {
    async fn deliver_to_owner(
        &self,
        node: &NodeName,
        client_id: &ClientId,
        epoch: Epoch,
        message: Arc<Message>,
    ) -> Result<bool, CallError> {
        let names = self.0.topology();
        let owner = names.names.iter().find(|(_, name)| *name == node).map(|(id, _)| *id);
        let owner = owner.ok_or_else(|| CallError::Unreachable(format!("no member is named {}", node.0)))?;
        let to_client = ToClient { client_id: client_id.as_str().to_owned(), epoch, message: Message::clone(&message) };
        let request = payload::encode(&to_client).map_err(|e| CallError::Refused(e.to_string()))?;
        let reply =
            self.0.mesh().call(owner, Kind::PointToPoint as u32, 0, 0, Bytes::from(request), SEND_WITHIN).await?;
        payload::decode(&reply).map_err(|e| CallError::Refused(e.to_string()))
    }
}

/// Hands over what a peer sends to a client of this node.
pub(crate) fn answer_peer(broker: &Broker, request: &[u8]) -> Result<Bytes, String> {
    let to_client: ToClient = payload::decode(request).map_err(|e| e.to_string())?;
    let client_id = ClientId::new(&to_client.client_id).map_err(|e| e.to_string())?;
    let taken = broker.deliver_to_client(&client_id, to_client.epoch, &Arc::new(to_client.message));
    payload::encode(&taken).map(Bytes::from).map_err(|e| e.to_string())
}
