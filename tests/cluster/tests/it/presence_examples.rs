//! The examples of `docs/concepts/presence.md`, run as their readers would run them: against three nodes that are killed
//! and come back while clients come and go, and against a server that has forgotten.

use super::storm::load::{self, Progress};
use super::storm::{one_for_each_partition, told::client_id, wait_until_all_are_gone};
use rollcall_test_cluster::config::USER;
use rollcall_test_cluster::http::basic;
use rollcall_test_cluster::{Cluster, Options, binary, deadline, tools};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

const CLIENTS: u32 = 60;
/// Connects between one kill and the next.
const SHARE: u64 = 150;
const SOON: Duration = Duration::from_secs(15);
const GOES_ON_WITHIN: Duration = Duration::from_secs(90);
/// The example in Python is to fit on one screen.
const PYTHON_LINES_MAX: usize = 30;

fn example(name: &str) -> PathBuf {
    binary::workspace_root().join("docs/examples").join(name)
}

/// An example that runs: what it says on its way, and at its end.
struct Reader {
    process: Child,
    changes: Receiver<String>,
    so_far: Vec<String>,
    /// What ends it.
    signal: Signal,
}

impl Reader {
    fn start(mut command: Command, signal: Signal, nodes: &[SocketAddr]) -> Reader {
        command
            .args(nodes.iter().map(|node| format!("http://{node}")))
            .env("ACCOUNT", format!("{}:{}", USER.0, USER.1));
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (sender, changes) = channel();
        // Ends with the process.
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Reader { process, changes, so_far: Vec::new(), signal }
    }

    /// Waits until it has said this.
    fn until_it_says(&mut self, line: &str, limit: Duration) {
        deadline::until(line, limit, || {
            self.so_far.extend(self.changes.try_iter());
            if self.so_far.iter().any(|said| said == line) {
                return Ok(());
            }
            Err(format!("{:?}", self.so_far.iter().rev().take(20).collect::<Vec<_>>()))
        });
    }

    /// Ends it, and gives the state that it prints.
    fn state(mut self) -> BTreeMap<String, Value> {
        kill_process(Pid::from_child(&self.process), self.signal).unwrap();
        let status = deadline::until("the example ends", SOON, || match self.process.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        });
        assert!(status.success(), "{status}: {:?}", self.so_far);
        let printed = std::io::read_to_string(self.process.stdout.take().unwrap()).unwrap();
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What the list says of every client on record: epoch, and whether it is online.
fn listed(cluster: &Cluster, node: usize) -> BTreeMap<String, (u64, bool)> {
    let authorization = basic(USER.0, USER.1);
    let (mut clients, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let target = format!("/clients?limit=50{cursor}");
        let response = cluster.request(node, "GET", &target, &[("Authorization", &authorization)]).unwrap();
        assert_eq!(response.status, 200, "{}", response.text());
        let page: Value = serde_json::from_slice(&response.body).unwrap();
        for client in page["clients"].as_array().unwrap() {
            let state = (client["epoch"].as_u64().unwrap(), client["online"].as_bool().unwrap());
            clients.insert(client["client_id"].as_str().unwrap().to_owned(), state);
        }
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return clients,
        }
    }
}

