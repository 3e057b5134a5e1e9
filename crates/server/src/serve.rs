//! `rollcall server`: one node, from its configuration to its drain.

use crate::{cli::ServerArguments, configuration, failure::Failure, open_files, signals::StopRequests, telemetry};
use rollcall_node::{Complaint, Node, StartError, config::Config};
use std::future::Future;
use tokio::sync::oneshot;

/// Runs a node until it is asked to stop. The first request drains it; a second one ends it at once.
pub(crate) fn run(arguments: &ServerArguments) -> Result<(), Failure> {
    let loaded = configuration::load(arguments.config.as_deref())?;
    let logging = telemetry::start(&loaded.config.telemetry)?;
    for warning in &loaded.warnings {
        tracing::warn!(warning, "configuration");
    }
    match open_files::raise_limit() {
        Some(files) => tracing::info!(files, "open files allowed"),
        None => tracing::info!("open files without limit"),
    }
    // Whoever makes a TLS configuration without naming a provider gets this one. An error means that one is set.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(replication_threads())
        .enable_all()
        .thread_name("rollcall")
        .build()
        .map_err(|error| Failure::io("cannot start the runtime", &error))?;
    runtime.block_on(serve(loaded.config, logging.complaint(), arguments.stop_with_stdin))
}

/// Threads for everything replicated: half of the cores. The HTTP and MQTT listeners have threads of their own, and with
/// fewer threads more messages leave together: on two cores one thread answers a sixth more questions than two.
fn replication_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2)
}

async fn serve(config: Config, log: Complaint, stop_with_stdin: bool) -> Result<(), Failure> {
    let mut stops =
        StopRequests::listen(stop_with_stdin).map_err(|error| Failure::io("cannot listen for signals", &error))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let node = run_node(config, log, async move {
        let _ = stopped.await;
    });
    tokio::pin!(node);
    tokio::select! {
        ended = &mut node => return ended,
        request = stops.next() => {
            tracing::info!(request, "stopping");
            let _ = stop.send(());
        }
    }
    tokio::select! {
        ended = &mut node => ended,
        request = stops.next() => Err(Failure::new(format!("ended by a second {request} before the drain was over"))),
    }
}

/// The one place where the program starts a node.
async fn run_node(config: Config, log: Complaint, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
    let failed = |error: StartError| Failure::new(error.to_string());
    let node = Node::start(config, log).await.map_err(failed)?;
    node.run_until_stopped(shutdown).await.map_err(failed)
}
