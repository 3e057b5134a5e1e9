//! What is known of one client: its last claim, and whether that is online. Kept small, since there is one for each
//! client of the partition, and all are in memory.

use crate::{ClaimDetails, ConnectionFacts, Displaced};
use rollcall_types::{ClientId, ClusterTime, DisconnectReason, Epoch, OperationNumber, Owner, Protocol, Will};
use serde::{Deserialize, Serialize};

/// The session expiry interval that never ends, in seconds (MQTT 5.0, 3.1.2.11.2).
pub const SESSION_NEVER_EXPIRES_S: u32 = u32::MAX;

const MS_PER_S: u64 = 1000;

/// The last claim of a client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    pub(crate) epoch: Epoch,
    pub(crate) owner: Owner,
    pub(crate) facts: ConnectionFacts,
    pub(crate) presence: Presence,
}

/// The two halves of a record that are never needed together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Presence {
    /// The claim holds.
    Online {
        /// Number of the claim among its owner's operations: what a retry is known by.
        number: OperationNumber,
        /// The will, as long as the connection lasts.
        will: Option<Box<Will>>,
        /// What the claim displaced, for a retry's answer. Boxed: most claims displace nothing.
        displaced: Option<Box<Displaced>>,
    },
    /// The claim ended.
    Offline {
        /// When.
        at: ClusterTime,
        /// Why.
        reason: DisconnectReason,
        /// When its waiting will is due; `None` when none waits.
        will_due: Option<ClusterTime>,
    },
}

/// How a claim ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offline {
    /// Cluster time of the end.
    pub at: ClusterTime,
    /// Why.
    pub reason: DisconnectReason,
}

impl Record {
    /// The record of a claim just made, and the client id it stands under.
    pub(crate) fn claimed(
        details: ClaimDetails,
        (epoch, owner, number): (Epoch, Owner, OperationNumber),
        facts: ConnectionFacts,
        displaced: Option<Displaced>,
    ) -> (ClientId, Record) {
        let record = Record {
            epoch,
            owner,
            facts,
            presence: Presence::Online { number, will: details.will.map(Box::new), displaced: displaced.map(Box::new) },
        };
        (details.client_id, record)
    }

    /// Whether the claim holds.
    #[must_use]
    pub fn online(&self) -> bool {
        matches!(self.presence, Presence::Online { .. })
    }

    /// Epoch of the last claim.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether it is this claim of this owner's that holds.
    pub(crate) fn is_held_by(&self, owner: Owner, epoch: Epoch) -> bool {
        self.online() && self.owner == owner && self.epoch == epoch
    }

    /// Who holds it, or held it last.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The account; empty for an anonymous client.
    #[must_use]
    pub fn username(&self) -> &str {
        self.facts.username()
    }

    /// `address:port` of the client.
    #[must_use]
    pub fn peer(&self) -> &str {
        self.facts.peer()
    }

    /// Protocol version.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.facts.protocol()
    }

    /// Keep-alive in force, in seconds; 0 = off.
    #[must_use]
    pub fn keep_alive_s(&self) -> u16 {
        self.facts.keep_alive_s()
    }

    /// The connection has another keep-alive from now on. Entries of the feed made before tell the old one.
    pub(crate) fn change_keep_alive(&mut self, keep_alive_s: u16) {
        self.facts.change_keep_alive(keep_alive_s);
    }

    /// Whether the connection asked for a clean start.
    #[must_use]
    pub fn clean_start(&self) -> bool {
        self.facts.clean_start()
    }

    /// Session expiry in seconds after the connection's end; [`SESSION_NEVER_EXPIRES_S`] = never.
    #[must_use]
    pub fn session_expiry_s(&self) -> u32 {
        self.facts.session_expiry_s()
    }

    /// Cluster time of the claim.
    #[must_use]
    pub fn connected_at(&self) -> ClusterTime {
        self.facts.connected_at()
    }

    /// Epoch of the client's claim before this one; `None` where none was on record.
    #[must_use]
    pub fn prev_epoch(&self) -> Option<Epoch> {
        self.facts.prev_epoch()
    }

    /// When and why the claim ended; `None` while it holds.
    #[must_use]
    pub fn offline(&self) -> Option<Offline> {
        match self.presence {
            Presence::Online { .. } => None,
            Presence::Offline { at, reason, .. } => Some(Offline { at, reason }),
        }
    }

    /// Whether a will stands behind the connection, or still waits after its end.
    #[must_use]
    pub fn has_will(&self) -> bool {
        match &self.presence {
            Presence::Online { will, .. } => will.is_some(),
            Presence::Offline { will_due, .. } => will_due.is_some(),
        }
    }

    /// The will of an online claim. One that waits is in the state's list, by its due time.
    #[must_use]
    pub fn will(&self) -> Option<&Will> {
        match &self.presence {
            Presence::Online { will, .. } => will.as_deref(),
            Presence::Offline { .. } => None,
        }
    }

    /// When the will that waits since the end of the connection is due.
    #[must_use]
    pub fn will_due(&self) -> Option<ClusterTime> {
        match self.presence {
            Presence::Online { .. } => None,
            Presence::Offline { will_due, .. } => will_due,
        }
    }

    /// The answer to a claim retried under `number`: what it displaced, if this is the very claim and still holds.
    pub(crate) fn answers_retry(&self, by: Owner, by_number: OperationNumber) -> Option<Option<Displaced>> {
        match &self.presence {
            Presence::Online { number, displaced, .. } if self.owner == by && *number == by_number => {
                Some(displaced.as_deref().copied())
            }
            _ => None,
        }
    }

    /// How long after the connection's end a will of this delay is due, in milliseconds: the delay, or the session's
    /// end if that comes first (MQTT 5.0, 3.1.3.2.2).
    pub(crate) fn will_wait_ms(&self, delay_s: u32) -> u64 {
        // An expiry that never ends is the greatest number, so the lesser one is right for it too.
        u64::from(delay_s.min(self.facts.session_expiry_s())) * MS_PER_S
    }

    /// Whether this record can be forgotten one day: its session ends.
    pub(crate) fn is_forgettable(&self) -> bool {
        self.facts.session_expiry_s() != SESSION_NEVER_EXPIRES_S
    }

    /// The time that lies `keep_ms` before the record can be forgotten: its end, or later where the session outlives
    /// the keeping time. `None` while online, and for a session that never ends.
    pub(crate) fn counts_as_offline_since(&self, keep_ms: u64) -> Option<ClusterTime> {
        let offline = self.offline().filter(|_| self.is_forgettable())?;
        Some(offline.at.plus_ms(self.session_ms().saturating_sub(keep_ms)))
    }

    fn session_ms(&self) -> u64 {
        u64::from(self.facts.session_expiry_s()) * MS_PER_S
    }

    /// Whether nothing needs this record at `now`: offline for longer than `keep_ms`, its session over, no will waiting.
    pub(crate) fn is_over(&self, now: ClusterTime, keep_ms: u64) -> bool {
        self.is_forgettable()
            && self.will_due().is_none()
            && self.offline().is_some_and(|offline| {
                let offline_ms = now.since(offline.at);
                offline_ms > keep_ms && offline_ms >= self.session_ms()
            })
    }
}
