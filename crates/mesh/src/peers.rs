//! The peers this node keeps links to, as told from above.

use crate::{local::Local, peer::Peer};
use parking_lot::RwLock;
use rollcall_types::NodeId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::Notify;

/// All peers, by id.
#[derive(Default)]
pub(crate) struct Peers {
    by_id: RwLock<BTreeMap<NodeId, Arc<Peer>>>,
    /// There are others than before.
    pub(crate) changed: Notify,
}

impl Peers {
    pub(crate) fn get(&self, id: NodeId) -> Option<Arc<Peer>> {
        self.by_id.read().get(&id).cloned()
    }

    pub(crate) fn ids(&self) -> BTreeSet<NodeId> {
        self.by_id.read().keys().copied().collect()
    }

    /// Starts a task for each new peer, ends those of the others.
    pub(crate) fn set(&self, local: &Arc<Local>, wanted: BTreeMap<NodeId, String>) {
        let mut by_id = self.by_id.write();
        by_id.retain(|id, peer| {
            let keep = wanted.contains_key(id);
            if !keep {
                peer.stop.cancel();
            }
            keep
        });
        for (id, address) in wanted {
            if let Some(peer) = by_id.get(&id) {
                peer.move_to(&address);
                continue;
            }
            let peer = Arc::new(Peer::new(id, address, local.ended.child_token()));
            local.tasks.spawn(Arc::clone(&peer).run(Arc::clone(local)));
            by_id.insert(id, peer);
        }
        self.changed.notify_one();
    }
}
