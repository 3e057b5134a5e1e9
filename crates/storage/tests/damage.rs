//! Damage on disk ends in the right data or in a refusal, never in a wrong answer and never in a shorter log.
//!
//! Each case is a copy of a data directory with one byte flipped or one file cut or removed. Opening it must give
//! exactly what was acknowledged, or refuse with a sentence.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod logs;

use logs::{
    append, copy_directory, entries, entry, fast_directory, log_id, open, read_all, sized_entry, snapshot_meta, vote,
};
use openraft::{RaftLogReader as _, storage::RaftLogStorage as _};
use rollcall_storage::{ClusterId, DataDirectory, Store, StoreConfig};
use rollcall_types::{GroupId, NodeId};
use std::{
    error::Error,
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};
use tempfile::TempDir;

const GROUP: GroupId = GroupId(1);

/// How long one opening may take before it counts as hanging.
const OPEN_DEADLINE: Duration = Duration::from_secs(60);

/// A directory as it was before and after the last write that was acknowledged.
struct Scene {
    _place: TempDir,
    before: PathBuf,
    after: PathBuf,
}

/// What to do to a file.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Flip(u64, u8),
    Cut(u64),
    Remove,
}

/// How a harmed directory answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Right,
    Refused,
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap()
}

/// Writes the scene: two groups, a purged front, a snapshot; the last write is one entry and one vote of `GROUP`.
/// `killed`: the copies are taken while the store has the directory open; otherwise after closing and reopening it.
fn scene(killed: bool) -> Scene {
    let place = fast_directory();
    let live = place.path().join("live");
    let (before, after) = (place.path().join("before"), place.path().join("after"));
    runtime().block_on(async {
        let directory = DataDirectory::open(&live).unwrap();
        directory.adopt(ClusterId(77), NodeId(1), b"founding".to_vec()).unwrap();
        let mut store = Store::open(&directory, StoreConfig::default()).unwrap();
        {
            let (mut other, _) = store.group(GroupId::CLUSTER).unwrap();
            append(&mut other, entries(1, 0..12)).await.unwrap();
            let (mut log, snapshots) = store.group(GROUP).unwrap();
            log.save_vote(&vote(1, 2)).await.unwrap();
            append(&mut log, entries(1, 0..20)).await.unwrap();
            snapshots.save(snapshot_meta(1, 8), vec![9; 300]).await.unwrap();
            log.purge(log_id(1, 5)).await.unwrap();
            log.truncate_after(Some(log_id(1, 15))).await.unwrap();
            append(&mut log, entries(2, 16..20)).await.unwrap();
            log.save_committed(Some(log_id(2, 18))).await.unwrap();
            append(&mut log, entries(2, 20..24)).await.unwrap();
        }
        if !killed {
            store.close();
            drop(store);
            store = Store::open(&directory, StoreConfig::default()).unwrap();
        }
        copy_directory(&live, &before);
        {
            let (mut log, _) = store.group(GROUP).unwrap();
            append(&mut log, vec![entry(2, 24)]).await.unwrap();
            log.save_vote(&vote(7, 3)).await.unwrap();
        }
        if !killed {
            store.close();
            drop(store);
            store = Store::open(&directory, StoreConfig::default()).unwrap();
        }
        copy_directory(&live, &after);
        store.close();
    });
    Scene { _place: place, before, after }
}

/// Opens a directory and reads everything.
async fn answer(path: &Path) -> Result<(), Box<dyn Error>> {
    let directory = DataDirectory::open_for(path, ClusterId(77))?;
    let identity = directory.identity().ok_or("a new directory, though it was adopted")?;
    assert_eq!((identity.node, identity.founding.as_slice()), (NodeId(1), b"founding".as_slice()));
    let store = Store::open(&directory, StoreConfig { group_cache_bytes: 0, ..StoreConfig::default() })?;
    let (mut log, snapshots) = store.group(GROUP)?;
    let (mut other, _) = store.group(GroupId::CLUSTER)?;
    let mut expected = entries(1, 6..16);
    expected.extend(entries(2, 16..25));
    assert_eq!(read_all(&mut log).await?, expected);
    assert_eq!(read_all(&mut other).await?, entries(1, 0..12));
    assert_eq!(log.read_vote().await?, Some(vote(7, 3)));
    assert_eq!(log.saved_term(), 7);
    assert_eq!(log.read_committed().await?, Some(log_id(2, 18)));
    let state = log.get_log_state().await?;
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(1, 5)), Some(log_id(2, 24))));
    assert_eq!(snapshots.load().await?, Some((snapshot_meta(1, 8), vec![9; 300])));
    store.health()?;
    Ok(())
}

