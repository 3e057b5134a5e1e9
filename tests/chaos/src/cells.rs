//! The cells: each one fault, how it begins and how it heals. What does not belong here: the traffic before, during and
//! after it, which is the same for all.

use crate::crash_points;
use crate::history::{Fault, Nanos, Recorder};
use crate::membership;
use crate::packets;
use crate::system::{self, SystemFault};
use rand::Rng;
use rand::rngs::StdRng;
use rollcall_test_cluster::Cluster;
use rollcall_test_cluster::deadline;
use std::time::{Duration, Instant};

/// How long a fault lasts that does not end by itself: longer than a lease and its margin, and an election after it.
const FAULT: Duration = Duration::from_secs(8);
/// How long a killed node stays away.
const AWAY: Duration = Duration::from_secs(5);
/// An election time-out of the groups is at most this.
const ELECTION_TIMEOUT: Duration = Duration::from_millis(1_000);

/// What the nodes of a cell stand on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ground {
    /// Network namespaces.
    Namespaces,
    /// Loopback, each node with a disk that can lose its power.
    Disks,
    /// Loopback.
    Loopback,
}

/// Whom a fault is aimed at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The leader of the cluster group.
    Leader,
    /// One of the others.
    Follower,
}

/// One kind of fault.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// `kill -9` of one node.
    Kill(Target),
    /// `kill -9` of all at once.
    KillAll,
    /// SIGSTOP, for so many election time-outs.
    Pause(Target, f32),
    /// One node without its peers; its clients still reach it.
    Isolate(Target),
    /// What a node sends to one other is lost; what it hears is not.
    OneWay(Target),
    /// Two nodes do not hear each other; both hear the third.
    Bridge,
    /// A node without its clients; its peers still reach it.
    ClientsCut(Target),
    /// So many of a hundred packets between nodes are lost.
    Loss(u32),
    /// Connections between nodes are reset.
    Reset(Target),
    /// Packets between nodes take so many milliseconds, more or less so many, and overtake each other.
    Delay(u64, u64),
    /// A node sends at most so many thousand bits a second to the others.
    Narrow(Target, u32),
    /// A node gets a tenth of the processor.
    Starve(Target),
    /// Each node is stopped in turn, as for a new release, and started again.
    Rolling,
    /// `kill -9` of one node, whose disk is empty when it comes back.
    LoseDisk(Target),
    /// Two nodes join, one of the others dies and comes back, and the two leave again.
    GrowAndShrink(Target),
    /// `kill -9` of one node, whose clocks begin elsewhere when it comes back.
    ClockOffset(Target),
    /// A node gets no more memory.
    LimitMemory(Target),
    /// Every access to a node's disk fails.
    FailDisk(Target),
    /// A node dies at each of the program's named points in turn.
    CrashPoints(Target),
    /// The power of all nodes is cut.
    PowerLoss,
    /// `kill -9` of one node with members of the shared group, then another one without its peers.
    LoseMembers(Target),
    /// A fault of the machine beneath one node.
    System(Target, SystemFault),
}

/// A cell of the run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Cell {
    /// Its name.
    pub name: &'static str,
    /// Its fault.
    pub kind: Kind,
}

const fn cell(name: &'static str, kind: Kind) -> Cell {
    Cell { name, kind }
}