/// Lets an example follow a cluster whose nodes die, one after the other, the one that it reads from among them; gives the
/// state that it ends with, and what the list of the cluster says then. `online` is how it says that a client has come.
fn followed_through_kills(
    command: Command,
    signal: Signal,
    online: &str,
) -> (BTreeMap<String, Value>, BTreeMap<String, (u64, bool)>) {
    let options = Options::default();
    let partitions = options.partitions;
    let mut cluster = Cluster::start(options);
    let http: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.addresses.http).collect();
    let mqtt: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.addresses.mqtt).collect();
    // Some were there before, and it has to know of them.
    let quoted = "was \"here\" before/é";
    let before: Vec<_> = (0..3).map(|node| cluster.connect(node, &format!("{quoted} {node}"))).collect();
    let mut reader = Reader::start(command, signal, &http);
    let progress = Progress::default();
    thread::scope(|scope| {
        let step = load::workers(CLIENTS);
        for first in 0..step {
            let (mqtt, progress) = (&mqtt, &progress);
            scope.spawn(move || load::reconnect(mqtt, (first, step), CLIENTS, progress));
        }
        let over = EndsTheThreads(&progress);
        for round in 0..3 {
            let more = |more: u64| {
                let before = progress.connects.load(SeqCst);
                deadline::until("clients come and go", GOES_ON_WITHIN, || {
                    match progress.connects.load(SeqCst) - before {
                        enough if enough >= more => Ok(()),
                        fewer => Err(format!("{fewer} connects of {more}")),
                    }
                });
            };
            more(SHARE);
            // Whoever follows one node after the other meets the death of each.
            let victim = if round == 1 { cluster.leader() } else { round };
            cluster.nodes[victim].kill();
            more(SHARE / 5);
            cluster.nodes[victim].start();
            cluster.wait_node_ready(victim);
        }
        drop(over);
    });
    wait_until_all_are_gone(&cluster, 1, CLIENTS);
    // Each partition's events come in their order: behind these there is nothing more to come.
    let marks = one_for_each_partition(&cluster, 1, CLIENTS, partitions);
    let stay: Vec<_> = marks.iter().map(|mark| cluster.connect(1, &client_id(*mark))).collect();
    for mark in &marks {
        reader.until_it_says(&online.replace("ID", &client_id(*mark)), GOES_ON_WITHIN);
    }
    let listed = listed(&cluster, 2);
    assert!(listed.len() >= before.len() + marks.len() + 50, "only {} clients came", listed.len());
    let state = reader.state();
    drop((before, stay));
    (state, listed)
}

struct EndsTheThreads<'a>(&'a Progress);

impl Drop for EndsTheThreads<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, SeqCst);
    }
}

fn python() -> Command {
    let mut command = Command::new("python3");
    command.arg(example("presence.py"));
    command
}

fn bash() -> Command {
    let mut command = Command::new("bash");
    command.arg(example("presence.sh"));
    command
}

const PYTHON_NEED: &str = "python3";
const BASH_NEED: &str = "bash, curl and jq";

fn has_bash_and_more() -> bool {
    ["bash", "curl", "jq"].iter().all(|name| tools::program(name))
}

#[test]
fn thirty_lines_of_python_follow_presence_through_kills_and_end_with_the_state_of_the_cluster() {
    let text = std::fs::read_to_string(example("presence.py")).unwrap();
    assert!(text.lines().filter(|line| !line.is_empty()).count() <= PYTHON_LINES_MAX);
    if !tools::available("the example in Python", PYTHON_NEED, tools::program("python3")) {
        return;
    }
    let (state, listed) = followed_through_kills(python(), Signal::INT, "ID connected");
    let word = |online| if online { "connected" } else { "disconnected" };
    let listed: BTreeMap<String, Value> =
        listed.into_iter().map(|(id, (epoch, online))| (id, json!([epoch, word(online)]))).collect();
    assert_eq!(state, listed);
}

#[test]
fn curl_follows_presence_through_kills_and_ends_with_the_state_of_the_cluster() {
    if !tools::available("the example in shell", BASH_NEED, has_bash_and_more()) {
        return;
    }
    let (state, listed) = followed_through_kills(bash(), Signal::TERM, "\"ID\" true");
    let listed: BTreeMap<String, Value> =
        listed.into_iter().map(|(id, (epoch, online))| (id, json!({ "epoch": epoch, "online": online }))).collect();
    assert_eq!(state, listed);
}

#[test]
fn the_example_in_go_is_vetted_and_follows_presence_through_kills_too() {
    if !tools::available("the example in Go", "the Go toolchain", tools::program("go")) {
        return;
    }
    let file = example("presence.go");
    let file = file.to_str().unwrap();
    tools::run("go", &["vet", file]).unwrap();
    assert_eq!(String::from_utf8(tools::run("gofmt", &["-l", file]).unwrap().stdout).unwrap(), "");
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("presence");
    tools::run("go", &["build", "-o", program.to_str().unwrap(), file]).unwrap();
    let (state, listed) = followed_through_kills(Command::new(&program), Signal::INT, "ID true");
    let told = |(id, (epoch, online)): (String, (u64, bool))| {
        (id.clone(), json!({ "client_id": id, "epoch": epoch, "online": online }))
    };
    assert_eq!(state, listed.into_iter().map(told).collect());
}

