//! The data directory of a node: locked by one process, and marked with whose it is.
//!
//! Layout: `lock`, `header`, `witness`, `db/` (sled), `snapshots/`.

use crate::{
    atomic_file,
    error::DirectoryError,
    header::{ClusterId, DirectoryId, Header, HeaderError, Identity},
};
use parking_lot::Mutex;
use rollcall_types::NodeId;
use rustix::fs::FlockOperation;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A locked data directory. The lock lasts as long as the value, its clones, and the stores opened in it.
#[derive(Clone, Debug)]
pub struct DataDirectory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    header: Mutex<Header>,
    /// Held, not read: the kernel drops the lock with the last descriptor, however the process ends.
    _lock: File,
}

impl DataDirectory {
    /// Opens a directory, creating it if there is none, and locks it. Blocks on the disk.
    ///
    /// # Errors
    /// When another process holds it, when its header is damaged, missing or of a newer format, or when the file system
    /// refuses.
    pub fn open(path: impl AsRef<Path>) -> Result<DataDirectory, DirectoryError> {
        let path = path.as_ref();
        let io = |source: io::Error| DirectoryError::Io { path: path.to_owned(), source };
        atomic_file::create_directory(path).map_err(io)?;
        let lock = lock(path)?;
        let header = match atomic_file::read_if_there(&path.join("header")).map_err(io)? {
            Some(bytes) => Header::decode(&bytes).map_err(|error| match error {
                HeaderError::Newer(found) => {
                    DirectoryError::Newer { path: path.to_owned(), found, known: crate::envelope::FORMAT_VERSION }
                }
                HeaderError::Damaged(reason) => DirectoryError::Damaged { path: path.to_owned(), reason },
            })?,
            None => create_header(path)?,
        };
        atomic_file::remove_if_there(&atomic_file::unfinished(&path.join("header"))).map_err(io)?;
        Ok(DataDirectory { inner: Arc::new(Inner { path: path.to_owned(), header: Mutex::new(header), _lock: lock }) })
    }

    /// [`DataDirectory::open`], then [`DataDirectory::check_cluster`].
    ///
    /// # Errors
    /// As those two.
    pub fn open_for(path: impl AsRef<Path>, cluster: ClusterId) -> Result<DataDirectory, DirectoryError> {
        let directory = DataDirectory::open(path)?;
        directory.check_cluster(cluster)?;
        Ok(directory)
    }

    /// Passes if the directory belongs to this cluster, or to none yet.
    ///
    /// # Errors
    /// [`DirectoryError::OtherCluster`].
    pub fn check_cluster(&self, cluster: ClusterId) -> Result<(), DirectoryError> {
        match self.inner.header.lock().identity.as_ref() {
            Some(identity) if identity.cluster != cluster => Err(DirectoryError::OtherCluster {
                path: self.inner.path.clone(),
                expected: cluster,
                found: identity.cluster,
            }),
            _ => Ok(()),
        }
    }

    /// Writes down whose the directory is, durably. May be repeated with another `founding`, never with another
    /// cluster or node. Blocks on the disk.
    ///
    /// # Errors
    /// When it belongs to another cluster or node, or the header cannot be written; then the old one holds.
    pub fn adopt(&self, cluster: ClusterId, node: NodeId, founding: Vec<u8>) -> Result<(), DirectoryError> {
        self.check_cluster(cluster)?;
        let mut header = self.inner.header.lock();
        if let Some(found) = header.identity.as_ref().map(|identity| identity.node).filter(|found| *found != node) {
            return Err(DirectoryError::OtherNode { path: self.inner.path.clone(), expected: node, found });
        }
        let adopted = Header { id: header.id, identity: Some(Identity { cluster, node, founding }) };
        if *header != adopted {
            write_header(&self.inner.path, &adopted)?;
            *header = adopted;
        }
        Ok(())
    }

    /// Whose the directory is; `None` before it was adopted.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.inner.header.lock().identity.clone()
    }

    /// The number drawn when the directory was created.
    #[must_use]
    pub fn id(&self) -> DirectoryId {
        self.inner.header.lock().id
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }
}

