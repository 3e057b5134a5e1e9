//! Which partitions have a replica on this node, as the cluster state says: opened when one is placed here, closed when
//! the group counts this node no more.
//!
//! A closed replica leaves its log, vote and snapshots on disk. A vote once given must never be forgotten: a deposed
//! leader whose configuration still names this node could otherwise win it over anew. Opened again, the replica is one
//! that was down for a while. Who is placed where is decided by the controller.

use crate::{
    config::HOSTING_RETRY,
    group::{Group, GroupError, GroupHandle},
    groups::{Groups, Topology},
    housekeeping,
    metrics::{Metrics, PARTITION_REPLICAS},
    partition::Partition,
    proposer::Proposer,
    replica::Replica,
    stores::StartRaft,
};
use rollcall_types::{GroupId, PartitionId};
use std::{collections::BTreeSet, sync::Arc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A replica of a partition on this node, with what runs beside it.
pub struct Hosted {
    pub(crate) group: Group<Partition>,
    pub(crate) proposer: Proposer,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Hosted {
    /// The group, whatever its state.
    #[must_use]
    pub fn handle(&self) -> &Arc<GroupHandle> {
        &self.group.handle
    }

    /// The partition's state on this node, possibly behind.
    #[must_use]
    pub fn replica(&self) -> &Arc<Replica<Partition>> {
        &self.group.replica
    }

    /// Ends what runs beside the group, then the group.
    async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.group.handle.shutdown().await;
    }
}

/// Opens and closes replicas.
pub(crate) struct Hosting {
    pub(crate) groups: Arc<Groups>,
    pub(crate) store: Arc<dyn StartRaft>,
    pub(crate) metrics: Metrics,
}

impl Hosting {
    /// Opens the replica of a partition, unless it is open.
    pub(crate) async fn open(&self, partition: PartitionId) -> Result<(), GroupError> {
        let groups = &self.groups;
        if groups.replica_of(partition).is_some() {
            return Ok(());
        }
        let state = Partition::new(partition, groups.config().partition_limits());
        let id = GroupId::partition(partition);
        let group = Group::start(id, groups.me(), state, &*self.store, groups.mesh(), groups.config()).await?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (proposer, run) = Proposer::new(
            Arc::clone(&group.handle),
            Arc::clone(&group.replica),
            groups.config().retained,
            self.metrics.clone(),
            stop.clone(),
        );
        tasks.spawn(run);
        let hosted = Arc::new(Hosted { group, proposer, tasks, stop: stop.clone() });
        hosted.tasks.spawn(housekeeping::run(Arc::clone(groups), Arc::clone(&hosted), self.metrics.clone(), stop));
        groups.opened(partition, &hosted);
        Ok(())
    }

    /// Closes the replica of a partition, if it is open.
    async fn close(&self, partition: PartitionId) {
        if let Some(hosted) = self.groups.taken_out(partition) {
            hosted.close().await;
        }
    }

    /// Closes all.
    pub(crate) async fn close_all(&self) {
        for partition in self.groups.hosted().keys() {
            self.close(*partition).await;
        }
    }

    /// Follows the cluster state until stopped. Somebody must own it.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut watch = self.groups.cluster().replica.watch();
        loop {
            watch.borrow_and_update();
            let settled = self.settle().await;
            let again =
                async { if settled { std::future::pending().await } else { tokio::time::sleep(HOSTING_RETRY).await } };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = watch.changed() => if changed.is_err() { return },
                () = again => {}
            }
        }
    }

    /// Opens and closes what the cluster state says now. `false` when something is left to do.
    async fn settle(&self) -> bool {
        let me = self.groups.me();
        let keep: BTreeSet<PartitionId> = {
            let applied = self.groups.cluster().replica.read();
            let state = &applied.state;
            if state.facts().is_none() {
                return true;
            }
            let present = self.groups.topology();
            let topology = Topology {
                placement: state.placement().clone(),
                former: state.moving().clone(),
                names: state.members().iter().map(|(id, member)| (*id, member.name.clone())).collect(),
                ..Topology::clone(&present)
            };
            if topology != *present {
                self.groups.set_topology(topology);
            }
            state.placement().keys().copied().filter(|p| state.keeps_replica(*p, me)).collect()
        };
        let mut settled = true;
        for partition in &keep {
            if let Err(error) = self.open(*partition).await {
                tracing::error!(%partition, %error, "a replica placed here cannot be opened");
                settled = false;
            }
        }
        for partition in self.groups.hosted().keys().filter(|partition| !keep.contains(partition)) {
            tracing::info!(%partition, "the partition is held elsewhere now; its replica here is closed");
            self.close(*partition).await;
        }
        let held = u32::try_from(self.groups.hosted().len()).unwrap_or(u32::MAX);
        metrics::gauge!(PARTITION_REPLICAS).set(f64::from(held));
        settled
    }
}
