//! The program that `cargo xtask chaos` runs: cells under faults, their histories written to `target/chaos/<run>/`, and
//! their verdicts. `judge` judges a history that is there already.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a harness, a failure is the failure of the run")]

use clap::{Parser, Subcommand};
use rollcall_test_chaos::cells::{CELLS, CRASH_POINTS, Cell, SHORT};
use rollcall_test_chaos::check::{Anomaly, Invariant, register};
use rollcall_test_chaos::delay;
use rollcall_test_chaos::history::{self, Operation};
use rollcall_test_chaos::run::{Report, run};
use rollcall_test_chaos::system::CLOCK_LIBRARY;
use rollcall_test_cluster::{binary, deadline, tools};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The linearizability checker has so long for a client id.
const JUDGE_KEY_WITHIN: Duration = Duration::from_secs(20);
/// And so long for a cell; then its process is ended, and the cell has no verdict.
const JUDGE_CELL_WITHIN: Duration = Duration::from_secs(90);
/// A mutant must be caught in this time.
const CAUGHT_WITHIN: Duration = Duration::from_secs(60);
/// Which mutant a node is, in its environment.
const MUTANT_VARIABLE: &str = "ROLLCALL_MUTANT";
/// The Debian packages of the tools.
const PACKAGES: &str = "util-linux iproute2 nftables iptables strace e2fsprogs mount python3 libfaketime";
/// The mutants, each with the cell that must catch it.
const MUTANTS: [(&str, &str); 6] = [
    ("local_reads", "isolate-follower"),
    ("no_sync", "power-loss"),
    ("vote_not_saved", "kill-all"),
    ("read_point_reused", "isolate-leader"),
    ("lease_without_bound", "isolate-follower"),
    ("fence_before_self_fence", "isolate-follower"),
];

/// Real nodes under faults.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Part>,
    /// Only the first cells, with a bound on the time.
    #[arg(long)]
    short: bool,
    /// Only these cells, separated by commas.
    #[arg(long, value_delimiter = ',')]
    cells: Vec<String>,
    /// The seed of all choices; by default the time.
    #[arg(long)]
    seed: Option<u64>,
    /// Goes on, round after round with new seeds, for so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Runs each mutant of the server under the cell that must catch it, and that cell without a mutant.
    #[arg(long)]
    mutants: bool,
    /// Proves that the program under test has no mutants in it.
    #[arg(long)]
    without_mutants: bool,
}

#[derive(Subcommand)]
enum Part {
    /// Judges the lines of a history with the linearizability checker; prints the verdict as JSON.
    Judge {
        /// The file.
        history: PathBuf,
    },
    /// Holds back the packets that a rule hands over in this network namespace.
    Delay {
        /// For so long.
        mean_ms: u64,
        /// More or less.
        jitter_ms: u64,
    },
}

/// What the judging process prints.
#[derive(Serialize, Deserialize)]
struct Judged {
    anomalies: Vec<Anomaly>,
    unknown: Vec<String>,
    operations: usize,
}

