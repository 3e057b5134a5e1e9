//! Sockets and claims are compared all the time: a socket whose epoch is not current is closed, never claimed anew; a
//! claim of this incarnation without a socket is released.

use futures_util::future::join_all;
use rollcall_broker::Broker;
use rollcall_contracts::{ConnectionEnding as _, EndingKind, PresenceStore as _};
use rollcall_raft::Replication;
use rollcall_types::{ClientId, DisconnectReason, Epoch, Owner};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// Rounds of comparison are this many leases apart.
const LEASES_BETWEEN_ROUNDS: u32 = 6;
/// Most questions of one round under way at once.
const QUESTIONS_AT_ONCE: usize = 256;
/// Sockets against records on this node; above zero for long is an alarm.
const PRESENCE_MISMATCH: &str = "rollcall_presence_mismatch";

/// Runs until dropped.
pub(crate) async fn run(
    replication: Arc<Replication>,
    broker: Arc<Broker>,
    owner: Owner,
    lease: Duration,
    asked: Arc<Notify>,
) {
    let mismatch = metrics::gauge!(PRESENCE_MISMATCH);
    let mut suspects: BTreeMap<ClientId, Epoch> = BTreeMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(lease * LEASES_BETWEEN_ROUNDS) => {}
            () = asked.notified() => {}
        }
        let wrong = close_displaced(&replication, &broker, owner).await;
        let found = claims_without_socket(&replication, &broker, owner);
        #[allow(clippy::cast_precision_loss)]
        mismatch.set((wrong + found.len()) as f64);
        // Only what stood unchanged for a whole round: a connection between claim and socket is no fault.
        for (client_id, epoch) in &found {
            if suspects.get(client_id) == Some(epoch) && !broker.holds(client_id, *epoch) {
                replication.presence().release(client_id.clone(), *epoch, DisconnectReason::ConnectionLost);
            }
        }
        suspects = found;
    }
}

/// Asks a linearizable question about every socket; closes those whose epoch is not current.
async fn close_displaced(replication: &Replication, broker: &Broker, owner: Owner) -> usize {
    let mut wrong = 0;
    let name = replication.groups().name_of(owner.node);
    let held = broker.held();
    for some in held.chunks(QUESTIONS_AT_ONCE) {
        let answers = join_all(some.iter().map(|(client_id, _)| replication.presence().status(client_id.clone())));
        for ((client_id, epoch), answer) in some.iter().zip(answers.await) {
            let Ok(answer) = answer else { continue };
            let current = answer.online && answer.epoch == Some(*epoch) && answer.node == name;
            if !current && broker.holds(client_id, *epoch) {
                wrong += 1;
                broker.claim_ended(client_id, *epoch, EndingKind::Takeover);
            }
        }
    }
    wrong
}

/// The claims of this incarnation, in the partitions with a replica here, that no socket holds.
fn claims_without_socket(replication: &Replication, broker: &Broker, owner: Owner) -> BTreeMap<ClientId, Epoch> {
    let mut found = BTreeMap::new();
    for group in replication.groups().hosted().values() {
        let applied = group.replica().read();
        for (client_id, epoch) in applied.state.claims_of(owner) {
            if !broker.holds(client_id, epoch) {
                found.insert(client_id.clone(), epoch);
            }
        }
    }
    found
}
