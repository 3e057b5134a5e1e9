//! Which steps there are, and in which order.
//!
//! Everything builds with the dev profile over the whole workspace: another profile, or another choice of packages,
//! would compile the dependencies once more.

use crate::step::{Program, Step};

fn step(name: &'static str, cargo: &[&str], repair: &'static str) -> Step {
    let cargo = cargo.iter().map(|argument| (*argument).to_owned()).collect();
    Step { name, program: None, cargo, environment: Vec::new(), repair, needs: None }
}

/// The proof. Quick steps first; the tests last. `cargo test --workspace` holds the unit tests, the transcripts (compared,
/// not rewritten), the architecture and the process clusters.
pub(crate) fn verify() -> Vec<Step> {
    vec![
        step("format", &["fmt", "--all", "--check"], "cargo xtask fix --only format"),
        Step {
            needs: Some("cargo-deny"),
            ..step(
                "dependencies",
                &["deny", "--all-features", "check", "bans", "licenses", "sources"],
                "take the library out again, or allow it with a reason in deny.toml",
            )
        },
        step(
            "lints",
            &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
            "cargo xtask fix --only lints, then by hand what is left",
        ),
        Step {
            environment: vec![("RUSTDOCFLAGS", "-D warnings".to_owned())],
            ..step(
                "documentation",
                &["doc", "--workspace", "--no-deps", "--document-private-items"],
                "mend the comment that the message names",
            )
        },
        deployment("chart", &["checks"], "mend what it names; the chart's README: python3 tests/deploy/readme.py"),
        step("build", &["build", "--workspace", "--all-targets"], "mend what the compiler names"),
        step(
            "tests",
            &["test", "--workspace", "--no-fail-fast"],
            "mend it; if transcripts or generated pages differ and the new text is right: cargo xtask fix",
        ),
    ]
}

/// What `.ci/run` calls: the proof, and between build and tests the short run of chaos, the chart in namespaces, the console
/// in a browser and the management API's description. The compose cluster is a campaign of its own: it wants an engine and
/// a base image. The tests stay last, so that the output ends with what they say.
pub(crate) fn ci() -> Vec<Step> {
    let mut steps = verify();
    let tests = steps.pop();
    steps.push(chaos_program("chaos", vec!["--short".to_owned()]));
    steps.push(chart_drill());
    steps.push(console_drill());
    steps.push(described());
    steps.extend(tests);
    steps
}

/// The tests that write pages instead of comparing them, in the crates whose facts the pages tell.
const GENERATED_PAGES: [&str; 15] = [
    "test",
    "--workspace",
    "--lib",
    "--test",
    "cli",
    "--test",
    "the_workspace_obeys",
    "--test",
    "conformance",
    "--",
    "config::tests::reference",
    "the_page_about_the_program",
    "the_page_about_conformance",
    "every_case_that_a_test_carries",
    "--quiet",
];

/// What can be repaired by rote.
pub(crate) fn fix() -> Vec<Step> {
    vec![
        step(
            "lints",
            &["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--allow-staged"],
            "mend what the compiler names",
        ),
        step("format", &["fmt", "--all"], "mend what the formatter names"),
        Step {
            environment: vec![("UPDATE_TRANSCRIPTS", "1".to_owned())],
            ..step(
                "transcripts",
                &["test", "--workspace", "--test", "it", "transcripts"],
                "see what the test says, and read `git diff`",
            )
        },
        Step {
            environment: vec![("ROLLCALL_TEST_REWRITE", "1".to_owned())],
            ..step("generated pages", &GENERATED_PAGES, "add what the message asks for to the page that it names")
        },
    ]
}

/// The scenarios alone. The program is built with all else, since the choice of packages decides on the features of
/// the dependencies.
pub(crate) fn cluster(scenario: Option<&str>) -> Vec<Step> {
    let mut run = step("scenarios", &["test", "--workspace", "--test", "scenarios"], "read the logs it prints");
    run.cargo.extend(scenario.map(str::to_owned));
    vec![step("build", &["build", "--workspace", "--all-targets"], "mend what the compiler names"), run]
}

/// One scenario for long. The program is built first, as for all of them.
pub(crate) fn soak(minutes: u64, rate: u64) -> Vec<Step> {
    let mut steps = cluster(Some("under_the_same_load_for_long"));
    if let Some(run) = steps.last_mut() {
        run.cargo.extend(["--", "--nocapture"].map(str::to_owned));
        run.environment =
            vec![("ROLLCALL_SOAK_MINUTES", minutes.to_string()), ("ROLLCALL_SOAK_RATE", rate.to_string())];
    }
    steps
}

/// One scenario with many clients. The program is built first, as for all of them.
pub(crate) fn storm(clients: u32, events: u64) -> Vec<Step> {
    let mut steps = cluster(Some("in_a_storm_with_kills"));
    if let Some(run) = steps.last_mut() {
        run.cargo.extend(["--", "--nocapture"].map(str::to_owned));
        run.environment =
            vec![("ROLLCALL_STORM_CLIENTS", clients.to_string()), ("ROLLCALL_STORM_EVENTS", events.to_string())];
    }
    steps
}

