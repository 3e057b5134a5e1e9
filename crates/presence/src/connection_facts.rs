//! The facts of one connection, as its claim gave them: one copy, shared by the client's record and by the entries of
//! the feed that tell of the connection. Packed into one piece of memory, since there is one for each client on record and
//! for each connection that the feed tells of.
//!
//! What does not belong here: whether the connection lasts, and how it ended.

use crate::{ClaimDetails, PartitionState};
use rollcall_types::{ClusterTime, Epoch, Protocol};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Places of the fixed part; the user name and the address follow it.
const CONNECTED_AT: usize = 0;
const PREV_EPOCH: usize = 8;
const SESSION_EXPIRY: usize = 16;
const USERNAME_BYTES: usize = 20;
const KEEP_ALIVE: usize = 24;
const PROTOCOL: usize = 26;
const CLEAN_START: usize = 27;
const TEXTS: usize = 28;

/// What a claim says of its connection, and what it followed. A clone is the same piece of memory.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "UnpackedFacts", into = "UnpackedFacts")]
pub struct ConnectionFacts(Arc<[u8]>);

/// The same, field by field. Stored and sent: fields are only ever added at the end, under a new format version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnpackedFacts {
    /// Cluster time of the claim.
    pub connected_at: ClusterTime,
    /// Epoch of the client's claim before this one; `None` where none was on record. Whoever knows of no epoch between
    /// has missed no connection, and whoever does not know this one has.
    pub prev_epoch: Option<Epoch>,
    /// The account; empty for an anonymous client.
    pub username: Box<str>,
    /// `address:port` of the client.
    pub peer: Box<str>,
    /// Session expiry in seconds after the connection's end; [`crate::SESSION_NEVER_EXPIRES_S`] = never.
    pub session_expiry_s: u32,
    /// Keep-alive in force, in seconds; 0 = off.
    pub keep_alive_s: u16,
    /// Protocol version.
    pub protocol: Protocol,
    /// Whether the connection asked for a clean start.
    pub clean_start: bool,
}

impl ConnectionFacts {
    /// The facts of a claim made at `at` by a client whose last claim on record had this epoch.
    pub(crate) fn of(details: &ClaimDetails, at: ClusterTime, prev_epoch: Option<Epoch>) -> ConnectionFacts {
        pack(
            (at, prev_epoch),
            (&details.username, &details.peer),
            (details.session_expiry_s, details.keep_alive_s, details.protocol, details.clean_start),
        )
    }

    /// See [`UnpackedFacts::connected_at`].
    #[must_use]
    pub fn connected_at(&self) -> ClusterTime {
        ClusterTime(u64::from_le_bytes(self.at(CONNECTED_AT)))
    }

    /// See [`UnpackedFacts::prev_epoch`].
    #[must_use]
    pub fn prev_epoch(&self) -> Option<Epoch> {
        // The first claim of all has epoch 1.
        Some(Epoch(u64::from_le_bytes(self.at(PREV_EPOCH)))).filter(|epoch| epoch.0 > 0)
    }

    /// See [`UnpackedFacts::username`].
    #[must_use]
    pub fn username(&self) -> &str {
        self.text(TEXTS, self.peer_begins())
    }

    /// See [`UnpackedFacts::peer`].
    #[must_use]
    pub fn peer(&self) -> &str {
        self.text(self.peer_begins(), self.0.len())
    }

    /// See [`UnpackedFacts::session_expiry_s`].
    #[must_use]
    pub fn session_expiry_s(&self) -> u32 {
        u32::from_le_bytes(self.at(SESSION_EXPIRY))
    }

    /// See [`UnpackedFacts::keep_alive_s`].
    #[must_use]
    pub fn keep_alive_s(&self) -> u16 {
        u16::from_le_bytes(self.at(KEEP_ALIVE))
    }