/// Answers one request after the other with what stands here, and checks what was asked.
fn forgetful_server(script: Vec<(&'static str, &'static str, String)>) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        for (path, last, answer) in script {
            let (mut stream, _) = listener.accept().unwrap();
            let asked = head_of(&mut stream);
            assert!(asked.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{path}: {asked}");
            let headers = asked.lines().filter_map(|line| line.split_once(": "));
            let id =
                headers.filter(|(name, _)| name.eq_ignore_ascii_case("last-event-id")).map(|(_, id)| id.trim()).next();
            if path.starts_with("/presence") {
                assert_eq!(id.unwrap_or_default(), last, "{asked}");
            }
            // A reader that has heard enough may be gone.
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    (address, serving)
}

fn head_of(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "the request broke off");
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// What both examples must do when their place is gone: begin anew, with the list. Events that break off do not count.
fn begins_anew(command: Command, signal: Signal, online: &str) -> BTreeMap<String, Value> {
    let ok = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
    let stream = |events: &str| format!("{ok}Content-Type: text/event-stream\r\n\r\n{events}");
    let list = |clients: &str, cursor: &str| format!("{ok}\r\n{{\"clients\":[{clients}],\"cursor\":{cursor}}}");
    let client = |id: &str, epoch: u64, on: bool| format!(r#"{{"client_id":"{id}","epoch":{epoch},"online":{on}}}"#);
    let event = |id: &str, kind: &str, client: &str, epoch: u64| {
        format!("id: {id}\nevent: client_{kind}\ndata: {{\"clientid\":\"{client}\",\"epoch\":{epoch}}}\n\n")
    };
    let position = |id: &str| format!("retry: 1000\nid: {id}\nevent: position\ndata: {{\"through\":[1]}}\n\n");
    let gap = "id: \nevent: gap\ndata: {\"code\":\"position_gone\"}\n\n";
    let half = "id: P9\nevent: client_connected\ndata: {\"clientid\":\"half\",\"epoch\":99}\n";
    let gone = "HTTP/1.1 410 Gone\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}".to_owned();
    let script = vec![
        ("/presence/events", "", stream(&position("P1"))),
        ("/clients?limit=1000", "", list(&client("a", 5, true), "\"C1\"")),
        ("/clients?limit=1000&cursor=C1", "", list(&client("forgotten", 3, false), "null")),
        // An event that broke off is told again behind the last place.
        ("/presence/events", "P1", stream(&(event("P2", "disconnected", "a", 5) + half))),
        ("/presence/events", "P2", gone),
        // Epochs of another history may be lower: nothing of before counts.
        ("/presence/events", "", stream(&(position("P3") + &event("P4", "connected", "b", 2) + gap))),
        ("/clients?limit=1000", "", list(&[client("a", 1, false), client("b", 2, true)].join(","), "null")),
        // The list fails: the place must not count before all of it was read.
        ("/presence/events", "", stream(&position("P5"))),
        ("/clients?limit=1000", "", "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n".to_owned()),
        ("/presence/events", "", stream(&(position("P6") + &event("P7", "connected", "a", 1)))),
        ("/clients?limit=1000", "", list(&[client("a", 1, false), client("b", 2, true)].join(","), "null")),
        ("/presence/events", "P7", stream(&(position("P7") + &event("P8", "connected", "last", 9)))),
    ];
    let (server, serving) = forgetful_server(script);
    let mut reader = Reader::start(command, signal, &[server]);
    reader.until_it_says(&online.replace("ID", "last"), SOON);
    serving.join().expect("it asked in this order");
    reader.state()
}

#[test]
fn the_example_in_python_begins_anew_when_its_place_is_gone() {
    if !tools::available("the example in Python", PYTHON_NEED, tools::program("python3")) {
        return;
    }
    let state = begins_anew(python(), Signal::INT, "ID connected");
    let expected = json!({"a": [1, "disconnected"], "b": [2, "connected"], "last": [9, "connected"]});
    assert_eq!(json!(state), expected);
}

#[test]
fn the_example_in_shell_begins_anew_when_its_place_is_gone() {
    if !tools::available("the example in shell", BASH_NEED, has_bash_and_more()) {
        return;
    }
    let state = begins_anew(bash(), Signal::TERM, "\"ID\" true");
    let expected = json!({
        "a": {"epoch": 1, "online": false}, "b": {"epoch": 2, "online": true}, "last": {"epoch": 9, "online": true},
    });
    assert_eq!(json!(state), expected);
}
