//! Larger questions as this node answers them: split by partition, asked side by side, put together again. All of it or
//! an error.

use crate::{
    config::{BATCH_IDS_MAX, CLIENTS_PER_PAGE_MAX},
    groups::Groups,
    presence_reads::{Look, PresenceReads, Seen, SeenWhat},
    reader::Reader,
    waiters::Waiters,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use rollcall_contracts::{
    ClientsPage, ClientsQuestion, KnownClient, PresenceAnswer, PresenceQuestions, StatusAnswer, StatusError,
};
use rollcall_presence::{ClientFacts, ClientFilter, ClientPage, OwedWill};
use rollcall_types::{ClientId, NodeId, NodeName, PartitionId};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// Implements [`PresenceQuestions`] over the groups.
pub struct Questions {
    groups: Arc<Groups>,
    reader: Arc<Reader>,
    reads: PresenceReads,
    waiters: Arc<Waiters>,
    stop: CancellationToken,
}

impl Questions {
    pub(crate) fn new(groups: Arc<Groups>, reader: Arc<Reader>, stop: CancellationToken) -> Self {
        let reads = PresenceReads { groups: Arc::clone(&groups), reader: Arc::clone(&reader) };
        let waiters = Arc::new(Waiters::new(Arc::clone(&groups)));
        Questions { groups, reader, reads, waiters, stop }
    }

    /// Whom the feeds wake.
    pub(crate) fn waiters(&self) -> &Arc<Waiters> {
        &self.waiters
    }

    pub(crate) async fn answer_peer(&self, partition: PartitionId, request: &[u8]) -> Result<Bytes, String> {
        self.reads.answer_peer(partition, request).await
    }

    /// Asks all side by side; the first that cannot answer ends it.
    async fn ask_all(&self, looks: BTreeMap<PartitionId, Look>) -> Result<BTreeMap<PartitionId, Seen>, StatusError> {
        let ask = |(partition, look)| async move { Ok((partition, self.reads.ask(partition, look).await?)) };
        Ok(try_join_all(looks.into_iter().map(ask)).await?.into_iter().collect())
    }

    /// The same on the runtime's threads, for looks that take more time than the way there.
    async fn ask_all_apart(
        &self,
        looks: BTreeMap<PartitionId, Look>,
    ) -> Result<BTreeMap<PartitionId, Seen>, StatusError> {
        let mut asking = JoinSet::new();
        for (partition, look) in looks {
            let reads = self.reads.clone();
            asking.spawn(async move { (partition, reads.ask(partition, look).await) });
        }
        let mut seen = BTreeMap::new();
        while let Some(ended) = asking.join_next().await {
            let (partition, answer) = ended.map_err(|_| StatusError::NotReady)?;
            seen.insert(partition, answer?);
        }
        Ok(seen)
    }

    fn known(&self, facts: ClientFacts) -> KnownClient {
        let node = facts.node.and_then(|node| self.groups.name_of(node));
        KnownClient { facts, node }
    }

    fn node_named(&self, name: &NodeName) -> Option<NodeId> {
        self.groups.topology().names.iter().find(|(_, known)| *known == name).map(|(node, _)| *node)
    }
}

/// The answers of a batch in the order asked, out of those of the partitions, each in the order in which it was asked.
/// `None` when one is missing.
fn in_order(
    partitions: &[PartitionId],
    seen: BTreeMap<PartitionId, Seen>,
    name_of: impl Fn(NodeId) -> Option<NodeName>,
) -> Option<Vec<StatusAnswer>> {
    let mut answers = BTreeMap::new();
    for (partition, Seen { index, what }) in seen {
        let SeenWhat::Statuses(statuses) = what else { return None };
        answers.insert(partition, (index, statuses.into_iter()));
    }
    let next = |partition: &PartitionId| {
        let (index, statuses) = answers.get_mut(partition)?;
        let status = statuses.next()?;
        Some(StatusAnswer {
            online: status.online,
            partition: *partition,
            index: *index,
            epoch: status.epoch,
            node: status.node.and_then(&name_of),
        })
    };
    partitions.iter().map(next).collect()
}

#[async_trait]
impl PresenceQuestions for Questions {
    async fn statuses(&self, client_ids: Vec<ClientId>) -> Result<Vec<StatusAnswer>, StatusError> {
        if client_ids.len() > BATCH_IDS_MAX {
            return Err(StatusError::Busy);
        }
        let partitions: Vec<PartitionId> = client_ids.iter().map(|id| self.groups.partition_of(id)).collect();
        let mut ids: BTreeMap<PartitionId, Vec<ClientId>> = BTreeMap::new();
        for (partition, client_id) in partitions.iter().zip(client_ids) {
            ids.entry(*partition).or_default().push(client_id);
        }
        let looks = ids.into_iter().map(|(partition, ids)| (partition, Look::Statuses(ids))).collect();
        let seen = self.ask_all(looks).await?;
        let topology = self.groups.topology();
        in_order(&partitions, seen, |node| topology.names.get(&node).cloned()).ok_or(StatusError::NoQuorum)
    }

    async fn presence(&self, client_id: ClientId) -> Result<PresenceAnswer, StatusError> {
        let partition = self.groups.partition_of(&client_id);
        let seen = self.reads.ask(partition, Look::Facts(client_id)).await?;
        let SeenWhat::Facts(facts) = seen.what else { return Err(StatusError::NoQuorum) };
        Ok(PresenceAnswer { partition, index: seen.index, client: facts.map(|facts| self.known(facts)) })
    }

    async fn will(&self, client_id: ClientId) -> Result<Option<OwedWill>, StatusError> {
        let partition = self.groups.partition_of(&client_id);
        let seen = self.reads.ask(partition, Look::Will(client_id)).await?;
        let SeenWhat::Will(will) = seen.what else { return Err(StatusError::NoQuorum) };
        Ok(will)
    }

    async fn clients(&self, question: ClientsQuestion) -> Result<ClientsPage, StatusError> {
        let limit = question.limit.clamp(1, CLIENTS_PER_PAGE_MAX);
        let node = match &question.node {
            // Nobody is online on a node that is not there.
            Some(name) => match self.node_named(name) {
                Some(node) => Some(node),
                None => return Ok(ClientsPage::default()),
            },
            None => None,
        };
        let filter = ClientFilter {
            prefix: question.prefix,
            node,
            username: question.username,
            online: question.online,
            since: question.since,
        };
        let look = Look::Page { filter, from: question.from, limit: u32::try_from(limit).unwrap_or(u32::MAX) };
        let partitions = (0..self.groups.topology().partitions).map(PartitionId);
        let seen = self.ask_all_apart(partitions.map(|partition| (partition, look.clone())).collect()).await?;
        let mut parts = Vec::with_capacity(seen.len());
        for Seen { what, .. } in seen.into_values() {
            let SeenWhat::Page(part) = what else { return Err(StatusError::NoQuorum) };
            parts.push(part);
        }
        let page = ClientPage::merged(parts, limit);
        Ok(ClientsPage { clients: page.clients.into_iter().map(|facts| self.known(facts)).collect(), next: page.next })
    }

    async fn status_when(
        &self,
        client_id: ClientId,
        online: bool,
        within: Duration,
    ) -> Result<StatusAnswer, StatusError> {
        let until = Instant::now() + within;
        // Entered before the first look: what changes after that look wakes.
        let mut waiting = self.waiters.enter(&client_id);
        loop {
            let answer = self.reader.status(client_id.clone()).await?;
            if answer.online == online || Instant::now() >= until {
                return Ok(answer);
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(StatusError::NotReady),
                // Whether it was woken or the time is over: the next answer has a read point of its own.
                _ = tokio::time::timeout_at(until, waiting.woken()) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::presence_reads::SeenStatus;
    use rollcall_types::{Epoch, LogIndex};

    fn seen(index: u64, epochs: &[u64]) -> Seen {
        let status = |epoch: &u64| SeenStatus { online: true, epoch: Some(Epoch(*epoch)), node: Some(NodeId(*epoch)) };
        Seen { index: LogIndex(index), what: SeenWhat::Statuses(epochs.iter().map(status).collect()) }
    }

    #[test]
    fn the_answers_of_a_batch_stand_in_the_order_asked() {
        let partitions = [PartitionId(1), PartitionId(0), PartitionId(1), PartitionId(1)];
        let answers = || BTreeMap::from([(PartitionId(0), seen(7, &[10])), (PartitionId(1), seen(9, &[20, 21, 22]))]);
        let name = |node: NodeId| (node.0 != 21).then(|| NodeName(format!("n{}", node.0)));
        let ordered = in_order(&partitions, answers(), name).unwrap();
        let told: Vec<_> = ordered.iter().map(|a| (a.partition.0, a.index.0, a.epoch.unwrap().0)).collect();
        assert_eq!(told, [(1, 9, 20), (0, 7, 10), (1, 9, 21), (1, 9, 22)]);
        assert_eq!(ordered[0].node, Some(NodeName("n20".into())));
        assert_eq!(ordered[2].node, None);
    }

    #[test]
    fn a_batch_with_a_missing_answer_is_no_answer() {
        let partitions = [PartitionId(0), PartitionId(1)];
        let name = |_| None;
        assert!(in_order(&partitions, BTreeMap::from([(PartitionId(0), seen(7, &[10]))]), name).is_none());
        let short = BTreeMap::from([(PartitionId(0), seen(7, &[10])), (PartitionId(1), seen(9, &[]))]);
        assert!(in_order(&partitions, short, name).is_none());
    }
}
