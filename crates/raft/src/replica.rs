//! One replica of one group's state: the rules' value, the log position it stands at, and who waits for a position.
//!
//! What does not belong here: Raft itself (`machine`), and any decision of the rules.

use crate::{
    clock::{boot_time, wall_clock},
    payload::{self, CLUSTER_FORMAT_VERSION, FORMAT_VERSION, PayloadError},
};
use openraft::entry::RaftEntry as _;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use rollcall_cluster::ClusterClock;
use rollcall_storage::{Entry, EntryPayload, LogId, StoredMembership};
use rollcall_types::{ClusterTime, LogIndex};
use std::io;
use tokio::sync::watch;

/// A state that is replicated through a log.
pub trait Replicated: Sized + Send + Sync + 'static {
    /// What enters the log.
    type Command;
    /// What its proposer hears.
    type Outcome;
    /// Cluster time of the last command applied; 0 before the first.
    fn time(&self) -> ClusterTime;
    /// Applies one command at its position. Never fails: every refusal is an outcome.
    fn apply(&mut self, index: LogIndex, command: Self::Command) -> Self::Outcome;
    /// The state as a snapshot holds it.
    ///
    /// # Errors
    /// When it cannot be encoded.
    fn encode(&self) -> Result<Vec<u8>, PayloadError>;
    /// The reverse of [`Self::encode`].
    ///
    /// # Errors
    /// When the bytes are no state of a known version.
    fn decode(bytes: &[u8]) -> Result<Self, PayloadError>;
    /// Reads a command as the log holds it.
    ///
    /// # Errors
    /// When the bytes are no command of a known version.
    fn decode_command(bytes: &[u8]) -> Result<Self::Command, PayloadError>;
    /// An outcome as its proposer reads it.
    ///
    /// # Errors
    /// When it cannot be encoded.
    fn encode_outcome(outcome: &Self::Outcome) -> Result<Vec<u8>, PayloadError>;
}

/// The state of one group on this node.
pub struct Replica<S> {
    applied: RwLock<Applied<S>>,
    position: watch::Sender<Position>,
    clock: Mutex<ClusterClock>,
}

/// The state and how far the log is applied to it.
pub struct Applied<S> {
    /// The rules' value.
    pub state: S,
    last: Option<LogId>,
    membership: StoredMembership,
    restored: u64,
}

impl<S> Applied<S> {
    #[cfg(test)]
    pub(crate) fn of(state: S, restored: u64) -> Self {
        Applied { state, last: None, membership: StoredMembership::default(), restored }
    }

    /// How often the state was replaced by a snapshot: it did not grow out of the one before then.
    pub(crate) fn restored(&self) -> u64 {
        self.restored
    }

    /// Index of the last entry applied; 0 before the first.
    #[must_use]
    pub fn index(&self) -> LogIndex {
        LogIndex(self.last.as_ref().map_or(0, |l| l.index))
    }
}

/// How far a replica has come: index and term of the last entry applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Index of the last entry applied.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
}

impl<S: Replicated> Replica<S> {
    /// A replica at the beginning of its log.
    pub fn new(state: S) -> Self {
        let clock = ClusterClock::new(state.time(), boot_time(), wall_clock());
        Replica {
            clock: Mutex::new(clock),
            applied: RwLock::new(Applied { state, last: None, membership: StoredMembership::default(), restored: 0 }),
            position: watch::Sender::new(Position::default()),
        }
    }

    /// The state, held still for the time of a look.
    pub fn read(&self) -> RwLockReadGuard<'_, Applied<S>> {
        self.applied.read()
    }

    /// Cluster time now, as this replica reckons it: what its leader puts into a command. Every replica keeps it up, so
    /// that whoever leads next goes on from the same time.
    pub fn now(&self) -> ClusterTime {
        self.clock.lock().at(boot_time())
    }

    /// How far this replica has come.
    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// Sees every move of [`Self::position`].
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }
}