/// All cells, those of the short run first.
pub const CELLS: [Cell; 32] = [
    cell("kill-follower", Kind::Kill(Target::Follower)),
    cell("kill-leader", Kind::Kill(Target::Leader)),
    cell("kill-all", Kind::KillAll),
    cell("pause-leader-2x", Kind::Pause(Target::Leader, 2.0)),
    cell("pause-follower-10x", Kind::Pause(Target::Follower, 10.0)),
    cell("isolate-follower", Kind::Isolate(Target::Follower)),
    cell("isolate-leader", Kind::Isolate(Target::Leader)),
    cell("one-way-leader", Kind::OneWay(Target::Leader)),
    cell("bridge", Kind::Bridge),
    cell("lose-members", Kind::LoseMembers(Target::Follower)),
    cell("clients-cut", Kind::ClientsCut(Target::Follower)),
    cell("loss-20", Kind::Loss(20)),
    cell("reset", Kind::Reset(Target::Leader)),
    cell("power-loss", Kind::PowerLoss),
    cell("slow-sync", Kind::System(Target::Leader, SystemFault::SlowSync)),
    cell("sync-error", Kind::System(Target::Follower, SystemFault::SyncError)),
    cell("delay", Kind::Delay(75, 50)),
    cell("rolling", Kind::Rolling),
    cell("pause-leader-0.5x", Kind::Pause(Target::Leader, 0.5)),
    cell("pause-leader-10x", Kind::Pause(Target::Leader, 10.0)),
    cell("loss-50", Kind::Loss(50)),
    cell("clock-forward", Kind::System(Target::Leader, SystemFault::ClockJump(3_600))),
    cell("clock-back", Kind::System(Target::Leader, SystemFault::ClockJump(-3_600))),
    cell("disk-full", Kind::System(Target::Follower, SystemFault::DiskFull)),
    cell("narrow", Kind::Narrow(Target::Leader, 256)),
    cell("starve-leader", Kind::Starve(Target::Leader)),
    cell("lose-disk", Kind::LoseDisk(Target::Follower)),
    cell("grow-and-shrink", Kind::GrowAndShrink(Target::Follower)),
    cell("delay-long", Kind::Delay(300, 250)),
    cell("clock-offset", Kind::ClockOffset(Target::Leader)),
    cell("memory-limit", Kind::LimitMemory(Target::Leader)),
    cell("fail-disk", Kind::FailDisk(Target::Leader)),
];

/// The cell for a program that can die at its named points.
pub const CRASH_POINTS: Cell = cell("crash-points", Kind::CrashPoints(Target::Follower));

/// The number of cells in a short run.
pub const SHORT: usize = 18;

impl Cell {
    /// What its nodes stand on.
    #[must_use]
    pub fn ground(&self) -> Ground {
        match self.kind {
            Kind::PowerLoss | Kind::FailDisk(_) => Ground::Disks,
            Kind::GrowAndShrink(_) | Kind::CrashPoints(_) => Ground::Loopback,
            _ => Ground::Namespaces,
        }
    }

    /// Chooses the target, and does what must be done to it before the traffic begins.
    pub fn prepare(&self, cluster: &mut Cluster, random: &mut StdRng) -> usize {
        let target = self.target(cluster, random);
        if let Kind::System(_, fault) = self.kind {
            system::prepare(fault, cluster, target);
        }
        target
    }

    /// The target of one more round of the same fault. What was prepared on a node stays there.
    pub fn again(&self, cluster: &Cluster, target: usize, random: &mut StdRng) -> usize {
        if matches!(self.kind, Kind::System(..)) { target } else { self.target(cluster, random) }
    }

    fn target(&self, cluster: &Cluster, random: &mut StdRng) -> usize {
        let leader = cluster.leader();
        let others = cluster.others(leader);
        match self.kind {
            Kind::Kill(target)
            | Kind::LoseMembers(target)
            | Kind::Pause(target, _)
            | Kind::Isolate(target)
            | Kind::OneWay(target)
            | Kind::ClientsCut(target)
            | Kind::Reset(target)
            | Kind::Narrow(target, _)
            | Kind::Starve(target)
            | Kind::LoseDisk(target)
            | Kind::GrowAndShrink(target)
            | Kind::ClockOffset(target)
            | Kind::LimitMemory(target)
            | Kind::FailDisk(target)
            | Kind::CrashPoints(target)
            | Kind::System(target, _) => match target {
                Target::Leader => leader,
                Target::Follower => others[random.random_range(0..others.len())],
            },
            Kind::KillAll | Kind::Bridge | Kind::Loss(_) | Kind::Delay(..) | Kind::Rolling | Kind::PowerLoss => {
                random.random_range(0..cluster.nodes.len())
            }
        }
    }

    /// Undoes what `prepare` did to the machine. The nodes are gone by then, or will be soon.
    pub fn clean_up(&self, cluster: &Cluster, target: usize) {
        if let Kind::System(_, fault) = self.kind {
            system::clean_up(fault, cluster, target);
        }
    }

