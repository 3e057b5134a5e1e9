//! One node's replica of one group: the real state of the rules, applied entry by entry, kept as snapshots in bytes, and
//! restored from them.

use crate::{
    broken::Broken,
    group::{Group, Rules},
    machine::Snapshot,
    world::World,
};
use rollcall_cluster::ClusterClock;
use rollcall_types::{ClusterTime, LogIndex, NodeId};
use std::{
    cell::{Ref, RefCell},
    collections::BTreeMap,
    rc::Rc,
};
use tokio::sync::{oneshot, watch};

/// How far a replica has come: index and term of the last entry applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Index of the last entry applied.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
}

/// A replica of a running process.
pub struct Replica<S: Rules> {
    me: NodeId,
    state: RefCell<S>,
    position: watch::Sender<Position>,
    /// How far the log is known to be committed here.
    learned: watch::Sender<u64>,
    clock: RefCell<ClusterClock>,
    /// Proposers of this process that wait for an entry to be applied.
    waiting: RefCell<BTreeMap<u64, oneshot::Sender<S::Outcome>>>,
}

impl<S: Rules> Replica<S> {
    /// What a process starts with: the snapshot on its disk, if there is one, and the log as far as it was known to be
    /// committed.
    pub fn open(world: &World, me: NodeId, group: &Group<S>) -> Rc<Self> {
        let machine = world.machine(me);
        let disk = machine.disk.borrow();
        let snapshot = disk.snapshots.get(&group.id);
        let state = snapshot.and_then(|s| postcard::from_bytes::<S>(&s.bytes).ok()).unwrap_or_else(|| group.empty());
        let mut position = snapshot.map_or(Position::default(), |s| Position { index: s.index, term: s.term });
        if world.is_broken(Broken::EntrySkippedAtRestore) && position.index > 0 {
            position.index += 1;
        }
        let learned = disk.committed.get(&group.id).copied().unwrap_or(0).max(position.index);
        let clock = ClusterClock::new(state.time(), world.boot_time(me), machine.clock.wall(&world.scheduler));
        Rc::new(Replica {
            me,
            state: RefCell::new(state),
            position: watch::Sender::new(position),
            learned: watch::Sender::new(learned),
            clock: RefCell::new(clock),
            waiting: RefCell::default(),
        })
    }

    /// The state, for a look.
    pub fn read(&self) -> Ref<'_, S> {
        self.state.borrow()
    }

    /// How far this replica has come.
    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// Sees every move of [`Replica::position`].
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    /// Cluster time now, as this replica reckons it.
    pub fn now(&self, world: &World) -> ClusterTime {
        self.clock.borrow().at(world.boot_time(self.me))
    }

    /// The log is committed up to here.
    pub fn learn(&self, index: u64) {
        self.learned.send_if_modified(|known| {
            let more = index > *known;
            *known = index.max(*known);
            more
        });
    }

    /// The outcome of the entry at this position goes there once it is applied here.
    pub fn answer_at(&self, index: u64, sender: oneshot::Sender<S::Outcome>) {
        self.waiting.borrow_mut().insert(index, sender);
    }

    /// Whatever waits for an entry hears that its outcome is unknown.
    pub fn answer_nobody(&self) {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        drop(waiting);
    }

    /// Applies what is committed, until the process ends.
    pub async fn run(self: Rc<Self>, world: Rc<World>, group: Rc<Group<S>>) {
        let mut learned = self.learned.subscribe();
        loop {
            let target = *learned.borrow_and_update();
            while self.position().index < target {
                let slow_us = world.apply_delay_us(self.me);
                if slow_us > 0 {
                    world.scheduler.sleep_us(slow_us).await;
                }
                if target - self.position().index <= world.plan.log_kept || !self.install(&world, &group) {
                    self.apply_next(&world, &group);
                }
            }
            if learned.changed().await.is_err() {
                return;
            }
        }
    }

    fn apply_next(&self, world: &World, group: &Group<S>) {
        let index = self.position().index + 1;
        let Some((term, command)) = group.entry(index) else { return };
        let mut outcome = None;
        if let Some(command) = command {
            let mut state = self.state.borrow_mut();
            outcome = Some(state.apply(LogIndex(index), command));
            self.clock.borrow_mut().applied(state.time(), world.boot_time(self.me));
        }
        self.moved(world, group, Position { index, term });
        let waiting = self.waiting.borrow_mut().remove(&index);
        if let (Some(waiting), Some(outcome)) = (waiting, outcome) {
            let _ = waiting.send(outcome);
        }
        if index.is_multiple_of(world.plan.snapshot_every) {
            self.save(world, group);
        }
    }

    fn moved(&self, world: &World, group: &Group<S>, position: Position) {
        world.machine(self.me).disk.borrow_mut().committed.insert(group.id, position.index);
        S::applied(world, group, self.me, position.index, &self.read());
        self.position.send_replace(position);
    }

    fn bytes(&self) -> Rc<[u8]> {
        postcard::to_allocvec(&*self.read()).unwrap_or_default().into()
    }

    fn save(&self, world: &World, group: &Group<S>) {
        let Position { index, term } = self.position();
        let snapshot = Snapshot { index, term, bytes: self.bytes() };
        world.machine(self.me).disk.borrow_mut().snapshots.insert(group.id, snapshot);
    }

    /// Takes a snapshot from the leader, which no longer has the entries that are missing here. `false` when it cannot be
    /// reached or is not ahead.
    fn install(&self, world: &World, group: &Group<S>) -> bool {
        let leader = group.leader();
        let Some(process) = world.machine(leader).running() else { return false };
        let Some(from) = S::replica_of(&process, group.id) else { return false };
        let position = from.position();
        if leader == self.me || !world.connected(leader, self.me) || position.index <= self.position().index {
            return false;
        }
        let bytes = from.bytes();
        let Ok(state) = postcard::from_bytes::<S>(&bytes) else { return false };
        world.note(|| format!("{}: {} installs a snapshot of {leader} at {}", group.id, self.me, position.index));
        self.clock.borrow_mut().applied(state.time(), world.boot_time(self.me));
        *self.state.borrow_mut() = state;
        self.waiting.borrow_mut().retain(|index, _| *index > position.index);
        self.moved(world, group, position);
        self.save(world, group);
        true
    }
}
