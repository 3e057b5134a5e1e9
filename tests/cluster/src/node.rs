//! One node: its folder, its process, and what can be done to that process.

use crate::binary;
use crate::config::Addresses;
use crate::deadline::until;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How many lines of a node's log a failing test prints.
const LOG_LINES_SHOWN: usize = 60;

/// A node of a test cluster, running or not.
pub struct Node {
    /// Its name in the cluster: `n1`, …
    pub name: String,
    /// Where it listens.
    pub addresses: Addresses,
    config: PathBuf,
    log: PathBuf,
    namespace: Option<String>,
    environment: Vec<(String, String)>,
    reads_log: bool,
    clock_offset_s: Option<u64>,
    child: Option<Child>,
}

impl Node {
    /// A node that is not started yet. The configuration file is there already; the log will lie beside it.
    #[must_use]
    pub fn new(name: &str, addresses: Addresses, config: &Path, namespace: Option<String>) -> Self {
        let log = config.with_extension("log");
        Node {
            name: name.to_owned(),
            addresses,
            config: config.to_owned(),
            log,
            namespace,
            environment: Vec::new(),
            reads_log: true,
            clock_offset_s: None,
            child: None,
        }
    }

    /// Sets a variable of the process for all starts from now on.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a variable away again.
    pub fn unset_variable(&mut self, name: &str) {
        self.environment.retain(|(set, _)| set != name);
    }

    /// From the next start on, the clocks that count since the machine's start are so many seconds ahead of it.
    pub fn set_clock_offset(&mut self, seconds: Option<u64>) {
        self.clock_offset_s = seconds;
    }

    /// From the next start on, nobody reads what the process writes to standard error.
    pub fn leave_log_unread(&mut self) {
        self.reads_log = false;
    }

    /// Starts the process. Its log grows over restarts.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(&self.log).expect("the log file opens");
        // Each of these programs becomes the next one, so that the child's number is the node's.
        let mut line: Vec<OsString> = Vec::new();
        if let Some(namespace) = &self.namespace {
            line.extend(["ip", "netns", "exec", namespace].map(OsString::from));
        }
        if let Some(seconds) = self.clock_offset_s {
            let seconds = seconds.to_string();
            line.extend(["unshare", "-T", "--monotonic", &seconds, "--boottime", &seconds].map(OsString::from));
        }
        line.push(binary::rollcall().into());
        let mut command = Command::new(&line[0]);
        command
            .args(&line[1..])
            .args(["server", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log file opens"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.reads_log {
            command.stderr(log);
        } else {
            // The reading end stays with the child's handle, unread.
            command.stderr(Stdio::piped());
        }
        self.child = Some(command.spawn().expect("rollcall server starts"));
    }

    /// The number of the process, while there is one.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether the process is there.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// `kill -9`, and waits until the kernel has taken the process away.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            child.wait().expect("a killed process ends");
        }
    }

    /// Sends SIGTERM: the node drains and stops.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGSTOP: the process stands still, its sockets stay open.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Sends SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits until the process has ended by itself.
    pub fn ended(&mut self, limit: Duration) -> ExitStatus {
        let child = self.child.as_mut().expect("the node runs");
        let status = until(&format!("{} ends", self.name), limit, || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        });
        self.child = None;
        status
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the node runs");
        kill_process(Pid::from_child(child), signal).expect("a signal reaches the node");
    }

    /// The file that the log goes to.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The end of the log.
    #[must_use]
    pub fn log_end(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A stopped process dies of SIGKILL all the same.
        self.kill();
    }
}
