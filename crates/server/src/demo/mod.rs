//! `rollcall demo`: the main job in one command. Three real nodes on loopback, real MQTT devices that come and go, and
//! one node killed; every cell of the tables it prints was asked of that node's own HTTP port.
//!
//! The story and its judgements are in `story.rs`, the processes in `node_process.rs`, the questions in `asking.rs`.

mod asking;
mod devices;
mod node_process;
mod ports;
mod story;
mod verdict;

use crate::{cli::DemoArguments, failure::Failure, open_files, output, signals::StopRequests};
use node_process::NodeProcess;
use ports::NodePorts;
use std::{path::Path, time::Duration};
use story::Story;
use tempfile::TempDir;

/// The account of the demo.
const USERNAME: &str = "user0";
/// Its password.
const PASSWORD: &str = "secret0";
/// Nodes of the demo.
const NODES: usize = 3;
/// The lease of the demo's nodes: the default of the product.
const LEASE_MS: u64 = 5_000;
/// How often the cluster is started anew when a port that was free is taken before its node gets there.
const START_ATTEMPTS: usize = 3;
/// How long three empty nodes may take until each answers.
const FORMING_MAX: Duration = Duration::from_secs(60);
/// How long a node may take to drain at the end.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Runs the demo until it has ended, failed or been interrupted. The nodes end with it, whatever happens.
pub(crate) fn run(arguments: &DemoArguments) -> Result<(), Failure> {
    open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("cannot start the runtime", &error))?;
    runtime.block_on(async {
        let mut stops =
            StopRequests::listen(false).map_err(|error| Failure::io("cannot listen for signals", &error))?;
        let folder = tempfile::Builder::new()
            .prefix("rollcall-demo-")
            .tempdir()
            .map_err(|error| Failure::io("cannot make a temporary folder", &error))?;
        let told = tokio::select! {
            told = tell(&folder, arguments.once) => told,
            request = stops.next() => {
                output::line(format_args!("\n{request}: the demo ends"))?;
                match arguments.once {
                    true => Err(Failure::new("interrupted before all was shown")),
                    false => Ok(()),
                }
            }
        };
        if told.is_err() {
            show_logs(folder.path());
        }
        told
    })
}

async fn tell(folder: &TempDir, once: bool) -> Result<(), Failure> {
    output::line(format_args!(
        "Three nodes on loopback, data under {}, user {USERNAME}, password {PASSWORD}",
        folder.path().display()
    ))?;
    let nodes = start_cluster(folder.path()).await?;
    let mut story = Story::new(nodes);
    story.tell().await?;
    if once {
        output::line("All of it held.")?;
    } else {
        output::line("The cluster stays up until Ctrl-C.")?;
        story.stay().await?;
    }
    story.end(DRAIN_MAX).await;
    Ok(())
}

/// Starts the nodes on free ports and waits until each answers.
async fn start_cluster(folder: &Path) -> Result<Vec<NodeProcess>, Failure> {
    let mut attempt = 1;
    loop {
        let ports = ports::choose(NODES)?;
        let mut nodes = Vec::with_capacity(NODES);
        for (index, of_node) in ports.iter().enumerate() {
            nodes.push(NodeProcess::new(&folder.join(format!("attempt{attempt}")), index, *of_node, &ports)?);
        }
        for node in &mut nodes {
            node.start()?;
        }
        let shown: Vec<String> = nodes
            .iter()
            .map(|node| {
                let NodePorts { mqtt, http, admin, .. } = node.ports();
                format!("  {}: mqtt {mqtt}, http {http}, admin {admin}, process {}", node.name(), node.pid_text())
            })
            .collect();
        output::line(shown.join("\n"))?;
        match asking::wait_until_all_answer(&mut nodes, FORMING_MAX).await {
            Ok(()) => return Ok(nodes),
            Err(failure) if attempt < START_ATTEMPTS && nodes.iter().any(NodeProcess::lost_its_port) => {
                output::line(format_args!("A port was taken meanwhile ({}); again.", failure.sentences().join(" ")))?;
                attempt += 1;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// The ends of the nodes' logs, for whoever has to find out what went wrong.
fn show_logs(folder: &Path) {
    const LINES: usize = 15;
    let Ok(attempts) = std::fs::read_dir(folder) else { return };
    for attempt in attempts.flatten() {
        for index in 0..NODES {
            let path = node_process::log_path(&attempt.path(), index);
            let Ok(log) = std::fs::read(&path) else { continue };
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            output::complain(format_args!("the last lines of {}:", path.display()));
            for line in &lines[lines.len().saturating_sub(LINES)..] {
                output::complain(format_args!("  {line}"));
            }
        }
    }
}