fn lock(path: &Path) -> Result<File, DirectoryError> {
    let file_path = path.join("lock");
    let io = |source: io::Error| DirectoryError::Io { path: file_path.clone(), source };
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&file_path).map_err(io)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(DirectoryError::Locked { path: path.to_owned() }),
        Err(errno) => Err(io(errno.into())),
    }
}

/// A directory without a header is a new one, unless it already holds what only comes after a header.
fn create_header(path: &Path) -> Result<Header, DirectoryError> {
    for name in ["witness", "db", "snapshots"] {
        if path.join(name).exists() {
            let reason = format!("there is none, though there is `{name}`");
            return Err(DirectoryError::Damaged { path: path.to_owned(), reason });
        }
    }
    let header = Header { id: DirectoryId(rand::random()), identity: None };
    write_header(path, &header)?;
    Ok(header)
}

fn write_header(path: &Path, header: &Header) -> Result<(), DirectoryError> {
    let file = path.join("header");
    let io = |source: io::Error| DirectoryError::Io { path: file.clone(), source };
    let bytes = header.encode().map_err(|reason| io(io::Error::other(reason)))?;
    atomic_file::replace(&file, &[&bytes]).map_err(io)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_directory_is_adopted_once_and_remembers_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b");
        let directory = DataDirectory::open(&path).unwrap();
        assert_eq!(directory.identity(), None);
        directory.adopt(ClusterId(1), NodeId(2), vec![3]).unwrap();
        let id = directory.id();
        drop(directory);

        let directory = DataDirectory::open_for(&path, ClusterId(1)).unwrap();
        assert_eq!(directory.id(), id);
        let identity = Identity { cluster: ClusterId(1), node: NodeId(2), founding: vec![3] };
        assert_eq!(directory.identity(), Some(identity.clone()));
        assert!(matches!(
            directory.adopt(ClusterId(1), NodeId(9), vec![]),
            Err(DirectoryError::OtherNode { found: NodeId(2), .. })
        ));
        assert!(matches!(directory.adopt(ClusterId(8), NodeId(2), vec![]), Err(DirectoryError::OtherCluster { .. })));
        assert_eq!(directory.identity(), Some(identity));
    }

    #[test]
    fn a_directory_of_another_cluster_is_refused_with_a_sentence() {
        let place = tempfile::tempdir().unwrap();
        DataDirectory::open(place.path()).unwrap().adopt(ClusterId(1), NodeId(2), vec![]).unwrap();
        let refusal = DataDirectory::open_for(place.path(), ClusterId(0xab)).unwrap_err().to_string();
        assert!(refusal.contains("belongs to cluster 00000000000000000000000000000001"), "{refusal}");
        assert!(refusal.contains("empty one"), "{refusal}");
    }

    #[test]
    fn a_directory_in_use_is_refused_and_free_again_afterwards() {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDirectory::open(place.path()).unwrap();
        let refusal = DataDirectory::open(place.path()).unwrap_err().to_string();
        assert!(refusal.contains(&place.path().display().to_string()), "{refusal}");
        assert!(refusal.contains("in use by another process"), "{refusal}");
        drop(directory);
        DataDirectory::open(place.path()).unwrap();
    }

    #[test]
    fn a_newer_format_is_refused_with_a_sentence() {
        let place = tempfile::tempdir().unwrap();
        drop(DataDirectory::open(place.path()).unwrap());
        let body = [9];
        let mut crc = crc32fast::Hasher::new();
        crc.update(b"rollcall header\0\x02");
        crc.update(&body);
        let mut newer = vec![2];
        newer.extend_from_slice(&crc.finalize().to_le_bytes());
        newer.extend_from_slice(&body);
        fs::write(place.path().join("header"), newer).unwrap();
        let refusal = DataDirectory::open(place.path()).unwrap_err().to_string();
        assert!(refusal.contains("format 2, newer than format 1"), "{refusal}");
    }

    #[test]
    fn a_header_that_vanished_is_not_taken_for_a_new_directory() {
        let place = tempfile::tempdir().unwrap();
        drop(DataDirectory::open(place.path()).unwrap());
        fs::create_dir(place.path().join("db")).unwrap();
        fs::remove_file(place.path().join("header")).unwrap();
        assert!(matches!(DataDirectory::open(place.path()), Err(DirectoryError::Damaged { .. })));
    }
}
