//! A group's snapshots as plain files. Only the newest is kept.

use crate::{
    atomic_file,
    error::SnapshotError,
    raft_types::{LogId, SnapshotMeta},
    snapshot_file,
};
use parking_lot::Mutex;
use rollcall_types::GroupId;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where a group keeps its snapshots. Clones share it.
///
/// Must be used within a tokio runtime: files are read and written on its blocking threads.
#[derive(Clone)]
pub struct SnapshotStore {
    inner: Arc<Inner>,
}

struct Inner {
    group: GroupId,
    directory: PathBuf,
    /// The newest snapshot, held while one is written or read so that two do not meet.
    newest: Mutex<Option<(Option<LogId>, PathBuf)>>,
}

impl SnapshotStore {
    /// Opens a group's snapshots under `directory`, removes leftovers, and checks that the newest reaches `purged`, the
    /// last entry that was removed from the log. Blocks on the disk.
    pub(crate) fn open(directory: &Path, group: GroupId, purged: Option<LogId>) -> Result<Self, SnapshotError> {
        let directory = directory.join(format!("group-{}", group.0));
        let io = |source: io::Error| SnapshotError::Io { group, path: directory.clone(), source };
        let mut names = Vec::new();
        match fs::read_dir(&directory) {
            Ok(listing) => {
                for item in listing {
                    names.push(item.map_err(io)?.file_name());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        names.sort();
        let newest = names.iter().rfind(|name| name.to_str().is_some_and(snapshot_file::is_file_name)).cloned();
        for name in names.iter().filter(|name| Some(*name) != newest.as_ref()) {
            let ours = name.to_str().and_then(|name| name.split('.').next()).is_some_and(snapshot_file::is_file_name);
            if ours {
                atomic_file::remove_if_there(&directory.join(name)).map_err(io)?;
            }
        }
        let newest = newest.map(|name| directory.join(name));
        let store =
            SnapshotStore { inner: Arc::new(Inner { group, directory: directory.clone(), newest: Mutex::new(None) }) };
        let newest = match newest {
            Some(path) => Some((store.inner.read(&path)?.0.last_log_id, path)),
            None => None,
        };
        if let Some(purged) = purged
            && newest.as_ref().and_then(|(last, _)| *last).is_none_or(|last| last.index < purged.index)
        {
            return Err(SnapshotError::Missing { group, purged: purged.index });
        }
        *store.inner.newest.lock() = newest;
        Ok(store)
    }

    /// Keeps a snapshot, durably, in place of the one before. One that covers less than what is kept is dropped.
    ///
    /// # Errors
    /// A [`SnapshotError`] within; the one before is still kept.
    pub async fn save(&self, meta: SnapshotMeta, content: Vec<u8>) -> io::Result<()> {
        let inner = Arc::clone(&self.inner);
        let saving = tokio::task::spawn_blocking(move || inner.save(&meta, &content));
        Ok(saving.await.map_err(io::Error::other)??)
    }

    /// The newest snapshot, if there is one.
    ///
    /// # Errors
    /// A [`SnapshotError`] within, if the file is damaged or cannot be read.
    pub async fn load(&self) -> io::Result<Option<(SnapshotMeta, Vec<u8>)>> {
        let inner = Arc::clone(&self.inner);
        let loading = tokio::task::spawn_blocking(move || {
            let newest = inner.newest.lock();
            newest.as_ref().map(|(_, path)| inner.read(path)).transpose()
        });
        Ok(loading.await.map_err(io::Error::other)??)
    }
}

impl Inner {
    fn save(&self, meta: &SnapshotMeta, content: &[u8]) -> Result<(), SnapshotError> {
        let mut newest = self.newest.lock();
        if newest.as_ref().is_some_and(|(last, _)| *last > meta.last_log_id) {
            return Ok(());
        }
        let path = self.directory.join(snapshot_file::file_name(meta.last_log_id));
        let io = |source: io::Error| SnapshotError::Io { group: self.group, path: path.clone(), source };
        let head =
            snapshot_file::encode_head(self.group, meta, content).map_err(|error| io(io::Error::other(error)))?;
        atomic_file::create_directory(&self.directory).map_err(io)?;
        #[cfg(feature = "mutants")]
        rollcall_contracts::crash_points::pass("before_snapshot");
        atomic_file::replace(&path, &[&head, content]).map_err(io)?;
        #[cfg(feature = "mutants")]
        rollcall_contracts::crash_points::pass("snapshot_named");
        let before = newest.replace((meta.last_log_id, path.clone()));
        match before {
            Some((_, before)) if before != path => atomic_file::remove_if_there(&before).map_err(io),
            _ => Ok(()),
        }
    }

    fn read(&self, path: &Path) -> Result<(SnapshotMeta, Vec<u8>), SnapshotError> {
        let io = |source: io::Error| SnapshotError::Io { group: self.group, path: path.to_owned(), source };
        let mut file = fs::read(path).map_err(io)?;
        let (meta, begin) = snapshot_file::decode(self.group, &file).map_err(|reason| SnapshotError::Damaged {
            group: self.group,
            path: path.to_owned(),
            reason,
        })?;
        Ok((meta, file.split_off(begin)))
    }
}
