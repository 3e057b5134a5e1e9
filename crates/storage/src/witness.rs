//! The witness: a small file beside the database that remembers how far each group was acknowledged.
//!
//! sled drops a torn or damaged tail without a word and goes on with what came before. So every batch of a group
//! carries a growing revision, and after each group commit, before anything of it is acknowledged, the revisions are
//! written here. At open a group whose revision is behind its witnessed one is refused.
//!
//! Two slots in a file of fixed size. A slot that is known to be synced is not overwritten before the other one is
//! synced too, so a torn write leaves an older but true statement. The witness is written after the database's sync, so
//! it never claims too much. `docs/decisions/0003-storage-witness.md` says why it is synced on its own time.

use crate::{
    atomic_file,
    envelope::{EnvelopeError, Place},
    error::StoreError,
    header::DirectoryId,
};
use rollcall_types::GroupId;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Bytes of a slot: a whole number of sectors and of pages.
const SLOT_BYTES: usize = 4096;

/// What one slot says.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Statement {
    /// Grows with each write; the greater of two statements is the newer.
    pub(crate) sequence: u64,
    /// The last acknowledged revision of each group.
    pub(crate) revisions: BTreeMap<GroupId, u64>,
}

/// The open file.
pub(crate) struct Witness {
    file: File,
    directory: DirectoryId,
    statement: Statement,
    /// The slot that the next write goes to.
    slot: usize,
    /// Whether something was written since the last sync.
    unsynced: bool,
}

impl Witness {
    /// Opens the witness in a data directory. `None` where there is none.
    pub(crate) fn open(path: &Path, directory: DirectoryId) -> Result<Option<Witness>, StoreError> {
        let io = |source: io::Error| StoreError::Io { path: path.to_owned(), source };
        let refuse = |reason: String| StoreError::Witness { path: path.to_owned(), reason };
        let Some(bytes) = atomic_file::read_if_there(path).map_err(io)? else {
            return Ok(None);
        };
        if bytes.len() != 2 * SLOT_BYTES {
            return Err(refuse(format!("it has {} bytes instead of {}", bytes.len(), 2 * SLOT_BYTES)));
        }
        let (left, right) = bytes.split_at(SLOT_BYTES);
        let (newest, statement) = match (decode(left, directory), decode(right, directory)) {
            (Ok(left), Ok(right)) if left.sequence > right.sequence => (0, left),
            (Ok(_), Ok(right)) => (1, right),
            (Ok(left), Err(error)) => {
                tracing::warn!(%error, "one slot of the witness is torn, using the other");
                (0, left)
            }
            (Err(error), Ok(right)) => {
                tracing::warn!(%error, "one slot of the witness is torn, using the other");
                (1, right)
            }
            (Err(left), Err(right)) => return Err(refuse(format!("both of its slots are damaged: {left}; {right}"))),
        };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
        // After a kill the newest slot may not be on the disk yet, and the other one is about to be overwritten.
        file.sync_data().map_err(io)?;
        Ok(Some(Witness { file, directory, statement, slot: 1 - newest, unsynced: false }))
    }

    /// Creates an empty witness, durably.
    pub(crate) fn create(path: &Path, directory: DirectoryId) -> Result<Witness, StoreError> {
        let io = |source: io::Error| StoreError::Io { path: path.to_owned(), source };
        let statement = Statement::default();
        let slot = encode(&statement, directory).map_err(io)?;
        atomic_file::replace(path, &[&slot, &slot]).map_err(io)?;
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
        Ok(Witness { file, directory, statement, slot: 0, unsynced: false })
    }

    /// The acknowledged revision of each group.
    pub(crate) fn revisions(&self) -> &BTreeMap<GroupId, u64> {
        &self.statement.revisions
    }

    /// Writes these revisions down. From then on they survive the death of the process; of the machine, after
    /// [`Witness::sync`].
    pub(crate) fn write(&mut self, revisions: impl IntoIterator<Item = (GroupId, u64)>) -> io::Result<()> {
        self.statement.revisions.extend(revisions);
        self.statement.sequence += 1;
        let slot = encode(&self.statement, self.directory)?;
        let offset = if self.slot == 0 { 0 } else { SLOT_BYTES as u64 };
        self.file.write_all_at(&slot, offset)?;
        self.unsynced = true;
        Ok(())
    }

    pub(crate) fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    /// Makes the last write durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file.sync_data()?;
            self.unsynced = false;
            self.slot = 1 - self.slot;
        }
        Ok(())
    }
}

