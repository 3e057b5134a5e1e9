//! What peers ask of this node, and which part answers.

use crate::{from_peers::FromPeers, late_presence::ending_of, owner_links, peer_publisher::Routes};
use async_trait::async_trait;
use bytes::Bytes;
use prost::Message as _;
use rollcall_broker::Broker;
use rollcall_contracts::{ConnectionEnding as _, DeliveryTarget as _, PeerCall, PeerHandler};
use rollcall_controller::LeaderDuties;
use rollcall_mesh::{IncomingStreams, SnapshotHandler};
use rollcall_proto::{ClaimEnded, DeliverRequest, HeartbeatRequest, Kind};
use rollcall_raft::{Replication, payload};
use rollcall_types::{ClientId, Epoch, Message, NodeId};
use std::sync::{Arc, OnceLock};

/// The parts that answer, once they run.
pub(crate) struct Parts {
    pub(crate) replication: Arc<Replication>,
    pub(crate) duties: Arc<LeaderDuties>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) routes: Arc<Routes>,
}

/// Answers peers; refuses until the parts are set.
#[derive(Default)]
pub(crate) struct PeerCalls {
    parts: OnceLock<Parts>,
    streams: OnceLock<IncomingStreams>,
}

impl PeerCalls {
    /// The parts run from now on.
    pub(crate) fn set(&self, parts: Parts) {
        let target = Arc::new(FromPeers { broker: parts.broker.clone(), routes: Arc::clone(&parts.routes) });
        let _ = self.streams.set(IncomingStreams::new(target));
        let _ = self.parts.set(parts);
    }

    /// What is replicated on this node, once it runs.
    pub(crate) fn replication(&self) -> Result<&Replication, String> {
        Ok(&self.parts()?.replication)
    }

    fn parts(&self) -> Result<&Parts, String> {
        self.parts.get().ok_or_else(|| "this node is starting".to_owned())
    }
}

#[async_trait]
impl PeerHandler for PeerCalls {
    async fn handle(&self, call: PeerCall) -> Result<Bytes, String> {
        let parts = self.parts()?;
        let number = i32::try_from(call.kind).map_err(|_| "no such call".to_owned())?;
        let kind = Kind::try_from(number).map_err(|_| format!("call {number} is newer than this node"))?;
        match kind {
            Kind::Heartbeat => {
                let request = HeartbeatRequest::decode(call.payload).map_err(|e| e.to_string())?;
                Ok(Bytes::from(parts.duties.answer(call.from, &request).await.encode_to_vec()))
            }
            Kind::ClaimEnded => {
                let ended = ClaimEnded::decode(call.payload).map_err(|e| e.to_string())?;
                let client_id = ClientId::new(&ended.client_id).map_err(|e| e.to_string())?;
                let how = ending_of(ended.kind).ok_or("no such ending")?;
                parts.broker.claim_ended(&client_id, Epoch(ended.epoch), how);
                Ok(Bytes::new())
            }
            Kind::Deliver => {
                let request = DeliverRequest::decode(call.payload).map_err(|e| e.to_string())?;
                for bytes in request.messages {
                    let message: Message = payload::decode(&bytes).map_err(|e| e.to_string())?;
                    parts.broker.deliver_local(Arc::new(message));
                }
                Ok(Bytes::new())
            }
            Kind::PointToPoint => owner_links::answer_peer(&parts.broker, &call.payload),
            Kind::KeepAlive => owner_links::change_for_peer(&parts.broker, &call.payload).await,
            Kind::SessionHandover => parts.broker.answer_handover(&call.payload).await,
            Kind::Stream => {
                let streams = self.streams.get().ok_or("this node is starting")?;
                streams.answer(call.from, call.payload)
            }
            kind if Replication::answers(kind) => parts.replication.answer_peer(kind, call).await,
            kind => Err(format!("{kind:?} is not answered")),
        }
    }
}

#[async_trait]
impl SnapshotHandler for PeerCalls {
    async fn install_snapshot(&self, _from: NodeId, group: u32, head: Bytes, data: Bytes) -> Result<Bytes, String> {
        self.parts()?.replication.answer_snapshot(group, &head, data).await
    }
}
