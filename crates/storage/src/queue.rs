//! The bounded queue between the groups' handles and the writer thread.

use crate::{
    group::Group,
    raft_types::{LogId, TypeConfig, Vote},
    record::EncodedEntry,
};
use openraft::storage::IOFlushed;
use parking_lot::{Condvar, Mutex};
use std::{collections::VecDeque, io, sync::Arc, time::Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Most work waiting, in units of [`UNIT_BYTES`]; each write takes at least one. Whoever comes later waits.
pub(crate) const QUEUE_UNITS: u32 = 65_536;

/// Bytes of records that one unit stands for.
pub(crate) const UNIT_BYTES: usize = 1024;

/// Units of writes that go into one group commit; one larger write goes alone.
pub(crate) const COMMIT_UNITS_MAX: u32 = 8_192;

/// One write to one group's log. Those of a group are carried out in the order in which they were pushed.
pub(crate) struct Op {
    pub(crate) group: Arc<Group>,
    pub(crate) kind: OpKind,
    pub(crate) permit: OwnedSemaphorePermit,
}

pub(crate) enum OpKind {
    /// Consecutive entries, beginning where the log ends.
    Append {
        entries: Vec<EncodedEntry>,
        last: LogId,
        /// The view's count of truncations when they were pushed.
        truncations: u64,
        done: IOFlushed<TypeConfig>,
    },
    Vote {
        vote: Vote,
        done: Done,
    },
    Truncate {
        after: Option<LogId>,
        done: Done,
    },
    Purge {
        upto: LogId,
    },
    Committed {
        committed: Option<LogId>,
    },
}

/// Tells a waiting caller how its write ended.
pub(crate) type Done = oneshot::Sender<io::Result<()>>;

impl OpKind {
    /// Whether somebody waits for it to be durable.
    pub(crate) fn is_awaited(&self) -> bool {
        !matches!(self, OpKind::Purge { .. } | OpKind::Committed { .. })
    }
}

/// The queue. Pushing needs a permit, so that the waiting is done outside of any lock.
pub(crate) struct Queue {
    units: Arc<Semaphore>,
    state: Mutex<State>,
    filled: Condvar,
}

struct State {
    ops: VecDeque<Op>,
    closed: bool,
}

/// What [`Queue::take`] found.
pub(crate) struct Taken {
    pub(crate) ops: Vec<Op>,
    /// Nothing will follow.
    pub(crate) closed: bool,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Queue {
            units: Arc::new(Semaphore::new(QUEUE_UNITS as usize)),
            state: Mutex::new(State { ops: VecDeque::new(), closed: false }),
            filled: Condvar::new(),
        }
    }

    /// Waits for room for `bytes` of records. `None` once the queue is closed.
    pub(crate) async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(QUEUE_UNITS).clamp(1, QUEUE_UNITS);
        Arc::clone(&self.units).acquire_many_owned(units).await.ok()
    }

    /// Adds a write, or gives it back once the queue is closed.
    pub(crate) fn push(&self, op: Op) -> Result<(), Op> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(op);
        }
        state.ops.push_back(op);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Takes what waits, up to [`COMMIT_UNITS_MAX`]. Waits for something until `deadline`, or without end.
    pub(crate) fn take(&self, deadline: Option<Instant>) -> Taken {
        let mut state = self.state.lock();
        while state.ops.is_empty() && !state.closed {
            match deadline {
                None => self.filled.wait(&mut state),
                Some(deadline) => {
                    if self.filled.wait_until(&mut state, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        let mut units = 0usize;
        let mut ops = Vec::new();
        while let Some(op) = state.ops.front() {
            units += op.permit.num_permits();
            if units > COMMIT_UNITS_MAX as usize && !ops.is_empty() {
                break;
            }
            ops.extend(state.ops.pop_front());
        }
        Taken { closed: state.closed && state.ops.is_empty(), ops }
    }

    /// Refuses everything from now on. What was pushed before can still be taken.
    pub(crate) fn close(&self) {
        self.units.close();
        self.state.lock().closed = true;
        self.filled.notify_all();
    }
}