    /// Lets the fault begin, last and heal, and writes it down.
    pub fn strike(&self, cluster: &mut Cluster, target: usize, recorder: &Recorder) {
        let from_ns = recorder.now();
        let nodes = cluster.nodes.len();
        match self.kind {
            Kind::Kill(_) => {
                cluster.nodes[target].kill();
                last(AWAY);
                cluster.nodes[target].start();
            }
            Kind::LoseMembers(_) => {
                cluster.nodes[target].kill();
                last(AWAY);
                cluster.nodes[target].start();
                recorder.fault(self.line(cluster.nodes[target].name.clone(), from_ns, recorder.now()));
                // A majority must be there when the next one goes.
                let next = (target + 1) % nodes;
                cluster.wait_node_ready(target);
                let network = cluster.network.as_ref().expect("the cell has a network");
                let cut_ns = recorder.now();
                network.cut_from_peers(next);
                last(FAULT);
                network.heal(next);
                recorder.fault(self.line(cluster.nodes[next].name.clone(), cut_ns, recorder.now()));
                return;
            }
            Kind::KillAll => {
                cluster.nodes.iter_mut().for_each(rollcall_test_cluster::node::Node::kill);
                cluster.nodes.iter_mut().for_each(rollcall_test_cluster::node::Node::start);
            }
            Kind::Pause(_, times) => {
                cluster.nodes[target].pause();
                last(ELECTION_TIMEOUT.mul_f32(times));
                cluster.nodes[target].resume();
            }
            Kind::PowerLoss => {
                cluster.disks.iter().for_each(rollcall_test_cluster::disk::Disk::cut_power);
                cluster.nodes.iter_mut().for_each(rollcall_test_cluster::node::Node::kill);
                cluster.disks.iter().for_each(rollcall_test_cluster::disk::Disk::restore_power);
                cluster.nodes.iter_mut().for_each(rollcall_test_cluster::node::Node::start);
            }
            Kind::System(_, fault) => system::strike(fault, cluster, target, FAULT),
            Kind::Starve(_) => system::starve(cluster, target, FAULT),
            Kind::ClockOffset(_) => system::offset_clock(cluster, target, FAULT),
            Kind::LimitMemory(_) => system::limit_memory(cluster, target, FAULT),
            Kind::FailDisk(_) => system::fail_disk(cluster, target, FAULT),
            Kind::CrashPoints(_) => crash_points::die_at_each(cluster, target),
            Kind::LoseDisk(_) => system::lose_disk(cluster, target),
            Kind::Rolling => system::restart_in_turn(cluster),
            Kind::GrowAndShrink(_) => membership::grow_and_shrink(cluster, target),
            Kind::Isolate(_)
            | Kind::OneWay(_)
            | Kind::Bridge
            | Kind::ClientsCut(_)
            | Kind::Loss(_)
            | Kind::Delay(..)
            | Kind::Narrow(..)
            | Kind::Reset(_) => {
                let network = cluster.network.as_ref().expect("the cell has a network");
                let next = (target + 1) % nodes;
                let mut delaying: Vec<packets::HoldingBack> = Vec::new();
                match self.kind {
                    Kind::Isolate(_) => network.cut_from_peers(target),
                    Kind::OneWay(_) => packets::cut_one_way(network, target, next),
                    Kind::Bridge => {
                        packets::cut_one_way(network, target, next);
                        packets::cut_one_way(network, next, target);
                    }
                    Kind::ClientsCut(_) => packets::cut_from_clients(network, target),
                    Kind::Loss(of_hundred) => (0..nodes).for_each(|node| packets::lose(network, node, of_hundred)),
                    Kind::Delay(mean_ms, jitter_ms) => {
                        delaying.extend((0..nodes).map(|node| packets::hold_back(network, node, mean_ms, jitter_ms)));
                    }
                    Kind::Narrow(_, kbit) => packets::narrow(network, target, kbit),
                    _ => packets::reset(network, target),
                }
                last(FAULT);
                network.heal(target);
                packets::heal(network, nodes);
                drop(delaying);
            }
        }
        let target = match self.kind {
            Kind::KillAll | Kind::PowerLoss | Kind::Loss(_) | Kind::Delay(..) | Kind::Rolling => "all".to_owned(),
            _ => cluster.nodes[target].name.clone(),
        };
        recorder.fault(self.line(target, from_ns, recorder.now()));
    }

    fn line(&self, target: String, from_ns: Nanos, to_ns: Nanos) -> Fault {
        Fault { cell: self.name.to_owned(), fault: self.name.to_owned(), target, from_ns, to_ns }
    }
}

/// Lets time pass while a fault lasts: the one thing here that is no condition.
pub fn last(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        deadline::pause();
    }
}
