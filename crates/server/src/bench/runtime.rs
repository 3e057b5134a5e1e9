//! The threads of the load generator. One by default, so that it takes at most one core from the servers beside it.

use crate::failure::Failure;
use std::future::Future;

/// Runs a measurement.
pub(super) fn run<T>(threads: u16, measurement: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads.into());
    }
    let runtime = builder.enable_all().build().map_err(|error| Failure::io("cannot start the runtime", &error))?;
    runtime.block_on(measurement)
}
