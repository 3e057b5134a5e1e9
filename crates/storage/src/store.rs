//! The store of a node: one sled database, one witness, one writer thread, and the groups in it.

use crate::{
    atomic_file,
    config::StoreConfig,
    directory::DataDirectory,
    entry_cache::EntryCache,
    error::StoreError,
    group::Group,
    header::DirectoryId,
    health::Health,
    log_store::LogStore,
    metrics::Metrics,
    purge::Purger,
    queue::Queue,
    record::Mark,
    recovery,
    snapshot_store::SnapshotStore,
    witness::{Witness, witness_path},
    writer::{Shared, SyncDatabase, Writer},
};
use parking_lot::Mutex;
use rollcall_types::GroupId;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Most groups in one store: what a slot of the witness has room for.
pub const GROUPS_MAX: usize = 256;

/// How often, and how long apart, the database is opened anew while sled's threads of a store closed just before in
/// this process still hold its lock.
const LOCK_ATTEMPTS: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Key in sled's default tree under which the directory's id is kept.
const DIRECTORY_KEY: &[u8] = b"directory";

/// The store. Dropping it closes it.
pub struct Store {
    shared: Arc<Shared>,
    directory: DataDirectory,
    open: Mutex<Open>,
}

struct Open {
    database: Option<sled::Db>,
    groups: BTreeMap<GroupId, (Arc<Group>, Option<SnapshotStore>)>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the store in a data directory, reads all of its logs back and checks them, and starts the writer thread.
    /// Blocks on the disk, for a time that grows with the logs.
    ///
    /// # Errors
    /// When anything on disk is not what was acknowledged, or the file system refuses. A refused store is left as it is,
    /// except for what sled does when it opens.
    pub fn open(directory: &DataDirectory, config: StoreConfig) -> Result<Store, StoreError> {
        Store::open_with(directory, config, None)
    }

    /// [`Store::open`] with another way to sync the database.
    pub(crate) fn open_with(
        directory: &DataDirectory,
        config: StoreConfig,
        sync_database: Option<SyncDatabase>,
    ) -> Result<Store, StoreError> {
        let path = directory.path().join("db");
        let opened = catch_unwind(AssertUnwindSafe(|| open_all(directory, &path, &config)));
        let (database, witness, groups) = opened.unwrap_or_else(|panic| {
            let reason = panic.downcast_ref::<String>().cloned();
            let reason = reason.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let reason = format!("it stopped with: {}", reason.unwrap_or_else(|| "no message".to_owned()));
            Err(StoreError::Database { path: path.clone(), reason })
        })?;
        let io = |source: io::Error| StoreError::Io { path: path.clone(), source };
        let sync_database = match sync_database {
            Some(sync_database) => sync_database,
            None => {
                let file = File::open(path.join("db")).map_err(io)?;
                Box::new(move || file.sync_data())
            }
        };
        let metrics = Arc::new(Metrics::new());
        let shared = Arc::new(Shared {
            queue: Queue::new(),
            health: Health::new(Arc::clone(&metrics)),
            metrics,
            commits: AtomicU64::new(0),
            purged_values: AtomicU64::new(0),
            config,
        });
        let mut purger = Purger::default();
        for group in groups.values().filter(|group| group.written().leftover.is_some()) {
            purger.add(group);
        }
        let writer = Writer { shared: Arc::clone(&shared), database: database.clone(), sync_database, witness, purger };
        let thread = thread::Builder::new().name("rollcall-storage".to_owned()).spawn(move || writer.run());
        let open = Open {
            database: Some(database),
            groups: groups.into_iter().map(|(id, group)| (id, (group, None))).collect(),
            thread: Some(thread.map_err(io)?),
        };
        Ok(Store { shared, directory: directory.clone(), open: Mutex::new(open) })
    }

