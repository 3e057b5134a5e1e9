//! One step: a command, its name, what repairs it; run with its output shown and its time printed.

use std::ffi::OsString;
use std::process::Command;
use std::time::{Duration, Instant};

/// One command of a plan.
pub(crate) struct Step {
    /// Short name, shown with its time.
    pub(crate) name: &'static str,
    /// What runs, in place of cargo.
    pub(crate) program: Option<Program>,
    /// Arguments for cargo, or for the program.
    pub(crate) cargo: Vec<String>,
    /// Environment variables set for it.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// What to do when it fails.
    pub(crate) repair: &'static str,
    /// A cargo tool that must be installed, or the step is left out with a word.
    pub(crate) needs: Option<&'static str>,
}

/// What a step runs that is not cargo.
#[derive(Clone, Copy)]
pub(crate) enum Program {
    /// A program beside this one, made by the same build.
    Built(&'static str),
    /// A script of the repository, from its root.
    Script(&'static str),
}

impl Program {
    fn name(self) -> &'static str {
        let (Program::Built(name) | Program::Script(name)) = self;
        name
    }

    fn path(self) -> OsString {
        match self {
            Program::Built(name) => beside_this(name),
            Program::Script(name) => name.into(),
        }
    }
}

enum Ending {
    Passed(Duration),
    LeftOut(&'static str),
    Failed,
}

/// Runs the steps in order up to the first that fails. Before the last one, which is the long one with the tests, the
/// times so far are printed together, so that the output ends with what the tests say. True when all passed.
pub(crate) fn run_all(steps: &[Step]) -> bool {
    let mut times: Vec<(&str, String)> = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        if number > 0 && number + 1 == steps.len() {
            print_times(&times);
        }
        let program = step.program.map_or("cargo", Program::name);
        println!("xtask: {} ({} of {}): {program} {}", step.name, number + 1, steps.len(), step.cargo.join(" "));
        match run(step) {
            Ending::Passed(time) => {
                println!("xtask: {} passed in {:.1} s", step.name, time.as_secs_f64());
                times.push((step.name, format!("{:.1} s", time.as_secs_f64())));
            }
            Ending::LeftOut(tool) => {
                println!("xtask: {} LEFT OUT: {tool} is not installed (cargo install --locked {tool})", step.name);
                times.push((step.name, "left out".to_owned()));
            }
            Ending::Failed => {
                eprintln!("xtask: {} FAILED; to repair: {}", step.name, step.repair);
                return false;
            }
        }
    }
    true
}

fn print_times(times: &[(&str, String)]) {
    let list: Vec<String> = times.iter().map(|(name, time)| format!("{name} {time}")).collect();
    println!("xtask: so far: {}", list.join(", "));
}

fn run(step: &Step) -> Ending {
    if let Some(tool) = step.needs
        && !installed(tool)
    {
        return Ending::LeftOut(tool);
    }
    let began = Instant::now();
    let mut command = Command::new(step.program.map_or_else(cargo, Program::path));
    command.args(&step.cargo).envs(step.environment.iter().map(|(name, value)| (name, value)));
    match command.status() {
        Ok(status) if status.success() => Ending::Passed(began.elapsed()),
        Ok(_) => Ending::Failed,
        Err(error) => {
            eprintln!("xtask: {} did not start: {error}", step.program.map_or("cargo", Program::name));
            Ending::Failed
        }
    }
}

/// Whether `cargo-<verb>` answers, given its full name.
fn installed(tool: &str) -> bool {
    let verb = tool.strip_prefix("cargo-").unwrap_or(tool);
    Command::new(cargo()).args([verb, "--version"]).output().is_ok_and(|output| output.status.success())
}

/// A program that the same build has made.
fn beside_this(program: &str) -> OsString {
    std::env::current_exe().map_or_else(|_| program.into(), |this| this.with_file_name(program).into_os_string())
}

fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
