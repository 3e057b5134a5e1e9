//! What a killed or starved process leaves behind. The test runs itself as a child that writes and prints what was
//! acknowledged, ends it with `kill -9` or lets it run into a limit, and reads its directory back.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod logs;

use logs::{begin, entry, log_id, open, read_all, sized_entry, snapshot_meta, vote};
use openraft::{RaftLogReader as _, storage::RaftLogStorage as _};
use rollcall_storage::{LogStore, SnapshotStore, Store};
use rollcall_types::GroupId;
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

const ROLE: &str = "ROLLCALL_STORAGE_CHILD";
const DIRECTORY: &str = "ROLLCALL_STORAGE_DIRECTORY";
const KILLS: u32 = 10;
const GROUPS: u32 = 3;

fn main() -> ExitCode {
    match std::env::var(ROLE).as_deref() {
        Ok("writer") => runtime().block_on(write_until_killed()),
        Ok("starved") => runtime().block_on(write_until_refused()),
        _ => {
            runtime().block_on(nothing_acknowledged_is_lost_by_kills());
            runtime().block_on(a_refused_write_ends_all_service_and_loses_nothing());
        }
    }
    ExitCode::SUCCESS
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn child(role: &str, directory: &Path, shell: Option<&str>) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match shell {
        None => Command::new(program),
        Some(prelude) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("{prelude}; exec \"$0\"")).arg(program);
            command
        }
    };
    command.env(ROLE, role).env(DIRECTORY, directory).stdout(Stdio::piped());
    command
}

fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// The child: in each group a window of appends, votes now and then, a purge behind it.
async fn write_until_killed() {
    let store = open(Path::new(&std::env::var(DIRECTORY).unwrap()));
    let mut tasks = tokio::task::JoinSet::new();
    for group in 0..GROUPS {
        let (log, snapshots) = store.group(GroupId(group)).unwrap();
        tasks.spawn(write_group(group, log, snapshots));
    }
    tasks.join_all().await;
}

async fn write_group(group: u32, mut log: LogStore, snapshots: SnapshotStore) {
    let state = log.get_log_state().await.unwrap();
    let mut next = state.last_log_id.map_or(0, |last| last.index + 1);
    let term = log.read_vote().await.unwrap().map_or(1, |vote| vote.leader_id.term + 1);
    log.save_vote(&vote(term, 1)).await.unwrap();
    print(&format!("vote {group} {term}"));
    loop {
        let mut window = Vec::new();
        for _ in 0..16 {
            window.push((next, begin(&mut log, vec![entry(term, next)]).await));
            next += 1;
        }
        for (index, durable) in window {
            durable.await.unwrap();
            print(&format!("entry {group} {index} {term}"));
        }
        if next % 512 < 16 && next > 400 {
            snapshots.save(snapshot_meta(term, next - 1), vec![1; 1_000]).await.unwrap();
            let keep = next - 300;
            let purged = log.try_get_log_entries(keep..=keep).await.unwrap();
            if let Some(purged) = purged.first() {
                log.purge(purged.log_id).await.unwrap();
            }
        }
        log.save_committed(Some(log_id(term, next - 1))).await.unwrap();
    }
}

async fn nothing_acknowledged_is_lost_by_kills() {
    let place = tempfile::tempdir().unwrap();
    let mut terms: BTreeMap<(u32, u64), u64> = BTreeMap::new();
    let mut votes: BTreeMap<u32, u64> = BTreeMap::new();
    let mut entries_seen = 0;
    for round in 0..KILLS {
        let mut writer = child("writer", place.path(), None).spawn().unwrap();
        let lines = BufReader::new(writer.stdout.take().unwrap());
        let kill_after = Duration::from_millis(u64::from(20 + round * 37 % 160));
        let mut first = None;
        for line in lines.lines() {
            let Ok(line) = line else { break };
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["vote", group, term] => {
                    votes.insert(group.parse().unwrap(), term.parse().unwrap());
                }
                ["entry", group, index, term] => {
                    terms.insert((group.parse().unwrap(), index.parse().unwrap()), term.parse().unwrap());
                    entries_seen += 1;
                }
                // The kill may have cut the last line.
                _ => {}
            }
            if first.get_or_insert_with(Instant::now).elapsed() >= kill_after {
                // SIGKILL; the lines printed before it are still read.
                writer.kill().unwrap();
            }
        }
        writer.wait().unwrap();
        check_after_kill(place.path(), &terms, &votes).await;
    }
    assert!(entries_seen > 1_000, "only {entries_seen} entries were acknowledged");
    println!("test nothing_acknowledged_is_lost_by_kills ... ok ({entries_seen} entries, {KILLS} kills)");
}