#[derive(Serialize)]
struct Summary<'a> {
    cells: &'a [Report],
    operations: usize,
    anomalies: BTreeMap<Invariant, usize>,
    unknown_verdicts: usize,
    void_cells: usize,
    seconds: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Part::Judge { history }) = &arguments.command {
        let lines: Vec<Operation> = history::read(history).expect("a history");
        let verdict = register::check(&lines, JUDGE_KEY_WITHIN);
        let register::Verdict { anomalies, unknown, operations } = verdict;
        println!("{}", serde_json::to_string(&Judged { anomalies, unknown, operations }).expect("JSON"));
        return ExitCode::SUCCESS;
    }
    if let Some(Part::Delay { mean_ms, jitter_ms }) = arguments.command {
        return match delay::hold_back(mean_ms, jitter_ms) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("chaos: no packet can be held back: {error}");
                ExitCode::FAILURE
            }
        };
    }
    if arguments.without_mutants {
        let without = !has_mutants();
        println!("chaos: the program has {} mutants", if without { "no" } else { "still" });
        return if without { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if let Some(missing) = missing_tools() {
        eprintln!("chaos: this needs root and {missing}; on Debian: apt-get install {PACKAGES}");
        return ExitCode::from(2);
    }
    let began = Instant::now();
    let stamp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let seed = arguments.seed.unwrap_or(stamp);
    let folder = binary::workspace_root().join(format!("target/chaos/{stamp}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder of the run");
    println!("chaos: seed {seed}, histories in {}", folder.display());
    if arguments.mutants {
        return mutants(seed, &folder);
    }
    let cells = chosen(&arguments);
    if cells.is_empty() {
        eprintln!("chaos: no cell of that name; there are {}", names(&CELLS));
        return ExitCode::from(2);
    }
    let mut reports = Vec::new();
    for round in 0.. {
        for cell in &cells {
            reports.push(one(cell, seed.wrapping_add(round), &folder, began, 1));
        }
        if arguments.seconds.is_none_or(|seconds| began.elapsed().as_secs() >= seconds) {
            break;
        }
    }
    if summarize(&reports, &folder, began) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn chosen(arguments: &Arguments) -> Vec<Cell> {
    let all = if arguments.short { &CELLS[..SHORT] } else { &CELLS[..] };
    let named = |cell: &&Cell| arguments.cells.iter().any(|name| name == cell.name);
    let mut cells: Vec<Cell> = all.iter().filter(|cell| arguments.cells.is_empty() || named(cell)).copied().collect();
    // Only a program with mutants has the points, and only who asks for them gets them.
    cells.extend([&CRASH_POINTS].into_iter().filter(|cell| named(cell) && has_mutants()));
    cells
}

fn names(cells: &[Cell]) -> String {
    cells.iter().map(|cell| cell.name).collect::<Vec<_>>().join(", ")
}

/// Runs a cell, writes its history down, has it judged, and says how it went.
fn one(cell: &Cell, seed: u64, folder: &Path, began: Instant, rounds: usize) -> Report {
    let (operations, faults, mut report) = run(cell, seed, began, rounds, folder);
    let own = folder.join(format!("{}-{seed}.jsonl", cell.name));
    history::append(&own, &operations).expect("the history");
    history::append(&folder.join("history.jsonl"), &operations).expect("the history");
    history::append(&folder.join("faults.jsonl"), &faults).expect("the faults");
    match judged(&own) {
        Some(judged) => {
            report.anomalies.extend(judged.anomalies);
            report.unknown.extend(judged.unknown);
        }
        None => report.unknown.push("all: the judge took too long".to_owned()),
    }
    std::fs::remove_file(&own).expect("the history of the cell is in the whole one");
    let verdict = if clean(&report) { "ok" } else { "FAILED" };
    println!(
        "chaos: {:20} {verdict}: {} operations, {}/s before; answer after {}, CONNACK {}, longest silence {}, ready {}",
        report.cell,
        report.operations,
        report.per_second_before,
        shown(report.fault_to_answer_ms),
        shown(report.fault_to_connack_ms),
        shown(report.longest_silence_ms),
        shown(report.heal_to_ready_ms)
    );
    for anomaly in report.anomalies.iter().take(8) {
        println!("  {:?} {} {}: {}", anomaly.invariant, anomaly.check, anomaly.key, anomaly.what);
    }
    if !report.unknown.is_empty() {
        println!("  no verdict on {:?}", report.unknown);
    }
    report
}

fn shown(ms: Option<u64>) -> String {
    ms.map_or_else(|| "never".to_owned(), |ms| format!("{ms} ms"))
}

fn clean(report: &Report) -> bool {
    report.anomalies.is_empty() && report.unknown.is_empty() && !report.void
}

/// The verdict of a process of its own, which can be ended.
fn judged(history: &Path) -> Option<Judged> {
    let output = history.with_extension("verdict");
    let file = std::fs::File::create(&output).ok()?;
    let this = std::env::current_exe().ok()?;
    let mut judge = Command::new(this).arg("judge").arg(history).stdin(Stdio::null()).stdout(file).spawn().ok()?;
    let began = Instant::now();
    let status = loop {
        match judge.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if began.elapsed() < JUDGE_CELL_WITHIN => deadline::pause(),
            _ => {
                drop(judge.kill());
                drop(judge.wait());
                return None;
            }
        }
    };
    let text = std::fs::read(&output).ok()?;
    drop(std::fs::remove_file(&output));
    status.success().then(|| serde_json::from_slice(&text).ok())?
}

fn summarize(reports: &[Report], folder: &Path, began: Instant) -> bool {
    let mut anomalies = BTreeMap::new();
    for anomaly in reports.iter().flat_map(|report| &report.anomalies) {
        *anomalies.entry(anomaly.invariant).or_insert(0) += 1;
    }
    let summary = Summary {
        cells: reports,
        operations: reports.iter().map(|report| report.answered).sum(),
        anomalies,
        unknown_verdicts: reports.iter().map(|report| report.unknown.len()).sum(),
        void_cells: reports.iter().filter(|report| report.void).count(),
        seconds: began.elapsed().as_secs(),
    };
    let text = serde_json::to_string_pretty(&summary).expect("JSON");
    std::fs::write(folder.join("summary.json"), text).expect("the summary");
    println!(
        "chaos: {} cells, {} answered operations, anomalies {:?}, {} unknown verdicts, {} void, {} s; {}",
        reports.len(),
        summary.operations,
        summary.anomalies,
        summary.unknown_verdicts,
        summary.void_cells,
        summary.seconds,
        folder.join("summary.json").display()
    );
    reports.iter().all(clean)
}

/// Whether the program under test was built with mutants, and so with points to die at: the variable's name is in it then.
fn has_mutants() -> bool {
    let bytes = std::fs::read(binary::rollcall()).expect("the program under test");
    bytes.windows(MUTANT_VARIABLE.len()).any(|window| window == MUTANT_VARIABLE.as_bytes())
}

/// What the cells need and is not there.
fn missing_tools() -> Option<String> {
    let programs = ["ip", "unshare", "tc", "nft", "iptables", "strace", "mkfs.ext4", "losetup", "python3"];
    let mut missing: Vec<&str> = programs.into_iter().filter(|name| !tools::program(name)).collect();
    if !Path::new(CLOCK_LIBRARY).exists() {
        missing.push("libfaketime");
    }
    let there = missing.is_empty() && tools::is_root();
    (!there).then(|| missing.join(", "))
}

/// Each mutant in a process of its own, since nodes inherit its environment.
fn mutants(seed: u64, folder: &Path) -> ExitCode {
    let this = std::env::current_exe().expect("the path of this program");
    let mut good = has_mutants();
    if !good {
        eprintln!("chaos: the program has no mutants; `cargo xtask chaos --mutants` builds one that has");
        return ExitCode::FAILURE;
    }
    let passes = |mutant: Option<&str>, cell: &str| {
        let mut command = Command::new(&this);
        command.args(["--cells", cell, "--seed", &seed.to_string()]);
        if let Some(mutant) = mutant {
            command.env(MUTANT_VARIABLE, mutant);
        }
        // 1 is for anomalies; anything else says that the cells did not run.
        match command.status().ok()?.code()? {
            0 => Some(true),
            1 => Some(false),
            _ => None,
        }
    };
    let mut cells: Vec<&str> = MUTANTS.iter().map(|(_, cell)| *cell).collect();
    cells.sort_unstable();
    cells.dedup();
    for cell in cells {
        let passed = passes(None, cell) == Some(true);
        println!("chaos: no mutant, {cell}: {}", if passed { "passed" } else { "FAILED" });
        good &= passed;
    }
    for (mutant, cell) in MUTANTS {
        let began = Instant::now();
        let caught = passes(Some(mutant), cell) == Some(false) && began.elapsed() <= CAUGHT_WITHIN;
        let word = if caught { "caught" } else { "NOT CAUGHT" };
        println!("chaos: mutant {mutant}, {cell}: {word} in {:.0} s", began.elapsed().as_secs_f32());
        good &= caught;
    }
    let survived = passes(None, CRASH_POINTS.name) == Some(true);
    println!("chaos: no mutant, {}: {}", CRASH_POINTS.name, if survived { "passed" } else { "FAILED" });
    good &= survived;
    drop(std::fs::remove_dir(folder));
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