/// What the Raft side needs of a replica, whatever its state.
pub(crate) trait AnyReplica: Send + Sync + 'static {
    fn apply(&self, entry: &Entry) -> io::Result<Vec<u8>>;
    fn applied(&self) -> (Option<LogId>, StoredMembership);
    fn snapshot(&self) -> io::Result<(Option<LogId>, StoredMembership, Vec<u8>)>;
    fn restore(&self, last: Option<LogId>, membership: StoredMembership, bytes: &[u8]) -> io::Result<()>;
}

impl<S: Replicated> Replica<S> {
    fn moved(&self, last: Option<&LogId>) {
        if let Some(last) = last {
            let position = Position { index: last.index, term: last.leader_id.term };
            self.position.send_replace(position);
        }
    }
}

impl<S: Replicated> AnyReplica for Replica<S> {
    fn apply(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        let log_id = entry.log_id();
        let outcome = match &entry.payload {
            EntryPayload::Normal(bytes) => {
                // Decoded before the lock is taken: readers wait only for the rules.
                let command = S::decode_command(bytes.as_ref()).map_err(io::Error::other)?;
                let mut applied = self.applied.write();
                let outcome = applied.state.apply(LogIndex(log_id.index), command);
                applied.last = Some(log_id);
                let time = applied.state.time();
                drop(applied);
                self.clock.lock().applied(time, boot_time());
                S::encode_outcome(&outcome).map_err(io::Error::other)?
            }
            EntryPayload::Blank => {
                self.applied.write().last = Some(log_id);
                Vec::new()
            }
            EntryPayload::Membership(membership) => {
                let mut applied = self.applied.write();
                applied.membership = StoredMembership::new(Some(log_id), membership.clone());
                applied.last = Some(log_id);
                Vec::new()
            }
        };
        self.moved(Some(&log_id));
        Ok(outcome)
    }

    fn applied(&self) -> (Option<LogId>, StoredMembership) {
        let applied = self.applied.read();
        (applied.last, applied.membership.clone())
    }

    fn snapshot(&self) -> io::Result<(Option<LogId>, StoredMembership, Vec<u8>)> {
        let applied = self.applied.read();
        let bytes = applied.state.encode().map_err(io::Error::other)?;
        Ok((applied.last, applied.membership.clone(), bytes))
    }

    fn restore(&self, last: Option<LogId>, membership: StoredMembership, bytes: &[u8]) -> io::Result<()> {
        let state = S::decode(bytes).map_err(io::Error::other)?;
        self.clock.lock().applied(state.time(), boot_time());
        {
            let mut applied = self.applied.write();
            applied.state = state;
            applied.last = last;
            applied.membership = membership;
            applied.restored += 1;
        }
        self.moved(last.as_ref());
        Ok(())
    }
}

impl Replicated for rollcall_cluster::ClusterState {
    type Command = rollcall_cluster::ClusterCommand;
    type Outcome = rollcall_cluster::ClusterOutcome;
    fn time(&self) -> ClusterTime {
        rollcall_cluster::ClusterState::time(self)
    }
    fn apply(&mut self, index: LogIndex, command: Self::Command) -> Self::Outcome {
        rollcall_cluster::ClusterState::apply(self, index, command)
    }
    fn encode(&self) -> Result<Vec<u8>, PayloadError> {
        if self.access().is_unused() {
            return payload::encode(self);
        }
        payload::encode_with_tail_as(CLUSTER_FORMAT_VERSION, self, Some(self.access()))
    }
    fn decode(bytes: &[u8]) -> Result<Self, PayloadError> {
        match payload::version(bytes, CLUSTER_FORMAT_VERSION)? {
            (FORMAT_VERSION, body) => payload::decode_body(body),
            (_, body) => {
                let (state, access) = payload::decode_body_with_tail::<Self, _>(body)?;
                Ok(state.with_access(access.unwrap_or_default()))
            }
        }
    }
    fn decode_command(bytes: &[u8]) -> Result<Self::Command, PayloadError> {
        payload::decode_up_to(CLUSTER_FORMAT_VERSION, bytes)
    }
    fn encode_outcome(outcome: &Self::Outcome) -> Result<Vec<u8>, PayloadError> {
        payload::encode_as(outcome.format_version(), outcome)
    }
}