    /// See [`UnpackedFacts::protocol`].
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self.at::<1>(PROTOCOL) {
            [3] => Protocol::V31,
            [4] => Protocol::V311,
            _ => Protocol::V5,
        }
    }

    /// See [`UnpackedFacts::clean_start`].
    #[must_use]
    pub fn clean_start(&self) -> bool {
        self.at(CLEAN_START) == [1]
    }

    /// Another keep-alive from now on, here and in no clone made before.
    pub(crate) fn change_keep_alive(&mut self, keep_alive_s: u16) {
        if let Some(bytes) = Arc::make_mut(&mut self.0).get_mut(KEEP_ALIVE..KEEP_ALIVE + 2) {
            bytes.copy_from_slice(&keep_alive_s.to_le_bytes());
        }
    }

    fn peer_begins(&self) -> usize {
        TEXTS.saturating_add(usize::try_from(u32::from_le_bytes(self.at(USERNAME_BYTES))).unwrap_or(usize::MAX))
    }

    /// The bytes of a field. They are there: only [`pack`] makes a value.
    fn at<const N: usize>(&self, place: usize) -> [u8; N] {
        self.0.get(place..place + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
    }

    fn text(&self, from: usize, to: usize) -> &str {
        self.0.get(from..to).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

fn pack(
    (connected_at, prev_epoch): (ClusterTime, Option<Epoch>),
    (username, peer): (&str, &str),
    (session_expiry_s, keep_alive_s, protocol, clean_start): (u32, u16, Protocol, bool),
) -> ConnectionFacts {
    let mut bytes = Vec::with_capacity(TEXTS + username.len() + peer.len());
    bytes.extend(connected_at.0.to_le_bytes());
    bytes.extend(prev_epoch.map_or(0, |epoch| epoch.0).to_le_bytes());
    bytes.extend(session_expiry_s.to_le_bytes());
    bytes.extend(u32::try_from(username.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(keep_alive_s.to_le_bytes());
    bytes.extend([protocol.level(), u8::from(clean_start)]);
    bytes.extend(username.as_bytes());
    bytes.extend(peer.as_bytes());
    ConnectionFacts(bytes.into())
}

impl From<UnpackedFacts> for ConnectionFacts {
    fn from(facts: UnpackedFacts) -> ConnectionFacts {
        pack(
            (facts.connected_at, facts.prev_epoch),
            (&facts.username, &facts.peer),
            (facts.session_expiry_s, facts.keep_alive_s, facts.protocol, facts.clean_start),
        )
    }
}

impl From<ConnectionFacts> for UnpackedFacts {
    fn from(facts: ConnectionFacts) -> UnpackedFacts {
        UnpackedFacts {
            connected_at: facts.connected_at(),
            prev_epoch: facts.prev_epoch(),
            username: facts.username().into(),
            peer: facts.peer().into(),
            session_expiry_s: facts.session_expiry_s(),
            keep_alive_s: facts.keep_alive_s(),
            protocol: facts.protocol(),
            clean_start: facts.clean_start(),
        }
    }
}

impl fmt::Debug for ConnectionFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        UnpackedFacts::from(self.clone()).fmt(f)
    }
}

impl PartitionState {
    /// Makes the record and the entries of one connection share one copy of its facts again, which their bytes do not:
    /// for a state that was just decoded.
    #[must_use]
    pub fn sharing_facts(mut self) -> PartitionState {
        let mut known: BTreeMap<Epoch, ConnectionFacts> = BTreeMap::new();
        for entry in &mut self.timeline.feed.entries {
            let entry = Arc::make_mut(entry);
            let Some(own) = &mut entry.facts else { continue };
            let on_record = self.records.get(&entry.client_id).filter(|record| record.epoch == entry.epoch);
            let shared = match on_record {
                Some(record) => &record.facts,
                None => known.entry(entry.epoch).or_insert_with(|| own.clone()),
            };
            // Only where they are the same: a record's facts may have changed since the entry was made.
            if *shared == *own {
                *own = shared.clone();
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl ConnectionFacts {
        pub(crate) fn is_same_memory(&self, other: &ConnectionFacts) -> bool {
            Arc::ptr_eq(&self.0, &other.0)
        }
    }

    #[test]
    fn another_keep_alive_changes_no_clone_and_nothing_else() {
        let unpacked = UnpackedFacts {
            connected_at: ClusterTime(u64::MAX),
            prev_epoch: Some(Epoch(7)),
            username: "ü".into(),
            peer: "[::1]:1".into(),
            session_expiry_s: u32::MAX,
            keep_alive_s: 0x0102,
            protocol: Protocol::V5,
            clean_start: true,
        };
        let before = ConnectionFacts::from(unpacked.clone());
        let mut after = before.clone();
        after.change_keep_alive(0xfffe);
        assert_eq!(UnpackedFacts::from(before), unpacked);
        assert_eq!(UnpackedFacts::from(after), UnpackedFacts { keep_alive_s: 0xfffe, ..unpacked });
    }

    #[test]
    fn what_is_packed_is_unpacked_again() {
        for (username, peer, prev_epoch, protocol) in [
            ("", "", None, Protocol::V31),
            ("ü", "[2001:db8::1]:65535", Some(Epoch(1 << 52)), Protocol::V311),
            ("alice", "", Some(Epoch(1)), Protocol::V5),
        ] {
            let facts = UnpackedFacts {
                connected_at: ClusterTime(u64::MAX),
                prev_epoch,
                username: username.into(),
                peer: peer.into(),
                session_expiry_s: u32::MAX - 1,
                keep_alive_s: u16::MAX - 1,
                protocol,
                clean_start: username.is_empty(),
            };
            assert_eq!(UnpackedFacts::from(ConnectionFacts::from(facts.clone())), facts);
        }
    }
}