/// Seeds of faults over the rules. Optimized: the rules need few dependencies, and thousands of seeds much time.
pub(crate) fn simulate(seeds: u64, seed: Option<u64>) -> Vec<Step> {
    let program = ["run", "--profile", "simulation", "-p", "rollcall-test-simulation", "--bin", "simulate", "--"];
    let mut run = step("seeds", &program, "run a failing one again with --seed, and find its cause");
    match seed {
        Some(seed) => run.cargo.extend(["--seed".to_owned(), seed.to_string()]),
        None => run.cargo.extend(["--seeds".to_owned(), seeds.to_string()]),
    }
    vec![run]
}

/// Seeds of faults in the simulated raft crate.
pub(crate) fn raft_simulate(seeds: u64, seed: Option<u64>) -> Vec<Step> {
    let environment = match seed {
        Some(seed) => ("ROLLCALL_SIMULATION_SEED", seed.to_string()),
        None => ("ROLLCALL_SIMULATION_SEEDS", seeds.to_string()),
    };
    let test = ["test", "--workspace", "--test", "raft_simulation", "fuzz", "--", "--nocapture"];
    vec![Step {
        environment: vec![environment],
        ..step("seeds", &test, "run a failing one again with --seed, and find its cause")
    }]
}

/// The targets of `tests/fuzzing`, with time in place of a number of inputs.
pub(crate) fn fuzz(target: Option<&str>, seconds: u64, seed: Option<u64>) -> Vec<Step> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = seed.unwrap_or_else(|| now.map_or(1, |since| since.as_secs()));
    let test = ["test", "--workspace", "--lib", "--tests", target.unwrap_or("fuzzed_"), "--", "--nocapture"];
    vec![Step {
        environment: vec![("ROLLCALL_FUZZ_SECONDS", seconds.to_string()), ("ROLLCALL_FUZZ_SEED", seed.to_string())],
        ..step("targets", &test, "try the input that the message names alone, and find its cause")
    }]
}

/// The cells of chaos. Mutants want a program that has them; the one without them is built again afterwards, and proved
/// to be without.
pub(crate) fn chaos(arguments: &[String], mutants: bool) -> Vec<Step> {
    let build = || step("build", &["build", "--workspace", "--all-targets"], "mend what the compiler names");
    if !mutants {
        return vec![build(), chaos_program("cells", arguments.to_vec())];
    }
    // A test among the targets, so that dependencies have the features that they have in every other build.
    let with_mutants =
        ["build", "--workspace", "--bins", "--test", "histories", "--features", "rollcall-server/mutants"];
    vec![
        step("build with mutants", &with_mutants, "mend what the compiler names"),
        chaos_program("mutants", [&["--mutants".to_owned()], arguments].concat()),
        build(),
        chaos_program("no mutants in the program", vec!["--without-mutants".to_owned()]),
    ]
}

/// The checks of the chart, then what it renders as processes.
pub(crate) fn chart() -> Vec<Step> {
    let mut steps = verify();
    steps.retain(|step| matches!(step.name, "chart" | "build"));
    steps.push(chart_drill());
    steps
}

/// The compose cluster, with the program that is built here or one that the container compiles.
pub(crate) fn containers(from_source: bool) -> Vec<Step> {
    let mut steps = verify();
    steps.retain(|step| step.name == "build" && !from_source);
    steps.push(container_drill(from_source));
    steps
}

/// The console in a browser, with the program that is built here.
pub(crate) fn console() -> Vec<Step> {
    let mut steps = verify();
    steps.retain(|step| step.name == "build");
    steps.push(console_drill());
    steps
}

fn console_drill() -> Step {
    let pictures = "see target/console-screenshots/failed.png, the browser's console and the logs that it prints";
    Step {
        program: Some(Program::Script("tests/console/run")),
        ..step("console", &["target/debug/rollcall"], pictures)
    }
}

/// What the management API says of itself, asked of a real node.
pub(crate) fn openapi() -> Vec<Step> {
    let mut steps = verify();
    steps.retain(|step| step.name == "build");
    steps.push(described());
    steps
}

fn described() -> Step {
    Step {
        program: Some(Program::Script("tests/openapi/run")),
        ..step(
            "openapi",
            &["target/debug/rollcall"],
            "mend the description in crates/http-gateway/src/management, or the answer",
        )
    }
}

fn chart_drill() -> Step {
    deployment("chart drill", &["chart", "target/debug/rollcall"], "read the logs in the folder that it names")
}

fn container_drill(from_source: bool) -> Step {
    let program = if from_source { "--from-source" } else { "target/debug/rollcall" };
    deployment("containers", &["containers", program], "read target/containers/nodes.log and dockerd.log")
}

fn deployment(name: &'static str, arguments: &[&str], repair: &'static str) -> Step {
    Step { program: Some(Program::Script("tests/deploy/run")), ..step(name, arguments, repair) }
}

fn chaos_program(name: &'static str, arguments: Vec<String>) -> Step {
    Step {
        program: Some(Program::Built("rollcall-chaos")),
        cargo: arguments,
        ..step(name, &[], "read the anomalies it prints; target/chaos/ has the whole history")
    }
}
