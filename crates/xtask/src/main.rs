//! The workspace's own tool: `cargo xtask verify` proves a change and never writes; `cargo xtask fix` repairs what can
//! be repaired by rote; `cargo xtask ci` is what `.ci/run` calls; `cargo xtask cluster` runs the process clusters,
//! `cargo xtask chaos` the same under faults; `cargo xtask chart` and `cargo xtask containers` what is deployed;
//! `cargo xtask console` the console in a browser, and `cargo xtask openapi` a node what its management API says of itself; `cargo xtask simulate` and `cargo xtask raft-simulate` run many seeds of
//! the simulated rules and of the simulated raft crate; `cargo xtask fuzz` tries bytes that nobody means well with.
//!
//! What does not belong here: a rule of the project. Those are tests; this only says in which order things run.

#![forbid(unsafe_code)]

mod plan;
mod step;
mod tree;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use step::Step;

/// The workspace's own tool.
#[derive(Parser)]
#[command(name = "cargo xtask", about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prove a change: format, lints, pages, dependencies, build, tests. Writes nothing but `target/`.
    Verify {
        /// Run only the steps whose name starts so.
        #[arg(long)]
        only: Option<String>,
    },
    /// Repair what can be repaired by rote: format, lints, transcripts, generated pages.
    Fix {
        /// Run only the steps whose name starts so.
        #[arg(long)]
        only: Option<String>,
    },
    /// What `.ci/run` calls: the steps of `verify` and the short run of chaos, with the time of each before the tests
    /// begin.
    Ci,
    /// Run the rules under faults that seeds decide, `tests/simulation`.
    Simulate {
        /// How many seeds, from 0 on.
        #[arg(long, default_value_t = 2000)]
        seeds: u64,
        /// Run this seed alone, with everything that happens in it.
        #[arg(long, conflicts_with = "seeds")]
        seed: Option<u64>,
    },
    /// Run seeds of faults in the simulation of the raft crate, `tests/raft-simulation`.
    RaftSimulate {
        /// How many seeds, from 0 on.
        #[arg(long, default_value_t = 1000)]
        seeds: u64,
        /// Run this seed alone, to see a failure again.
        #[arg(long, conflicts_with = "seeds")]
        seed: Option<u64>,
    },
    /// Try random and damaged bytes and events on all that reads what others send, for so many seconds each.
    Fuzz {
        /// Only targets whose name contains this, in place of `fuzzed_`.
        target: Option<String>,
        /// Seconds for each target; those of one crate run side by side.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// The seed of all choices; another one each time when it is not given.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Start real nodes and run the scenarios of `tests/cluster`.
    Cluster {
        /// Only scenarios whose name contains this.
        scenario: Option<String>,
    },
    /// Three nodes under the same load for a long time: memory stays flat, nothing acknowledged is lost.
    Soak {
        /// How long; memory is judged from the second one on.
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// Messages a second that are tried.
        #[arg(long, default_value_t = 2000)]
        rate: u64,
    },
    /// Clients that reconnect in a tight loop over three nodes that die and come back: all watchers are told one history.
    Storm {
        /// How many clients; each may hold a socket here and one at its node.
        #[arg(long, default_value_t = 10_000)]
        clients: u32,
        /// How many events, about; a node dies for every 100 000.
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
    },
    /// Check the Helm chart with Helm's engine, and run what it renders in network namespaces: 3, 5 and 3 nodes, all restarted
    /// at once. The second part needs root, `ip`, `dnsmasq` and `curl`; `.ci/run` installs them.
    Chart,
    /// Ask a real node everything that its management API says of itself, with made-up arguments.
    Openapi,
    /// Build the image and run the compose cluster on an engine of its own, with containers killed and cut off. Needs root,
    /// Docker, `debootstrap` and `prometheus`; `.ci/run` installs them.
    Containers {
        /// Compile in the container, as users do, in place of taking the program that is built here.
        #[arg(long)]
        from_source: bool,
    },
    /// Open the console of real nodes in Chromium, use it, and keep pictures in `target/console-screenshots/`. Needs
    /// `chromium`, `chromedriver`, `npm` and Python; `.ci/run` installs them.
    Console,
    /// Start real nodes in network namespaces, let faults loose on them, and judge what their clients saw. Needs root,
    /// `ip`, `tc`, `nft`, `iptables`, `strace`, `mkfs.ext4`, `python3` and libfaketime; `.ci/run` installs them.
    Chaos {
        /// The cells that fit into a quarter of an hour, once each.
        #[arg(long)]
        short: bool,
        /// Only these cells, separated by commas.
        #[arg(long)]
        cells: Option<String>,
        /// The seed of all choices.
        #[arg(long)]
        seed: Option<u64>,
        /// Round after round with new seeds, for so many seconds.
        #[arg(long)]
        seconds: Option<u64>,
        /// Prove that each deliberate fault of the server is noticed.
        #[arg(long)]
        mutants: bool,
    },
}

fn main() -> ExitCode {
    let (steps, must_not_write) = match Arguments::parse().command {
        Command::Verify { only } => (chosen(plan::verify(), only.as_deref()), true),
        Command::Fix { only } => (chosen(plan::fix(), only.as_deref()), false),
        Command::Ci => (plan::ci(), true),
        Command::Simulate { seeds, seed } => (plan::simulate(seeds, seed), false),
        Command::RaftSimulate { seeds, seed } => (plan::raft_simulate(seeds, seed), false),
        Command::Fuzz { target, seconds, seed } => (plan::fuzz(target.as_deref(), seconds, seed), false),
        Command::Cluster { scenario } => (plan::cluster(scenario.as_deref()), false),
        Command::Soak { minutes, rate } => (plan::soak(minutes, rate), false),
        Command::Storm { clients, events } => (plan::storm(clients, events), false),
        Command::Openapi => (plan::openapi(), false),
        Command::Chart => (plan::chart(), false),
        Command::Console => (plan::console(), false),
        Command::Containers { from_source } => (plan::containers(from_source), false),
        Command::Chaos { short, cells, seed, seconds, mutants } => {
            let mut arguments = Vec::new();
            arguments.extend(short.then(|| "--short".to_owned()));
            arguments.extend(cells.map(|cells| format!("--cells={cells}")));
            arguments.extend(seed.map(|seed| format!("--seed={seed}")));
            arguments.extend(seconds.map(|seconds| format!("--seconds={seconds}")));
            (plan::chaos(&arguments, mutants), false)
        }
    };
    if steps.is_empty() {
        eprintln!("xtask: no step of that name");
        return ExitCode::from(2);
    }
    let before = must_not_write.then(tree::fingerprint);
    let done = step::run_all(&steps);
    if let (true, Some(before)) = (done, before)
        && before != tree::fingerprint()
    {
        eprintln!("xtask: the run changed files of the project; see `git status` and commit or repair them");
        return ExitCode::FAILURE;
    }
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn chosen(steps: Vec<Step>, only: Option<&str>) -> Vec<Step> {
    steps.into_iter().filter(|step| only.is_none_or(|start| step.name.starts_with(start))).collect()
}
