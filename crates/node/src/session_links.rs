//! What brokers say about sessions that move, over the mesh.

use crate::peer_publisher::Publisher;
use async_trait::async_trait;
use bytes::Bytes;
use rollcall_contracts::{CallError, SessionLinks};
use rollcall_proto::Kind;
use rollcall_raft::Groups;
use rollcall_types::NodeId;
use std::{sync::Arc, time::Duration};

/// The way to the sessions of other nodes, over the mesh.
pub(crate) struct MeshSessionLinks {
    pub(crate) groups: Arc<Groups>,
    pub(crate) publisher: Arc<Publisher>,
}

#[async_trait]
impl SessionLinks for MeshSessionLinks {
    fn others(&self) -> Vec<NodeId> {
        self.publisher.live()
    }

    async fn ask(&self, node: NodeId, request: Bytes, within: Duration) -> Result<Bytes, CallError> {
        self.groups.mesh().call(node, Kind::SessionHandover as u32, 0, 0, request, within).await
    }

    async fn flush(&self, node: NodeId) {
        self.publisher.flush(node).await;
    }
}
