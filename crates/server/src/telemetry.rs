//! Logs: where they go and how they look. Standard error, so that standard output stays what was asked for.
//!
//! Lines are written by a thread of their own. Whoever reads standard error may stand still; then lines are dropped,
//! counted and complained of by `/readyz`, and nothing that serves clients waits for the reader.

use crate::failure::Failure;
use rollcall_node::{
    Complaint,
    config::{LogFormat, TelemetryConfig},
};
use std::{
    io::{self, IsTerminal},
    sync::Mutex,
    time::{Duration, Instant},
};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt};

/// Libraries that tell every step at info, and malformed requests of strangers at error: their word counts from here on
/// unless the directives name them.
const QUIET: &str = "openraft=warn,actix_http::h1::dispatcher=off,actix_server=warn,ntex=warn,sled=warn";
/// Lines that wait for the writer; further ones are dropped.
const LINES_WAITING_MAX: usize = 4_096;
/// How long a dropped line is complained of.
const COMPLAIN_FOR: Duration = Duration::from_secs(30);

/// Logging, for as long as this is held; then what waits is written.
pub(crate) struct Logging {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

/// Sets up logging for the rest of the process. `RUST_LOG`, where it is set, wins over the configured level.
pub(crate) fn start(config: &TelemetryConfig) -> Result<Logging, Failure> {
    let (named, directives) = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => ("RUST_LOG", directives),
        _ => ("telemetry.log_level", config.log_level.clone()),
    };
    let filter = EnvFilter::try_new(format!("{QUIET},{directives}"))
        .map_err(|error| Failure::new(format!("{named} is {directives:?}, which is no log level: {error}")))?;
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_WAITING_MAX)
        .thread_name("log-writer")
        .finish(io::stderr());
    let dropped = writer.error_counter();
    let lines = fmt().with_env_filter(filter).with_writer(writer);
    match config.log_format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => lines.json().finish().try_init(),
    }
    .map_err(|error| Failure::new(format!("logging cannot be set up: {error}")))?;
    Ok(Logging { dropped, _writer: guard })
}

impl Logging {
    /// What `/readyz` has to say of the log.
    pub(crate) fn complaint(&self) -> Complaint {
        let dropped = self.dropped.clone();
        let seen: Mutex<(usize, Option<Instant>)> = Mutex::default();
        Box::new(move || {
            let now = dropped.dropped_lines();
            let mut seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if now > seen.0 {
                *seen = (now, Some(Instant::now()));
            }
            let lately = seen.1.is_some_and(|at| at.elapsed() < COMPLAIN_FOR);
            lately.then(|| format!("{now} log lines were dropped: whoever reads standard error stands still"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// A reader that stands still.
    struct Stuck(std::sync::mpsc::Receiver<()>);

    impl io::Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_beyond_the_bound_are_dropped_and_complained_of() {
        let (go_on, stuck) = std::sync::mpsc::channel();
        let (mut writer, guard) =
            NonBlockingBuilder::default().lossy(true).buffered_lines_limit(4).finish(Stuck(stuck));
        let logging = Logging { dropped: writer.error_counter(), _writer: guard };
        let complaint = logging.complaint();
        assert_eq!(complaint(), None);
        for _ in 0..16 {
            writer.write_all(b"a line\n").unwrap_or_else(|error| panic!("{error}"));
        }
        assert!(complaint().is_some_and(|sentence| sentence.contains("log lines were dropped")));
        drop(go_on);
    }
}