async fn check_after_kill(path: &Path, terms: &BTreeMap<(u32, u64), u64>, votes: &BTreeMap<u32, u64>) {
    let store: Store = open(path);
    for group in 0..GROUPS {
        let (mut log, _) = store.group(GroupId(group)).unwrap();
        let acknowledged = *votes.get(&group).unwrap_or(&0);
        let term = log.read_vote().await.unwrap().map_or(0, |vote| vote.leader_id.term);
        assert!(term >= acknowledged, "group {group}: vote {term} after {acknowledged} was acknowledged");
        assert_eq!(log.saved_term(), term);
        let held = read_all(&mut log).await.unwrap();
        let state = log.get_log_state().await.unwrap();
        let purged = state.last_purged_log_id.map(|purged| purged.index);
        for ((_, index), term) in terms.range((group, 0)..(group + 1, 0)) {
            if purged.is_some_and(|purged| *index <= purged) {
                continue;
            }
            let at = usize::try_from(index - held[0].log_id.index).unwrap();
            assert!(at < held.len(), "group {group}: entry {index} was acknowledged and is lost");
            assert_eq!(held[at], entry(*term, *index), "group {group}");
        }
        let committed = log.read_committed().await.unwrap();
        assert!(committed <= state.last_log_id);
    }
}

/// The child under a file size limit: writes until an error, then says what the store says.
async fn write_until_refused() {
    let store = open(Path::new(&std::env::var(DIRECTORY).unwrap()));
    let (mut log, _) = store.group(GroupId(1)).unwrap();
    let mut index = 0;
    loop {
        match begin(&mut log, vec![sized_entry(1, index, 3_000)]).await.await {
            Ok(()) => print(&format!("entry {index}")),
            Err(error) => {
                print(&format!("refused {error}"));
                break;
            }
        }
        index += 1;
    }
    let health = store.health();
    let later = begin(&mut log, vec![sized_entry(1, index + 1, 10)]).await.await;
    let vote = log.save_vote(&vote(9, 1)).await;
    let read = read_all(&mut log).await;
    print(&format!("later {} {} {} {}", health.is_err(), later.is_err(), vote.is_err(), read.is_err()));
}

async fn a_refused_write_ends_all_service_and_loses_nothing() {
    let place = tempfile::tempdir().unwrap();
    // The limit lets writes fail with an error, as a full disk does; the signal for it is ignored.
    let starved = child("starved", place.path(), Some("trap '' XFSZ; ulimit -f 4096")).spawn().unwrap();
    let output = starved.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().rev().find_map(|line| line.strip_prefix("entry ")).unwrap().parse::<u64>().unwrap();
    assert!(text.lines().any(|line| line.starts_with("refused ")), "{text}");
    assert!(text.lines().any(|line| line == "later true true true true"), "{text}");
    assert!(last > 50, "{last}");
    let store = open(place.path());
    let (mut log, _) = store.group(GroupId(1)).unwrap();
    let held = read_all(&mut log).await.unwrap();
    assert!(held.len() as u64 > last);
    for (index, held) in (0..=last).zip(&held) {
        assert_eq!(*held, sized_entry(1, index, 3_000));
    }
    println!("test a_refused_write_ends_all_service_and_loses_nothing ... ok ({last} entries)");
}
