//! What really happened, as nobody inside the world can know it: connections with what was sent and closed when, each
//! client's state at every log position, and what each reader of a feed has read.

use crate::{
    clients::name,
    invariants::{
        Violation, claims_apply_once, epochs_only_grow, events_follow_the_log, one_owner_per_client, will_fires_once,
    },
    plan::Plan,
};
use rollcall_presence::{FeedEntry, PartitionState, Status};
use rollcall_types::FeedPosition;
use std::collections::{BTreeMap, BTreeSet};

/// A connection.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) client: usize,
    pub(crate) node: usize,
    pub(crate) partition: usize,
    pub(crate) epoch: u64,
    /// When its CONNACK was sent.
    pub(crate) acknowledged: Option<u64>,
    pub(crate) broker_closed: Option<u64>,
    pub(crate) client_closed: Option<u64>,
}

/// A client's state from an index on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Known {
    pub(crate) index: u64,
    pub(crate) status: Status,
}

/// All that is known.
pub(crate) struct Oracle {
    clients: usize,
    pub(crate) connections: BTreeMap<u64, Fact>,
    /// By partition and client, in the order of the log.
    pub(crate) history: Vec<Vec<Vec<Known>>>,
    /// By partition, every entry its feed ever had.
    pub(crate) feeds: Vec<Vec<FeedPosition>>,
    /// By node and partition, how many of those its reader has read or skipped when it began.
    readers: Vec<Vec<usize>>,
    pub(crate) claims: BTreeMap<String, u64>,
    pub(crate) wills: BTreeMap<(usize, u64), u64>,
    questions: u64,
    done: BTreeSet<u64>,
    /// Answers given.
    pub(crate) answers: u64,
}

impl Oracle {
    pub(crate) fn new(plan: &Plan) -> Self {
        let partitions = usize::from(plan.partitions);
        let unknown = Known { index: 0, status: Status::default() };
        Oracle {
            clients: plan.clients,
            connections: BTreeMap::new(),
            history: vec![vec![vec![unknown]; plan.clients]; partitions],
            feeds: vec![Vec::new(); partitions],
            readers: vec![vec![0; partitions]; plan.nodes],
            claims: BTreeMap::new(),
            wills: BTreeMap::new(),
            questions: 0,
            done: BTreeSet::new(),
            answers: 0,
        }
    }

    pub(crate) fn opened(&mut self, connection: u64, client: usize, node: usize) {
        let fact =
            Fact { client, node, partition: 0, epoch: 0, acknowledged: None, broker_closed: None, client_closed: None };
        self.connections.insert(connection, fact);
    }

    pub(crate) fn connack_sent(
        &mut self,
        connection: u64,
        client: usize,
        node: usize,
        partition: usize,
        epoch: u64,
        now: u64,
    ) {
        if let Some(fact) = self.connections.get_mut(&connection) {
            *fact = Fact { client, node, partition, epoch, acknowledged: Some(now), ..fact.clone() };
        }
    }

    pub(crate) fn broker_closed(&mut self, connection: u64, now: u64) {
        if let Some(fact) = self.connections.get_mut(&connection) {
            fact.broker_closed.get_or_insert(now);
        }
    }

    pub(crate) fn client_closed(&mut self, connection: u64, now: u64) {
        if let Some(fact) = self.connections.get_mut(&connection) {
            fact.client_closed.get_or_insert(now);
        }
    }

    pub(crate) fn client_of(&self, connection: u64) -> Option<usize> {
        self.connections.get(&connection).map(|fact| fact.client)
    }

    /// Acknowledged connections that nobody has closed.
    pub(crate) fn open(&self) -> impl Iterator<Item = (u64, &Fact)> {
        let open =
            |fact: &Fact| fact.acknowledged.is_some() && fact.broker_closed.is_none() && fact.client_closed.is_none();
        self.connections.iter().filter(move |(_, fact)| open(fact)).map(|(number, fact)| (*number, fact))
    }

    /// Those of a client whose CONNACK was sent before this time.
    pub(crate) fn held_since(&self, client: usize, time: u64) -> Vec<Fact> {
        let held =
            self.open().filter(|(_, fact)| fact.client == client && fact.acknowledged.is_some_and(|at| at < time));
        held.map(|(_, fact)| fact.clone()).collect()
    }

    /// An entry was appended to a partition's log.
    pub(crate) fn appended(
        &mut self,
        partition: usize,
        index: u64,
        before: &PartitionState,
        after: &PartitionState,
        _now: u64,
    ) -> Result<(), Violation> {
        for client in 0..self.clients {
            let status = after.status(&name(client));
            let known = &mut self.history[partition][client];
            if known.last().is_none_or(|last| last.status != status) {
                known.push(Known { index, status });
            }
        }
        let new = after.feed().after(before.feed().last_position(), usize::MAX).unwrap_or_default();
        for entry in &new {
            self.feeds[partition].push(entry.position);
            claims_apply_once::check(self, after, entry)?;
            will_fires_once::check(self, partition, entry)?;
        }
        one_owner_per_client::check(after)?;
        epochs_only_grow::check(before, after)?;
        Ok(())
    }

    pub(crate) fn reader_began(&mut self, node: usize, cursors: &[FeedPosition]) {
        for (partition, cursor) in cursors.iter().enumerate() {
            let read = self.feeds[partition].iter().filter(|position| *position <= cursor).count();
            self.readers[node][partition] = read;
        }
    }

    pub(crate) fn read_entry(&mut self, node: usize, partition: usize, entry: &FeedEntry) -> Result<(), Violation> {
        let read = &mut self.readers[node][partition];
        let expected = self.feeds[partition].get(*read).copied();
        *read += 1;
        events_follow_the_log::check(node, partition, expected, entry)
    }

    pub(crate) fn asked(&mut self) -> u64 {
        self.questions += 1;
        self.questions
    }

    pub(crate) fn is_done(&self, question: u64) -> bool {
        self.done.contains(&question)
    }

    pub(crate) fn done(&mut self, question: u64) {
        self.answers += 1;
        self.done.insert(question);
    }
}
