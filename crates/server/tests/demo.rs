//! The demo, run as a user runs it: real processes, real devices, a node killed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// How long the whole of it may take on a busy machine without optimization.
const DEMO_MAX: Duration = Duration::from_secs(240);
/// How long orphaned nodes may take to drain.
const ORPHANS_MAX: Duration = Duration::from_secs(30);

/// A demo that is killed when the test is over.
struct Demo {
    child: Child,
    lines: mpsc::Receiver<String>,
    begun: Instant,
}

impl Demo {
    fn start(arguments: &[&str]) -> Demo {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .arg("demo")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        // More lines than a demo ever prints, so that the reader never waits for the test.
        let (send, lines) = mpsc::sync_channel(10_000);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Demo { child, lines, begun: Instant::now() }
    }

    /// The lines up to the first that contains the text.
    fn lines_until(&mut self, text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let left = DEMO_MAX.saturating_sub(self.begun.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let found = line.contains(text);
                    seen.push(line);
                    if found {
                        return seen;
                    }
                }
                Err(_) => {
                    self.child.kill().unwrap();
                    let mut said = String::new();
                    self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                    panic!("no line with {text:?}\n{}\n{said}", seen.join("\n"));
                }
            }
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pids(lines: &[String]) -> Vec<u32> {
    lines.iter().filter_map(|line| line.split(", process ").nth(1)?.parse().ok()).collect()
}

fn folder(lines: &[String]) -> &str {
    lines[0].split("data under ").nth(1).and_then(|rest| rest.split(',').next()).unwrap()
}

fn is_running(pid: u32) -> bool {
    // A process that has ended but was not waited for is not running.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

fn wait_until_ended(pids: &[u32]) {
    let deadline = Instant::now() + ORPHANS_MAX;
    let (_never, wake) = mpsc::channel::<()>();
    while pids.iter().any(|pid| is_running(*pid)) {
        assert!(Instant::now() < deadline, "still running: {pids:?}");
        let _ = wake.recv_timeout(Duration::from_millis(50));
    }
}

#[test]
fn the_demo_shows_what_it_promises_although_its_favourite_port_is_taken() {
    // Whoever else has it, nobody can use it now.
    let _taken = TcpListener::bind("127.0.0.1:8080");
    let mut demo = Demo::start(&["--once"]);
    let lines = demo.lines_until("All of it held.");
    assert!(demo.child.wait().unwrap().success());

    let pids = pids(&lines);
    assert!(pids.len() >= 3, "{lines:#?}");
    wait_until_ended(&pids);

    let text = lines.join("\n");
    assert!(text.contains("Authorization: Basic dXNlcjA6c2VjcmV0MA=="), "{text}");
    assert!(!text.contains("127.0.0.1:8080/"), "{text}");
    let rows: Vec<Vec<&str>> = lines
        .iter()
        .filter(|line| line.starts_with("VIN0000003 "))
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).skip(1).collect())
        .collect();
    assert_eq!(
        rows,
        [["online (n3)"; 3], ["online (n3)"; 3], ["offline", "offline", "(down)"], ["online (n3)"; 3],],
        "{text}"
    );
    let folder = folder(&lines);
    assert!(!Path::new(folder).exists(), "{folder} is left over");
}

#[test]
fn the_nodes_end_when_the_demo_is_killed() {
    let mut demo = Demo::start(&[]);
    let lines = demo.lines_until("n3: mqtt");
    let pids = pids(&lines);
    assert_eq!(pids.len(), 3);
    assert!(pids.iter().all(|pid| is_running(*pid)));
    demo.child.kill().unwrap();
    demo.child.wait().unwrap();
    wait_until_ended(&pids);
    // Nobody is left who could have done it.
    std::fs::remove_dir_all(folder(&lines)).unwrap();
}