impl Scene {
    /// Harms one file of a copy and opens it.
    fn try_with(&self, file: &Path, harm: Harm) -> Answer {
        let place = fast_directory();
        let copy = place.path().join("copy");
        copy_directory(&self.after, &copy);
        let target = copy.join(file);
        match harm {
            Harm::Flip(at, mask) => {
                let mut bytes = fs::read(&target).unwrap();
                bytes[usize::try_from(at).unwrap()] ^= mask;
                fs::write(&target, bytes).unwrap();
            }
            Harm::Cut(length) => fs::OpenOptions::new().write(true).open(&target).unwrap().set_len(length).unwrap(),
            Harm::Remove => fs::remove_file(&target).unwrap(),
        }
        let (sender, receiver) = mpsc::channel();
        let opening = thread::spawn(move || {
            let refusal = runtime().block_on(answer(&copy)).map_err(|refusal| refusal.to_string());
            let _ = sender.send(refusal);
        });
        match receiver.recv_timeout(OPEN_DEADLINE) {
            Ok(Ok(())) => Answer::Right,
            Ok(Err(refusal)) => {
                assert!(refusal.split_whitespace().count() > 4, "{file:?} {harm:?}: no sentence: {refusal}");
                Answer::Refused
            }
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{file:?} {harm:?}: opening it hangs"),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                drop(opening.join());
                panic!("{file:?} {harm:?}: a wrong answer, see above")
            }
        }
    }

    /// Flips bytes and cuts at offsets; returns how many cases were refused and how many answered right.
    fn sweep(&self, file: &Path, offsets: impl Iterator<Item = u64>) -> (usize, usize) {
        let (mut refused, mut right) = (0, 0);
        for at in offsets {
            for harm in [Harm::Flip(at, 1 << (at % 8)), Harm::Cut(at)] {
                match self.try_with(file, harm) {
                    Answer::Refused => refused += 1,
                    Answer::Right => right += 1,
                }
            }
        }
        (refused, right)
    }

    fn length(&self, file: &str) -> u64 {
        fs::metadata(self.after.join(file)).unwrap().len()
    }

    /// Where the last write left its traces in a file.
    fn changed(&self, file: &str) -> Range<u64> {
        let before = fs::read(self.before.join(file)).unwrap();
        let after = fs::read(self.after.join(file)).unwrap();
        let differs = |at: &usize| before.get(*at) != after.get(*at);
        let first = (0..after.len()).find(differs).unwrap() as u64;
        let last = (0..after.len()).rfind(differs).unwrap() as u64;
        first..last + 1
    }
}

#[test]
fn unharmed_copies_answer_right() {
    for killed in [true, false] {
        let scene = scene(killed);
        let place = fast_directory();
        let copy = place.path().join("copy");
        copy_directory(&scene.after, &copy);
        runtime().block_on(answer(&copy)).unwrap();
    }
}

#[test]
fn every_byte_of_the_last_record_is_guarded_after_a_kill() {
    let scene = scene(true);
    let last_record = scene.changed("db/db");
    assert!(last_record.end - last_record.start < 4_096, "{last_record:?}");
    let (refused, right) = scene.sweep(Path::new("db/db"), last_record.clone());
    println!("{last_record:?}: {refused} refused, {right} right");
    assert!(refused > 100, "{refused} of {last_record:?}");
}

#[test]
fn every_byte_of_the_last_record_is_guarded_after_a_clean_stop() {
    let scene = scene(false);
    let last_record = scene.changed("db/db");
    assert!(last_record.end - last_record.start < 4_096, "{last_record:?}");
    let (refused, right) = scene.sweep(Path::new("db/db"), last_record.clone());
    println!("{last_record:?}: {refused} refused, {right} right");
    assert!(refused > 100, "{refused} of {last_record:?}");
}

#[test]
fn the_rest_of_the_database_is_guarded() {
    let scene = scene(true);
    let last_record = scene.changed("db/db");
    let (refused, right) = scene.sweep(Path::new("db/db"), (0..last_record.start).step_by(5));
    println!("0..{}: {refused} refused, {right} right", last_record.start);
    assert!(refused > 10);
}

