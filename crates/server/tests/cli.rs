//! The program from outside: exit codes, what goes to which stream, and that the page about it is true.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    thread,
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
const PAGE_START: &str = "<!-- help: generated from the program -->\n";
const PAGE_END: &str = "<!-- end of help -->";
/// Every verb, in the order of the page.
const VERBS: [&[&str]; 23] = [
    &[],
    &["server"],
    &["demo"],
    &["status"],
    &["watch"],
    &["clients"],
    &["kick"],
    &["nodes"],
    &["drain"],
    &["leave"],
    &["users"],
    &["users", "add"],
    &["users", "password"],
    &["policies"],
    &["policies", "set"],
    &["policies", "explain"],
    &["inspect"],
    &["bench", "status"],
    &["bench", "connect"],
    &["bench", "publish"],
    &["config", "check"],
    &["config", "show"],
    &["completions"],
];

fn rollcall(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROLLCALL_")) {
        command.env_remove(variable);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    rollcall(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn complaint(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["status"],
        &["server", "--no-such-option"],
        &["bench", "status", "--connections", "0"],
        &["bench", "status", "--rate", "0"],
        &["bench", "connect", "--serial", "--inflight", "5"],
        &["watch", "--client", "a", "--prefix", "a"],
        &["clients", "--online=perhaps"],
        &["kick"],
        &["drain", "a/b"],
        &["users"],
        &["users", "add", "a", "--role", "king"],
        &["policies", "explain", "pub"],
        &["policies", "explain", "sub", "a", "--client-id", "c", "--qos", "3"],
        &["config", "check"],
        &["completions", "no-shell"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    for verb in VERBS {
        let help = run(&[verb, &["--help"]].concat());
        assert_eq!(help.status.code(), Some(0), "{verb:?}");
        assert!(out(&help).contains("Usage: rollcall"), "{verb:?}");
    }
    assert!(out(&run(&["--version"])).starts_with("rollcall "));
}

#[test]
fn the_page_about_the_program_shows_the_help_of_every_verb() {
    let mut text = String::new();
    for verb in VERBS {
        let help = out(&run(&[verb, &["--help"]].concat()));
        let help: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
        let title = [&["rollcall"], verb].concat().join(" ");
        text.push_str(&format!("\n## `{title}`\n\n```text\n{}\n```\n", help.join("\n")));
    }
    text.push('\n');
    let page = fs::read_to_string(PAGE).unwrap();
    let (head, rest) = page.split_once(PAGE_START).expect("the page has lost its start mark");
    let (_, tail) = rest.split_once(PAGE_END).expect("the page has lost its end mark");
    let wanted = format!("{head}{PAGE_START}{text}{PAGE_END}{tail}");
    if std::env::var("ROLLCALL_TEST_REWRITE").is_ok_and(|value| value == "1") {
        fs::write(PAGE, &wanted).unwrap();
    }
    let found = fs::read_to_string(PAGE).unwrap();
    assert!(found == wanted, "{PAGE} is out of date; run the tests once with ROLLCALL_TEST_REWRITE=1");
}

#[test]
fn a_configuration_is_checked_with_all_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    let path = file.to_str().unwrap();

    fs::write(&file, "[node]\nname = \"n1\"\n").unwrap();
    let good = run(&["config", "check", path]);
    assert_eq!(good.status.code(), Some(0));
    assert_eq!(out(&good), format!("{path} is valid\n"));

    fs::write(&file, "[cluster]\nlease_mss = 1\nname = 5\n").unwrap();
    let bad = run(&["config", "check", path]);
    assert_eq!(bad.status.code(), Some(1));
    assert_eq!(out(&bad), "");
    assert!(complaint(&bad).contains("did you mean cluster.lease_ms?"), "{bad:?}");
    assert!(complaint(&bad).contains("cluster.name must be a text"), "{bad:?}");

    fs::write(&file, "[cluster]\nreplicas = 2\n").unwrap();
    let odd = run(&["config", "check", path]);
    assert_eq!(odd.status.code(), Some(0));
    assert!(complaint(&odd).contains("warning: cluster.replicas is 2"), "{odd:?}");

    assert_eq!(run(&["config", "check", "/nowhere.toml"]).status.code(), Some(1));
    let server = run(&["server", "--config", "/nowhere.toml"]);
    assert_eq!(server.status.code(), Some(1));
    assert!(complaint(&server).contains("cannot read the configuration file /nowhere.toml"), "{server:?}");
}

#[test]
fn the_effective_configuration_is_shown_with_its_origins_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    fs::write(&file, "[cluster]\nsecret = \"hush-hush\"\n").unwrap();
    let shown = rollcall(&["config", "show", "--config", file.to_str().unwrap()])
        .env("ROLLCALL_NODE__NAME", "n7")
        .output()
        .unwrap();
    let text = out(&shown);
    assert_eq!(shown.status.code(), Some(0));
    assert!(!text.contains("hush-hush"), "{text}");
    let row = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("node.name"), ["\"n7\"", "ROLLCALL_NODE__NAME"]);
    assert_eq!(row("cluster.secret "), ["\"***\"", file.to_str().unwrap()]);
    assert_eq!(row("cluster.lease_ms"), ["5000", "default"]);

    let json = run(&["config", "show", "--json"]);
    let keys: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(keys.as_array().unwrap().iter().any(|key| key["key"] == "node.name" && key["origin"] == "default"));
}

