//! Logs: where they go and how they look. Standard error, so that standard output stays what was asked for.

use crate::failure::Failure;
use rollcall_node::config::{LogFormat, TelemetryConfig};
use std::io::{self, IsTerminal};
use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt};

/// Libraries that tell every step at info, and malformed requests of strangers at error: their word counts from here on
/// unless the directives name them.
const QUIET: &str = "openraft=warn,actix_http::h1::dispatcher=off,actix_server=warn,ntex=warn,sled=warn";

/// Sets up logging for the rest of the process. `RUST_LOG`, where it is set, wins over the configured level.
pub(crate) fn start(config: &TelemetryConfig) -> Result<(), Failure> {
    let (named, directives) = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => ("RUST_LOG", directives),
        _ => ("telemetry.log_level", config.log_level.clone()),
    };
    let filter = EnvFilter::try_new(format!("{QUIET},{directives}"))
        .map_err(|error| Failure::new(format!("{named} is {directives:?}, which is no log level: {error}")))?;
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr);
    match config.log_format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => lines.json().finish().try_init(),
    }
    .map_err(|error| Failure::new(format!("logging cannot be set up: {error}")))
}
