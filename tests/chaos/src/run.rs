//! One cell from start to verdict: a cluster, traffic, the fault, healing, rest, the last questions, and what became of
//! it. What does not belong here: which faults there are, and the checks.

use crate::cells::{Cell, Ground, last};
use crate::check::logged::Disk;
use crate::check::{self, Anomaly, Bounds, Invariant};
use crate::disks;
use crate::history::{Fault, Nanos, Op, Operation, Outcome, QUIET, Recorder};
use crate::workload::{HOLDERS, READERS, Workload};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rollcall_test_cluster::{Cluster, Options, deadline};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Traffic before the fault.
const BEFORE: Duration = Duration::from_secs(4);
/// Traffic after all nodes are ready again.
const AFTER: Duration = Duration::from_secs(3);
/// Fewer answered operations a second before the fault make a cell void.
pub const OPERATIONS_PER_SECOND_MIN: u64 = 100;
/// From the order to come to rest until all holders have.
const REST_WITHIN: Duration = Duration::from_secs(30);
/// A question of the time of rest is asked again for so long.
const LAST_ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// An election, and a second for what a busy machine adds.
const ELECTION_AND_SLACK: Duration = Duration::from_secs(3);

/// From an acknowledgement to the arrival at every subscriber: retransmissions on a busy machine.
const MESSAGE_WITHIN: Duration = Duration::from_secs(3);

/// What became of a cell.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Its name.
    pub cell: String,
    /// The seed of its choices.
    pub seed: u64,
    /// Operations with an answer.
    pub answered: usize,
    /// All operations.
    pub operations: usize,
    /// Answered operations a second before the fault.
    pub per_second_before: u64,
    /// Whether there was too little traffic for a verdict.
    pub void: bool,
    /// What was wrong.
    pub anomalies: Vec<Anomaly>,
    /// Client ids without a verdict.
    pub unknown: Vec<String>,
    /// From the beginning of the fault to the first answer that was asked for after it.
    pub fault_to_answer_ms: Option<u64>,
    /// From the beginning of the fault to the first CONNACK of a CONNECT after it.
    pub fault_to_connack_ms: Option<u64>,
    /// The longest time within the fault in which no question was answered.
    pub longest_silence_ms: Option<u64>,
    /// From healing to all nodes ready.
    pub heal_to_ready_ms: Option<u64>,
}

/// The bounds that the lease gives.
#[must_use]
pub fn bounds(options: &Options) -> Bounds {
    let lease = Duration::from_millis(options.lease_ms);
    let ghost = lease + Duration::from_secs(1) + ELECTION_AND_SLACK;
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(Nanos::MAX);
    Bounds { ghost_ns: nanos(ghost), displaced_ns: nanos(ghost), received_ns: nanos(MESSAGE_WITHIN) }
}

/// Runs a cell. Gives what was written down and a report, in which the linearizability checker has no part yet.
#[must_use]
pub fn run(
    cell: &Cell,
    seed: u64,
    began: Instant,
    fault_rounds: usize,
    logs: &Path,
) -> (Vec<Operation>, Vec<Fault>, Report) {
    let options = Options::default();
    let recorder = Arc::new(Recorder::new(began));
    let (mut ready_ms, mut disks) = (None, BTreeMap::new());
    let whole = catch_unwind(AssertUnwindSafe(|| {
        disks = course(cell, seed, &options, &recorder, fault_rounds, &mut ready_ms, logs);
    }));
    let (operations, faults) = recorder.taken();
    let mut report = measured(cell, seed, &operations, &faults);
    report.heal_to_ready_ms = ready_ms;
    report.anomalies = check::all(&operations, &faults, bounds(&options));
    if whole.is_ok() {
        report.anomalies.extend(check::logged::check(&operations, &disks));
    }
    if let Err(panic) = whole {
        let what = panic.downcast_ref::<String>().cloned();
        let what = what.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
        report.anomalies.push(Anomaly {
            invariant: Invariant::MajorityServes,
            check: "course".to_owned(),
            key: String::new(),
            what: what.chars().take(2_000).collect(),
        });
    }
    (operations, faults, report)
}