    /// The log and the snapshots of a group; an empty one if it is new. Repeated calls give handles to the same. Blocks
    /// on the disk for as long as it takes to read the newest snapshot.
    ///
    /// # Errors
    /// When the newest snapshot is damaged, or none reaches the beginning of the log; when there are too many groups, or
    /// the store failed or was closed.
    pub fn group(&self, group: GroupId) -> Result<(LogStore, SnapshotStore), StoreError> {
        self.shared.health.check().map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let mut open = self.open.lock();
        let Some(database) = open.database.clone() else {
            return Err(StoreError::Unavailable("the store is closed".to_owned()));
        };
        let count = open.groups.len();
        let (log, snapshots) = match open.groups.entry(group) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if count >= GROUPS_MAX => {
                return Err(StoreError::TooManyGroups { limit: GROUPS_MAX });
            }
            Entry::Vacant(new) => {
                let tree = database.open_tree(tree_name(group)).map_err(|error| StoreError::Database {
                    path: self.directory.path().join("db"),
                    reason: error.to_string(),
                })?;
                let cache = EntryCache::new(self.shared.config.group_cache_bytes);
                new.insert((Arc::new(Group::new(group, tree, Mark::default(), None, cache)), None))
            }
        };
        let snapshots = match snapshots {
            Some(snapshots) => snapshots.clone(),
            None => {
                let purged = log.view().extent.purged;
                let directory = self.directory.path().join("snapshots");
                snapshots.insert(SnapshotStore::open(&directory, group, purged)?).clone()
            }
        };
        Ok((LogStore { group: Arc::clone(log), shared: Arc::clone(&self.shared) }, snapshots))
    }

    /// The groups that have a log here.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupId> {
        self.open.lock().groups.keys().copied().collect()
    }

    /// Whether the store can still be trusted.
    ///
    /// # Errors
    /// A sentence saying what failed first. It never recovers: the process has to end.
    pub fn health(&self) -> Result<(), String> {
        self.shared.health.reason().map_or(Ok(()), |reason| Err(reason.to_owned()))
    }

    /// Group commits since the store was opened: how often the disk was waited for.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Values of purged entries deleted from the database since the store was opened.
    #[must_use]
    pub fn purged_values(&self) -> u64 {
        self.shared.purged_values.load(Ordering::Relaxed)
    }

    /// Writes what is queued, refuses everything from now on, and waits for the writer thread. Blocks on the disk.
    /// Handles that are still around get errors.
    pub fn close(&self) {
        self.shared.queue.close();
        let mut open = self.open.lock();
        if let Some(thread) = open.thread.take()
            && thread.join().is_err()
        {
            self.shared.health.fail("the storage thread panicked".to_owned());
        }
        let trees: Vec<sled::Tree> = open.groups.values().filter_map(|(group, _)| group.close()).collect();
        let database = open.database.take();
        if self.health().is_err() {
            // sled's destructors write; a failed store writes nothing any more.
            std::mem::forget((trees, database));
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

type Opened = (sled::Db, Witness, BTreeMap<GroupId, Arc<Group>>);

fn open_all(directory: &DataDirectory, path: &Path, config: &StoreConfig) -> Result<Opened, StoreError> {
    let io = |source: io::Error| StoreError::Io { path: path.to_owned(), source };
    let refuse = |reason: String| StoreError::Database { path: path.to_owned(), reason };
    let witness_path = witness_path(directory.path());
    // Before sled, which repairs what it opens.
    let witness = Witness::open(&witness_path, directory.id())?;
    if witness.is_some() && !path.join("db").exists() {
        return Err(refuse("its file is missing".to_owned()));
    }
    atomic_file::create_directory(path).map_err(io)?;
    let database = open_database(path, config)?;
    for synced in [&path.join("blobs"), path] {
        atomic_file::sync_directory(synced).map_err(io)?;
    }
    let mut trees = BTreeMap::new();
    for name in database.tree_names() {
        if let Some(group) = parse_tree_name(&name) {
            trees.insert(group, database.open_tree(&name).map_err(|error| refuse(error.to_string()))?);
        }
    }
    let witness = match witness {
        Some(witness) => witness,
        None if trees.is_empty() => Witness::create(&witness_path, directory.id())?,
        None => return Err(StoreError::Witness { path: witness_path, reason: "it is missing".to_owned() }),
    };
    check_directory_id(&database, directory.id(), trees.is_empty(), path)?;
    if let Some(lost) = witness.revisions().keys().find(|group| !trees.contains_key(group)) {
        return Err(refuse(format!("the log of {lost} is missing")));
    }
    let mut groups = BTreeMap::new();
    for (id, tree) in trees {
        let witnessed = witness.revisions().get(&id).copied().unwrap_or(0);
        let group = recovery::recover(id, tree, witnessed, config.group_cache_bytes, path)?;
        groups.insert(id, Arc::new(group));
    }
    Ok((database, witness, groups))
}

#[expect(clippy::disallowed_methods, reason = "between two looks at a lock whose release nothing announces; bounded")]
pub(crate) fn open_database(path: &Path, config: &StoreConfig) -> Result<sled::Db, StoreError> {
    let settings = sled::Config::new().path(path).cache_capacity(config.cache_capacity_bytes).flush_every_ms(None);
    let mut attempts = 0;
    loop {
        match settings.open() {
            Ok(database) => return Ok(database),
            Err(sled::Error::Io(error))
                if attempts < LOCK_ATTEMPTS && error.to_string().contains("could not acquire lock") =>
            {
                attempts += 1;
                thread::sleep(LOCK_PAUSE);
            }
            Err(error) => return Err(StoreError::Database { path: path.to_owned(), reason: error.to_string() }),
        }
    }
}

/// Notices a database that was put into another node's directory.
fn check_directory_id(database: &sled::Db, id: DirectoryId, is_new: bool, path: &Path) -> Result<(), StoreError> {
    let refuse = |reason: String| StoreError::Database { path: path.to_owned(), reason };
    match database.get(DIRECTORY_KEY).map_err(|error| refuse(error.to_string()))? {
        Some(found) if found.as_ref() == id.0 => Ok(()),
        Some(_) => Err(refuse("it was made for another data directory".to_owned())),
        None if is_new => {
            database.insert(DIRECTORY_KEY, &id.0).map_err(|error| refuse(error.to_string()))?;
            Ok(())
        }
        None => Err(refuse("it does not say which data directory it was made for".to_owned())),
    }
}

fn tree_name(group: GroupId) -> String {
    format!("group-{}", group.0)
}

fn parse_tree_name(name: &[u8]) -> Option<GroupId> {
    std::str::from_utf8(name).ok()?.strip_prefix("group-")?.parse().ok().map(GroupId)
}
