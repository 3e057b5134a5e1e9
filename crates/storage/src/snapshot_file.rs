//! The file of one snapshot: a head that says what it covers, then the content. Only its encoding.
//!
//! Layout: `RCSN`, length of the sealed head (4 bytes, little-endian), the sealed head, the content.

use crate::{
    envelope::Place,
    raft_types::{LogId, SnapshotMeta},
};
use rollcall_types::GroupId;
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 4] = b"RCSN";

/// What stands before the content.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Head {
    meta: SnapshotMeta,
    /// Bytes of the content.
    length: u64,
    /// CRC32 of the content.
    checksum: u32,
}

/// What goes into the file before the content.
pub(crate) fn encode_head(group: GroupId, meta: &SnapshotMeta, content: &[u8]) -> Result<Vec<u8>, String> {
    let head = Head { meta: meta.clone(), length: content.len() as u64, checksum: crc32fast::hash(content) };
    let body = postcard::to_allocvec(&head).map_err(|error| error.to_string())?;
    let sealed = place(&group.0.to_be_bytes()).seal(&body);
    let length = u32::try_from(sealed.len()).map_err(|error| error.to_string())?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&sealed);
    Ok(bytes)
}

/// What a file covers and where its content begins; checks all of it.
pub(crate) fn decode(group: GroupId, file: &[u8]) -> Result<(SnapshotMeta, usize), String> {
    let short = || "it is cut short".to_owned();
    let rest = file.strip_prefix(MAGIC).ok_or_else(|| "it does not begin as a snapshot does".to_owned())?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|error| error.to_string())?;
    let (sealed, content) = rest.split_at_checked(length).ok_or_else(short)?;
    let body = place(&group.0.to_be_bytes()).open(sealed).map_err(|error| error.to_string())?;
    let head: Head = postcard::from_bytes(body).map_err(|error| error.to_string())?;
    if content.len() as u64 != head.length {
        return Err(format!("it has {} bytes of content instead of {}", content.len(), head.length));
    }
    if crc32fast::hash(content) != head.checksum {
        return Err("the checksum of its content does not match".to_owned());
    }
    Ok((head.meta, file.len() - content.len()))
}

fn place(group: &[u8; 4]) -> Place<'_> {
    Place { domain: "rollcall snapshot", at: group }
}

/// The name of the file of a snapshot; names sort as the positions do.
pub(crate) fn file_name(last: Option<LogId>) -> String {
    let (index, term) = last.map_or((0, 0), |last| (last.index, last.leader_id.term));
    format!("snapshot-{index:020}-{term:020}")
}

/// Whether a name is one of ours.
pub(crate) fn is_file_name(name: &str) -> bool {
    name.strip_prefix("snapshot-")
        .is_some_and(|rest| rest.len() == 41 && rest.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::raft_types::{CommittedLeaderId, Membership, StoredMembership};
    use std::collections::BTreeSet;

    fn meta() -> SnapshotMeta {
        let last = LogId::new(CommittedLeaderId::new(2), 40);
        let membership = Membership::new_with_defaults(vec![BTreeSet::from([1, 2])], []);
        SnapshotMeta { last_log_id: Some(last), last_membership: StoredMembership::new(Some(last), membership) }
    }

    fn file() -> Vec<u8> {
        let mut file = encode_head(GroupId(1), &meta(), b"content").unwrap();
        file.extend_from_slice(b"content");
        file
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let file = file();
        let (decoded, begin) = decode(GroupId(1), &file).unwrap();
        assert_eq!((decoded, &file[begin..]), (meta(), b"content".as_slice()));
        for cut in 0..file.len() {
            assert!(decode(GroupId(1), &file[..cut]).is_err(), "cut at {cut}");
        }
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(GroupId(1), &flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_snapshot_of_another_group_is_refused() {
        assert!(decode(GroupId(2), &file()).is_err());
    }

    #[test]
    fn names_sort_as_positions_do() {
        let name = |term, index| file_name(Some(LogId::new(CommittedLeaderId::new(term), index)));
        assert!(name(9, 99) < name(1, 100));
        assert!(is_file_name(&name(9, 99)));
        assert!(!is_file_name("snapshot-1.unfinished"));
    }
}
