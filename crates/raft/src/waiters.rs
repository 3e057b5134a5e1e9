//! Who waits for a change of one client, and is woken by the feed of its partition: a wake-up says only that it is worth
//! looking again.
//!
//! Every node follows every feed, from its replica or from a peer that has one, so nobody who waits has to ask again
//! and again, wherever the replicas are.

use crate::{feed_follower::FeedSink, groups::Groups};
use parking_lot::Mutex;
use rollcall_presence::{FeedEntry, Transition};
use rollcall_types::{ClientId, FeedPosition, PartitionId};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::watch;

/// The clients that are waited for. As many as those who wait, whose number is bounded where they come from.
pub(crate) struct Waiters {
    groups: Arc<Groups>,
    clients: Clients,
}

type Clients = Arc<Mutex<HashMap<ClientId, watch::Sender<()>>>>;

/// One who waits. Leaves when dropped.
pub(crate) struct Waiting {
    client_id: ClientId,
    clients: Clients,
    changes: watch::Receiver<()>,
}

impl Waiters {
    pub(crate) fn new(groups: Arc<Groups>) -> Self {
        Waiters { groups, clients: Clients::default() }
    }

    /// Waits for this client from now on.
    pub(crate) fn enter(&self, client_id: &ClientId) -> Waiting {
        enter(&self.clients, client_id)
    }
}

fn enter(clients: &Clients, client_id: &ClientId) -> Waiting {
    let changes = clients.lock().entry(client_id.clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
    Waiting { client_id: client_id.clone(), clients: Arc::clone(clients), changes }
}

/// Wakes those who wait for a client that this holds for.
fn wake(clients: &Clients, concerned: impl Fn(&ClientId) -> bool) {
    for (_, changes) in clients.lock().iter().filter(|(client_id, _)| concerned(client_id)) {
        changes.send_replace(());
    }
}

impl Waiting {
    /// Woken since it entered, or since the last time.
    pub(crate) async fn woken(&mut self) {
        if self.changes.changed().await.is_err() {
            // The sender stays as long as somebody waits, so this does not come about; it must not become a busy loop.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut clients = self.clients.lock();
        if clients.get(&self.client_id).is_some_and(|changes| changes.receiver_count() <= 1) {
            clients.remove(&self.client_id);
        }
    }
}

impl FeedSink for Waiters {
    fn entries(&self, _partition: PartitionId, entries: &[Arc<FeedEntry>]) {
        let clients = self.clients.lock();
        if clients.is_empty() {
            return;
        }
        for entry in entries.iter().filter(|entry| !matches!(entry.transition, Transition::WillDue(_))) {
            if let Some(changes) = clients.get(&entry.client_id) {
                changes.send_replace(());
            }
        }
    }

    fn gap(&self, partition: PartitionId, _: FeedPosition) {
        wake(&self.clients, |client_id| self.groups.partition_of(client_id) == partition);
    }

    fn began(&self, partition: PartitionId, at: FeedPosition) {
        // What changed before is not among the entries.
        self.gap(partition, at);
    }
}

/// One follower for all of them, each told in this order.
pub(crate) struct TellAll(pub(crate) Vec<Arc<dyn FeedSink>>);

impl FeedSink for TellAll {
    fn entries(&self, partition: PartitionId, entries: &[Arc<FeedEntry>]) {
        self.0.iter().for_each(|sink| sink.entries(partition, entries));
    }

    fn gap(&self, partition: PartitionId, until: FeedPosition) {
        self.0.iter().for_each(|sink| sink.gap(partition, until));
    }

    fn began(&self, partition: PartitionId, at: FeedPosition) {
        self.0.iter().for_each(|sink| sink.began(partition, at));
    }

    fn through(&self, partition: PartitionId, position: FeedPosition) {
        self.0.iter().for_each(|sink| sink.through(partition, position));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use futures_util::FutureExt;

    fn client(id: &str) -> ClientId {
        ClientId::new(id).unwrap()
    }

    #[test]
    fn everybody_who_waits_for_a_client_is_woken_and_nobody_else() {
        let clients = Clients::default();
        let (mut first, mut second) = (enter(&clients, &client("a")), enter(&clients, &client("a")));
        let mut other = enter(&clients, &client("b"));
        wake(&clients, |id| id.as_str() == "a");
        assert!(first.woken().now_or_never().is_some() && second.woken().now_or_never().is_some());
        assert!(first.woken().now_or_never().is_none(), "one change wakes once");
        assert!(other.woken().now_or_never().is_none());
    }

    #[test]
    fn a_client_is_kept_as_long_as_somebody_waits_for_it() {
        let clients = Clients::default();
        let first = enter(&clients, &client("a"));
        let mut second = enter(&clients, &client("a"));
        drop(first);
        wake(&clients, |_| true);
        assert!(second.woken().now_or_never().is_some());
        drop(second);
        assert!(clients.lock().is_empty());
    }
}
