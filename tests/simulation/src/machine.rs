//! A node's machine: its clock, its disk, and the process that runs on it now. Machines last; processes come and go.

use crate::{node::Process, scheduler::Scheduler};
use rollcall_cluster::DirectoryId;
use rollcall_types::{BootTime, ClusterTime, GroupId, NodeId, NodeName};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

const PPM: u64 = 1_000_000;

/// One machine.
pub struct Machine {
    /// Its node id.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Its data directory.
    pub directory: DirectoryId,
    /// Its clock.
    pub clock: Clock,
    /// What survives a crash.
    pub disk: RefCell<Disk>,
    /// The process, if one runs.
    pub process: RefCell<Option<Rc<Process>>>,
    /// Processes started so far: tells one process of the machine from the next.
    pub lives: Cell<u64>,
}

impl Machine {
    /// The process, if one runs, standing still or not.
    pub fn running(&self) -> Option<Rc<Process>> {
        self.process.borrow().clone()
    }
}

/// A machine's boot clock, with a beginning and a rate of its own, and its wall clock, which is wrong.
#[derive(Debug)]
pub struct Clock {
    /// What it showed at ideal time 0.
    pub begin_ms: u64,
    /// Its rate, in millionths of ideal time.
    pub rate_ppm: u64,
    /// What the wall clock showed at ideal time 0.
    pub wall_ms: u64,
}

impl Clock {
    /// The boot clock now. It also counts while the process stands still.
    pub fn now(&self, scheduler: &Scheduler) -> BootTime {
        BootTime(self.begin_ms + self.counted_us(scheduler) / 1000)
    }

    /// The wall clock now.
    pub fn wall(&self, scheduler: &Scheduler) -> ClusterTime {
        ClusterTime(self.wall_ms + self.counted_us(scheduler) / 1000)
    }

    /// Ideal microseconds in which this clock counts so many milliseconds.
    pub fn ideal_us(&self, ms: u64) -> u64 {
        (ms * 1000 * PPM).div_ceil(self.rate_ppm)
    }

    fn counted_us(&self, scheduler: &Scheduler) -> u64 {
        let counted = u128::from(scheduler.now_us()) * u128::from(self.rate_ppm) / u128::from(PPM);
        u64::try_from(counted).unwrap_or(u64::MAX)
    }
}

/// What a machine keeps of each group: the last snapshot, and how far the log was known to be committed. The log itself is
/// the group's, since only committed entries matter here; the saved terms are the group's, too.
#[derive(Default)]
pub struct Disk {
    /// By group.
    pub snapshots: BTreeMap<GroupId, Snapshot>,
    /// The last commit position saved, by group.
    pub committed: BTreeMap<GroupId, u64>,
}

/// A state at a position, as bytes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The last entry in it.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// The state.
    pub bytes: Rc<[u8]>,
}
