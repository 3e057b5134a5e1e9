//! Sockets and claims are compared all the time: a socket whose epoch is not current is closed, never claimed anew; a
//! claim of this incarnation without a socket is released. What is compared is linearizable, so a replica that lags
//! never costs a healthy client its connection.

use futures_util::future::join_all;
use rollcall_broker::Broker;
use rollcall_contracts::PresenceStore as _;
use rollcall_raft::Replication;
use rollcall_types::{ClientId, Epoch, Owner, PartitionId};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// Rounds of comparison in one lease.
const ROUNDS_PER_LEASE: u32 = 2;
/// Most questions of one round under way at once.
const QUESTIONS_AT_ONCE: usize = 256;

/// Runs until dropped.
pub(crate) async fn run(
    replication: Arc<Replication>,
    broker: Arc<Broker>,
    owner: Owner,
    lease: Duration,
    asked: Arc<Notify>,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(lease / ROUNDS_PER_LEASE) => {}
            () = asked.notified() => {}
        }
        let held = broker.held();
        if let Some(claims) = claims(&replication, owner, &held).await {
            let found = broker.reconcile(claims);
            if found.mismatched > 0 {
                tracing::debug!(?found, "sockets and claims differ");
            }
        }
    }
}

/// The claims of this incarnation at a read point taken after the call; `None` when that cannot be known now.
async fn claims(replication: &Replication, owner: Owner, held: &[(ClientId, Epoch)]) -> Option<Vec<(ClientId, Epoch)>> {
    let groups = replication.groups();
    let mut claims = Vec::with_capacity(held.len());
    let hosted = groups.hosted();
    let here: BTreeSet<PartitionId> =
        hosted.keys().copied().filter(|partition| groups.answering_replica_of(*partition).is_some()).collect();
    for (partition, hosted) in hosted.iter().filter(|(partition, _)| here.contains(partition)) {
        if !replication.caught_up(*partition).await {
            return None;
        }
        let applied = hosted.replica().read();
        claims.extend(applied.state.presence.claims_of(owner).map(|(client_id, epoch)| (client_id.clone(), epoch)));
    }
    // Partitions that are not answered from here: each socket is asked about.
    let name = groups.name_of(owner.node);
    let elsewhere: Vec<_> = held.iter().filter(|(id, _)| !here.contains(&groups.partition_of(id))).collect();
    for some in elsewhere.chunks(QUESTIONS_AT_ONCE) {
        let answers = join_all(some.iter().map(|(id, _)| replication.presence().status(id.clone()))).await;
        for ((client_id, epoch), answer) in some.iter().zip(answers) {
            let answer = answer.ok()?;
            if answer.online && answer.epoch == Some(*epoch) && answer.node == name {
                claims.push((client_id.clone(), *epoch));
            }
        }
    }
    Some(claims)
}