/// Many segments, most of them rewritten: where sled skips what it cannot read, old versions of records may come back.
#[test]
fn a_database_of_many_segments_is_guarded() {
    let place = fast_directory();
    let live = place.path().join("live");
    let kept = runtime().block_on(async {
        let store = open(&live);
        let (mut log, snapshots) = store.group(GROUP).unwrap();
        snapshots.save(snapshot_meta(1, 2_000), vec![1]).await.unwrap();
        let mut end = 0;
        for term in 1..=60 {
            // Each leader overwrites the tail of the one before.
            if end > 30 {
                end -= 30;
                log.truncate_after(Some(log_id(term - 1, end - 1))).await.unwrap();
            }
            let batch = (end..end + 80).map(|index| sized_entry(term, index, 300)).collect();
            append(&mut log, batch).await.unwrap();
            end += 80;
            if term == 50 {
                log.purge(log_id(2, 60)).await.unwrap();
            }
        }
        let kept = read_all(&mut log).await.unwrap();
        log.save_vote(&vote(61, 1)).await.unwrap();
        copy_directory(&live, &place.path().join("after"));
        kept
    });
    let after = place.path().join("after");
    let length = fs::metadata(after.join("db/db")).unwrap().len();
    assert!(length > 2 << 20, "{length}");
    let (mut refused, mut right) = (0, 0);
    for case in 0..400 {
        let at = length * case / 400 + case * 7 % 97;
        let trial = fast_directory();
        let copy = trial.path().join("copy");
        copy_directory(&after, &copy);
        let file = copy.join("db/db");
        let mut bytes = fs::read(&file).unwrap();
        bytes[usize::try_from(at).unwrap()] ^= 0x10;
        fs::write(&file, bytes).unwrap();
        let read = runtime().block_on(async {
            let store = Store::open(&DataDirectory::open(&copy)?, StoreConfig::default())?;
            let (mut log, _) = store.group(GROUP)?;
            Ok::<_, Box<dyn Error>>((read_all(&mut log).await?, log.read_vote().await?))
        });
        match read {
            Err(_) => refused += 1,
            Ok(read) => {
                assert!(read == (kept.clone(), Some(vote(61, 1))), "a wrong answer after a flip at {at}");
                right += 1;
            }
        }
    }
    println!("{length} bytes: {refused} refused, {right} right");
    assert!(refused > 50, "{refused} refused, {right} right");
}

#[test]
fn every_byte_of_the_small_files_is_guarded() {
    let scene = scene(false);
    let snapshot = fs::read_dir(scene.after.join("snapshots/group-1")).unwrap().next().unwrap().unwrap().file_name();
    let snapshot = format!("snapshots/group-1/{}", snapshot.to_str().unwrap());
    for (file, step) in [("header", 1), (snapshot.as_str(), 3), ("db/conf", 3)] {
        let (refused, right) = scene.sweep(Path::new(file), (0..scene.length(file)).step_by(step));
        println!("{file}: {refused} refused, {right} right");
        assert!(refused > right, "{file}: {refused} refused, {right} right");
    }
    let sled_snapshot = fs::read_dir(scene.after.join("db"))
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .find(|name| name.starts_with("snap."))
        .unwrap();
    let file = format!("db/{sled_snapshot}");
    let (refused, right) = scene.sweep(Path::new(&file), (0..scene.length(&file)).step_by(2));
    println!("{file}: {refused} refused, {right} right");
    assert!(refused > right);
}

#[test]
fn the_witness_is_guarded_and_one_of_its_slots_suffices() {
    let scene = scene(true);
    let flips = (0..100).chain(4_096..4_196).map(|at| Harm::Flip(at, 1 << (at % 8)));
    for harm in flips {
        assert_eq!(scene.try_with(Path::new("witness"), harm), Answer::Right, "{harm:?}");
    }
    for length in (0..8_192).step_by(200).chain([8_191]) {
        assert_eq!(scene.try_with(Path::new("witness"), Harm::Cut(length)), Answer::Refused, "cut at {length}");
    }
}

#[test]
fn a_missing_file_is_refused() {
    let scene = scene(true);
    for file in ["header", "witness", "db/db"] {
        assert_eq!(scene.try_with(Path::new(file), Harm::Remove), Answer::Refused, "{file}");
    }
}

#[test]
fn a_tail_lost_without_a_trace_is_noticed_and_named() {
    let scene = scene(true);
    // The database of before the last write, whole and consistent, under the witness of after it.
    let place = fast_directory();
    let copy = place.path().join("copy");
    copy_directory(&scene.after, &copy);
    fs::remove_dir_all(copy.join("db")).unwrap();
    copy_directory(&scene.before.join("db"), &copy.join("db"));
    let refusal = runtime().block_on(answer(&copy)).unwrap_err().to_string();
    assert!(refusal.contains("the log of partition-0 is damaged"), "{refusal}");
    assert!(refusal.contains("was acknowledged"), "{refusal}");
    // It stays refused.
    assert!(DataDirectory::open(&copy).is_ok_and(|directory| Store::open(&directory, StoreConfig::default()).is_err()));
}

#[test]
fn a_directory_that_was_never_written_to_opens_again() {
    let place = fast_directory();
    drop(open(place.path()));
    let store = open(place.path());
    assert_eq!(store.groups(), []);
}