/// Length of the sealed statement (little-endian), the sealed statement, zeros.
pub(crate) fn encode(statement: &Statement, directory: DirectoryId) -> io::Result<Vec<u8>> {
    let body = postcard::to_allocvec(statement).map_err(io::Error::other)?;
    let sealed = place(&directory).seal(&body);
    let length = u16::try_from(sealed.len()).map_err(io::Error::other)?;
    let mut slot = Vec::with_capacity(SLOT_BYTES);
    slot.extend_from_slice(&length.to_le_bytes());
    slot.extend_from_slice(&sealed);
    if slot.len() > SLOT_BYTES {
        return Err(io::Error::other("more groups than the witness has room for"));
    }
    slot.resize(SLOT_BYTES, 0);
    Ok(slot)
}

/// What a slot says, or why it says nothing.
pub(crate) fn decode(slot: &[u8], directory: DirectoryId) -> Result<Statement, String> {
    let (length, rest) = slot.split_first_chunk::<2>().ok_or_else(|| EnvelopeError::Short.to_string())?;
    let sealed =
        rest.get(..usize::from(u16::from_le_bytes(*length))).ok_or_else(|| EnvelopeError::Short.to_string())?;
    let body = place(&directory).open(sealed).map_err(|error| error.to_string())?;
    postcard::from_bytes(body).map_err(|error| error.to_string())
}

fn place(directory: &DirectoryId) -> Place<'_> {
    Place { domain: "rollcall witness", at: &directory.0 }
}

/// Where the witness of a data directory is.
pub(crate) fn witness_path(directory: &Path) -> PathBuf {
    directory.join("witness")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use std::fs;

    const DIRECTORY: DirectoryId = DirectoryId([4; 16]);

    fn reopen(path: &Path) -> Result<BTreeMap<GroupId, u64>, StoreError> {
        Witness::open(path, DIRECTORY).map(|witness| witness.unwrap().revisions().clone())
    }

    #[test]
    fn the_newest_statement_is_read_back() {
        let place = tempfile::tempdir().unwrap();
        let path = witness_path(place.path());
        assert!(Witness::open(&path, DIRECTORY).unwrap().is_none());
        let mut witness = Witness::create(&path, DIRECTORY).unwrap();
        for revision in 1..6 {
            witness.write([(GroupId(revision as u32 % 2), revision)]).unwrap();
            if revision % 2 == 0 {
                witness.sync().unwrap();
            }
            let expected: BTreeMap<_, _> =
                [(GroupId(1), revision - (revision + 1) % 2), (GroupId(0), revision - revision % 2)]
                    .into_iter()
                    .filter(|(_, revision)| *revision > 0)
                    .collect();
            assert_eq!(reopen(&path).unwrap(), expected);
        }
    }

    #[test]
    fn a_synced_statement_survives_whatever_happens_to_the_slot_under_way() {
        let place = tempfile::tempdir().unwrap();
        let path = witness_path(place.path());
        let mut witness = Witness::create(&path, DIRECTORY).unwrap();
        witness.write([(GroupId(1), 7)]).unwrap();
        witness.sync().unwrap();
        let synced = fs::read(&path).unwrap();
        for revision in 8..11 {
            witness.write([(GroupId(1), revision)]).unwrap();
        }
        let written = fs::read(&path).unwrap();
        let torn: Vec<u8> = synced.iter().zip(&written).map(|(a, b)| if a == b { *a } else { 0xee }).collect();
        fs::write(&path, torn).unwrap();
        assert_eq!(reopen(&path).unwrap(), BTreeMap::from([(GroupId(1), 7)]));
    }

    #[test]
    fn a_witness_of_another_directory_or_size_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = witness_path(place.path());
        drop(Witness::create(&path, DIRECTORY).unwrap());
        assert!(matches!(Witness::open(&path, DirectoryId([5; 16])), Err(StoreError::Witness { .. })));
        let bytes = fs::read(&path).unwrap();
        for cut in [0, 1, SLOT_BYTES, 2 * SLOT_BYTES - 1] {
            fs::write(&path, &bytes[..cut]).unwrap();
            assert!(matches!(reopen(&path), Err(StoreError::Witness { .. })), "cut at {cut}");
        }
    }

    #[test]
    fn a_slot_has_room_for_every_group_a_store_takes() {
        let revisions = (0..crate::GROUPS_MAX as u32).map(|group| (GroupId(u32::MAX - group), u64::MAX)).collect();
        encode(&Statement { sequence: u64::MAX, revisions }, DIRECTORY).unwrap();
    }
}