#[test]
fn completions_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let script = out(&run(&["completions", shell]));
        for verb in ["server", "demo", "status", "clients", "kick", "drain", "users", "policies", "bench", "config"] {
            assert!(script.contains(verb), "{shell} {verb}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_program_without_a_panic() {
    let mut child = rollcall(&["config", "show"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    assert!(!said.contains("panicked"), "{said}");
}

/// A gateway for one test. `true` for ids that begin with `on`, 503 the first time for `slow`, 401 without the right
/// credentials. The thread ends with the process.
fn gateway() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let slow = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        for stream in listener.incoming().flatten() {
            let slow = std::sync::Arc::clone(&slow);
            thread::spawn(move || answer(stream, &slow));
        }
    });
    url
}

fn answer(stream: TcpStream, slow: &std::sync::atomic::AtomicU32) {
    let mut write = stream.try_clone().unwrap();
    let mut lines = BufReader::new(stream).lines();
    loop {
        let Some(Ok(first)) = lines.next() else { return };
        let mut authorized = false;
        for line in lines.by_ref().map_while(Result::ok) {
            authorized |= line.eq_ignore_ascii_case("authorization: Basic dXNlcjA6c2VjcmV0MA==");
            if line.is_empty() {
                break;
            }
        }
        let id = first.strip_prefix("GET /client-id/").unwrap().strip_suffix("/status HTTP/1.1").unwrap();
        let problem = |code: &str| format!("{{\"code\":\"{code}\"}}");
        let (status, more, body) = if !authorized {
            ("401 Unauthorized", "", problem("bad_credentials"))
        } else if id == "never" || id == "slow" && slow.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            ("503 Service Unavailable", "Retry-After: 0\r\n", problem("no_quorum"))
        } else if id.starts_with("on") {
            let found = "Rollcall-Node: n2\r\nRollcall-Epoch: 7\r\nRollcall-Partition: 3\r\nRollcall-Index: 42\r\n";
            ("200 OK", found, "{\"online\":true}".to_owned())
        } else {
            ("200 OK", "", "{\"online\":false}".to_owned())
        };
        let response = format!("HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len());
        if write.write_all(response.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn status_prints_a_table_in_the_order_asked_and_ends_with_0() {
    let url = gateway();
    let asked =
        run(&["status", "on1", "off", "on/2", "slow", "--url", &url, "--user", "user0", "--password", "secret0"]);
    assert_eq!(asked.status.code(), Some(0), "{asked:?}");
    assert_eq!(
        out(&asked),
        "client id  status   node  epoch\n\
         on1        online   n2    7\n\
         off        offline  -     -\n\
         on/2       online   n2    7\n\
         slow       offline  -     -\n"
    );
}

#[test]
fn status_says_who_has_no_answer_and_ends_with_1() {
    let url = gateway();
    let account = ["--url", &url, "--user", "user0", "--password", "secret0"];
    let asked = run(&[&["status", "on1", "never", "--json", "--retries", "1"][..], &account].concat());
    assert_eq!(asked.status.code(), Some(1));
    assert!(complaint(&asked).contains("one client has no answer"), "{asked:?}");
    let lines: Vec<serde_json::Value> = out(&asked).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["client_id"], "on1");
    assert_eq!((&lines[0]["online"], &lines[0]["epoch"], &lines[0]["index"]), (&true.into(), &7.into(), &42.into()));
    assert_eq!((&lines[1]["online"], &lines[1]["code"]), (&serde_json::Value::Null, &"no_quorum".into()));

    let refused = run(&["status", "on1", "--url", &url]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(out(&refused).contains("unknown: 401 bad_credentials"), "{refused:?}");

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = run(&["status", "on1", "--url", &format!("http://{nobody}")]);
    assert_eq!(unreachable.status.code(), Some(1));
    let wrong = run(&["status", "on1", "--url", "ftp://x"]);
    assert_eq!(wrong.status.code(), Some(1));
}

#[test]
fn status_reads_ids_from_standard_input_in_batches() {
    let url = gateway();
    let mut child = rollcall(&["status", "first", "-", "last", "--url", &url])
        .env("ROLLCALL_USER", "user0")
        .env("ROLLCALL_PASSWORD", "secret0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || {
        for number in 0..1_500 {
            let word = if number % 2 == 0 { "on" } else { "off" };
            write!(stdin, "{word}{number}\r\n\n").unwrap();
        }
    });
    let asked = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(asked.status.code(), Some(0));
    let text = out(&asked);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1_503, "one header, 1502 ids");
    assert!(lines[1].starts_with("first") && lines[1_502].starts_with("last"));
    assert!(lines[2].starts_with("on0 ") && lines[2].contains("online"));
    assert!(lines[1_501].starts_with("off1499") && lines[1_501].contains("offline"));
}

#[test]
fn bench_status_measures_any_url_and_reports_json() {
    let url = gateway();
    let measured = run(&[
        "bench",
        "status",
        "--url",
        &url,
        "--user",
        "user0",
        "--password",
        "secret0",
        "--connections",
        "2",
        "--duration-s",
        "1",
        "--warm-up-ms",
        "0",
        "--id-prefix",
        "on",
        "--ids",
        "10",
        "--json",
        "--server-pid",
        &std::process::id().to_string(),
    ]);
    assert_eq!(measured.status.code(), Some(0), "{measured:?}");
    let report: serde_json::Value = serde_json::from_slice(&measured.stdout).unwrap();
    assert_eq!(report["bodies"]["true"], report["answers"]);
    assert!(report["latency"]["p99_us"].as_f64().unwrap() > 0.0);
    assert!(report["server_cpu_us_per_answer"].as_f64().unwrap() > 0.0, "{report}");

    let refused = run(&["bench", "status", "--url", "https://127.0.0.1:1", "--duration-s", "1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(complaint(&refused).contains("only http is spoken here"), "{refused:?}");
}

#[test]
fn bench_connect_with_nobody_there_ends_with_1() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let measured = run(&["bench", "connect", "--target", &nobody.to_string(), "--count", "3", "--json"]);
    assert_eq!(measured.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&measured.stdout).unwrap();
    assert_eq!(report["failures"]["tcp_connection_refused"], 3);
    assert_eq!(report["connected"], 0);
}
