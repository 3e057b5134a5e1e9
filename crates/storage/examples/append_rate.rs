//! Prints how many appends a second become durable, with 64 of them under way, over one group and over seven, with the
//! witness synced on its own time and before each acknowledgement.
//!
//! `cargo run -p rollcall-storage --example append_rate [DIRECTORY]`

#![allow(clippy::unwrap_used, clippy::expect_used)]

use openraft::{
    storage::{IOFlushed, RaftLogStorage as _},
    type_config::TypeConfigExt as _,
};
use rollcall_storage::{
    CommittedLeaderId, DataDirectory, Entry, EntryPayload, LogId, LogPayload, LogStore, Store, StoreConfig, TypeConfig,
};
use rollcall_types::GroupId;
use std::{
    collections::VecDeque,
    path::PathBuf,
    time::{Duration, Instant},
};

const PAYLOAD_BYTES: usize = 128;
const UNDER_WAY: usize = 64;
const RUN: Duration = Duration::from_secs(4);

fn main() {
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (name, witness_sync) in [
        ("witness synced each 200 ms", Duration::from_millis(200)),
        ("witness synced with each commit", Duration::ZERO),
    ] {
        for (groups, under_way) in [(1, 1), (1, UNDER_WAY), (7, UNDER_WAY)] {
            let place = tempfile::tempdir_in(&base).unwrap();
            let directory = DataDirectory::open(place.path()).unwrap();
            let store = Store::open(&directory, StoreConfig { witness_sync, ..StoreConfig::default() }).unwrap();
            let appended = runtime.block_on(run(&store, groups, under_way));
            let seconds = RUN.as_secs_f64();
            println!(
                "{name}: {groups} groups, {under_way} under way: {:.0} appends/s, {:.0} commits/s",
                appended as f64 / seconds,
                store.commits() as f64 / seconds
            );
        }
    }
}

async fn run(store: &Store, groups: u32, under_way: usize) -> u64 {
    let mut tasks = tokio::task::JoinSet::new();
    for group in 0..groups {
        let (log, _) = store.group(GroupId(group)).unwrap();
        let share = under_way / groups as usize + usize::from((group as usize) < under_way % groups as usize);
        tasks.spawn(write(log, share));
    }
    tasks.join_all().await.into_iter().sum()
}

async fn write(mut log: LogStore, window: usize) -> u64 {
    let end = Instant::now() + RUN;
    let payload = LogPayload::from(vec![7; PAYLOAD_BYTES]);
    let mut waiting = VecDeque::new();
    let mut index = 0;
    while Instant::now() < end {
        while waiting.len() < window {
            let log_id = LogId::new(CommittedLeaderId::new(1), index);
            let (sender, receiver) = TypeConfig::oneshot();
            let entry = Entry { log_id, payload: EntryPayload::Normal(payload.clone()) };
            log.append([entry], IOFlushed::signal(sender)).await.unwrap();
            waiting.push_back(receiver);
            index += 1;
        }
        if let Some(receiver) = waiting.pop_front() {
            receiver.await.unwrap().unwrap();
        }
    }
    index - waiting.len() as u64
}