fn course(
    cell: &Cell,
    seed: u64,
    options: &Options,
    recorder: &Arc<Recorder>,
    fault_rounds: usize,
    ready_ms: &mut Option<u64>,
    logs: &Path,
) -> BTreeMap<String, Disk> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut cluster = match cell.ground() {
        Ground::Namespaces => Cluster::in_namespaces(options.clone()),
        Ground::Disks => Cluster::on_disks(options.clone()),
        Ground::Loopback => Cluster::start(options.clone()),
    };
    let mut target = cell.prepare(&mut cluster, &mut random);
    let nodes = cluster.nodes.iter().map(|node| (node.name.clone(), node.addresses)).collect();
    let workload = Workload::start(cell.name, recorder, nodes, seed);
    let course = catch_unwind(AssertUnwindSafe(|| {
        last(BEFORE);
        for round in 0..fault_rounds {
            if round > 0 {
                target = cell.again(&cluster, target, &mut random);
            }
            cell.strike(&mut cluster, target, recorder);
            let (_, took) = deadline::timed("all nodes are ready", READY_WITHIN, || all_ready(&mut cluster));
            *ready_ms = Some(millis(took));
            last(AFTER);
        }
        rest(cell, options, &workload, recorder, cluster.nodes.len());
    }));
    workload.finish();
    let disks = catch_unwind(AssertUnwindSafe(|| disks::read(&mut cluster)));
    for node in &cluster.nodes {
        // Kept beside the history; only a reader misses a log that cannot be copied.
        drop(std::fs::copy(node.log(), logs.join(format!("{}-{seed}-{}.log", cell.name, node.name))));
    }
    cell.clean_up(&cluster, target);
    match course.and(disks) {
        Ok(disks) => {
            let file = std::fs::File::create(logs.join(format!("{}-{seed}.disks.json", cell.name)));
            serde_json::to_writer(file.expect("a file for the disks"), &disks).expect("the disks are written down");
            disks
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// From healing to all nodes ready.
const READY_WITHIN: Duration = Duration::from_secs(40);

fn all_ready(cluster: &mut Cluster) -> Result<(), String> {
    for node in &mut cluster.nodes {
        if !node.is_running() {
            return Err(format!("{} has ended", node.name));
        }
        let ready = rollcall_test_cluster::http::request(node.addresses.admin, "GET", "/readyz", &[])?;
        if ready.status != 200 {
            return Err(format!("{}: {}", node.name, ready.text()));
        }
    }
    Ok(())
}

/// Comes to rest, waits until no ghost may be left, and asks every node about every client id in use.
fn rest(cell: &Cell, options: &Options, workload: &Workload, recorder: &Recorder, nodes: usize) {
    workload.settle(REST_WITHIN);
    last(Duration::from_nanos(bounds(options).ghost_ns));
    let from_ns = recorder.now();
    let asker = HOLDERS + READERS;
    for key in workload.keys() {
        for node in 0..nodes {
            let began = Instant::now();
            while !workload.shared().ask(asker, &key, node) && began.elapsed() < LAST_ANSWER_WITHIN {
                deadline::pause();
            }
        }
    }
    recorder.fault(Fault {
        cell: cell.name.to_owned(),
        fault: QUIET.to_owned(),
        target: "all".to_owned(),
        from_ns,
        to_ns: recorder.now(),
    });
}

fn measured(cell: &Cell, seed: u64, operations: &[Operation], faults: &[Fault]) -> Report {
    // Messages are apart: a cell full of them says nothing about the questions.
    let apart = |op: Op| matches!(op, Op::HoldEnd | Op::Subscribe | Op::Publish | Op::Receive);
    let answered = |line: &&Operation| line.outcome == Outcome::Ok && !apart(line.op);
    let fault = faults.iter().find(|fault| fault.fault != QUIET);
    let start = operations.first().map_or(0, |line| line.start_ns);
    let from = fault.map_or(Nanos::MAX, |fault| fault.from_ns);
    let before = operations.iter().filter(answered).filter(|line| line.end_ns.is_some_and(|end| end < from)).count();
    let seconds = if fault.is_some() { (from - start) / 1_000_000_000 } else { 1 };
    let per_second_before = before as u64 / seconds.max(1);
    let first_after = |op: Op| {
        let fault = fault?;
        let lines = operations.iter().filter(answered).filter(|line| line.op == op && line.start_ns >= fault.from_ns);
        Some((lines.filter_map(|line| line.end_ns).min()? - fault.from_ns) / 1_000_000)
    };
    Report {
        cell: cell.name.to_owned(),
        seed,
        answered: operations.iter().filter(answered).count(),
        operations: operations.len(),
        per_second_before,
        void: per_second_before < OPERATIONS_PER_SECOND_MIN,
        anomalies: Vec::new(),
        unknown: Vec::new(),
        fault_to_answer_ms: first_after(Op::Status),
        fault_to_connack_ms: first_after(Op::Connect),
        longest_silence_ms: fault.and_then(|fault| silence(operations, fault)),
        heal_to_ready_ms: None,
    }
}

/// The longest gap between two answers around the fault.
fn silence(operations: &[Operation], fault: &Fault) -> Option<u64> {
    let until = fault.to_ns.saturating_add(5_000_000_000);
    let mut ends: Vec<Nanos> = check::answers(operations)
        .map(|answer| answer.end)
        .filter(|end| (fault.from_ns..until).contains(end))
        .collect();
    ends.push(fault.from_ns);
    ends.sort_unstable();
    ends.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).max()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
