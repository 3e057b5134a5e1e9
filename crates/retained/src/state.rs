//! The replicated state and the door to it: [`RetainedState::apply`].
//!
//! A snapshot is this struct, serialized; what can be reckoned from the rest is not stored.

use crate::{
    RetainedBatch, RetainedCommand, RetainedLimits, RetainedOperation, RetainedOutcome, RetainedRefusal,
    topic_key::{key_of, topic_of},
};
use rollcall_types::{ClusterTime, Incarnation, Message, MessageProperties, NodeId, Owner, QoS};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most expired messages that one log entry removes. They are hidden from the moment they expire; this only says how
/// fast their memory comes back.
pub const EXPIRED_PER_ENTRY_MAX: usize = 256;

/// What a message counts beside its texts and payload.
const FIXED_BYTES: usize = 64;

const MS_PER_S: u64 = 1000;

/// The retained messages of one partition.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct RetainedState {
    pub(crate) topics: BTreeMap<Box<str>, Box<Kept>>,
    /// The last batch of each node, so that a retry is answered and not applied again.
    sources: BTreeMap<NodeId, Source>,
    /// What the limit of bytes counts.
    #[serde(skip)]
    bytes: u64,
    /// Keys of messages that expire, by when.
    #[serde(skip)]
    expiring: BTreeSet<(ClusterTime, Box<str>)>,
}

/// As it is stored.
#[derive(Deserialize)]
struct Stored {
    topics: BTreeMap<Box<str>, Box<Kept>>,
    sources: BTreeMap<NodeId, Source>,
}

/// One message without its topic, which is its key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    payload: Box<[u8]>,
    qos: QoS,
    properties: MessageProperties,
    expires_at: Option<ClusterTime>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Source {
    incarnation: Incarnation,
    number: u64,
    outcomes: Vec<RetainedOutcome>,
}

impl RetainedState {
    /// Applies one entry's part: first what has expired by `at` goes, a bounded number of them, then the batches in
    /// order. Of a source that `is_over` nothing is applied. Never fails.
    pub fn apply(
        &mut self,
        at: ClusterTime,
        command: RetainedCommand,
        is_over: impl Fn(Owner) -> bool,
    ) -> Vec<Vec<RetainedOutcome>> {
        self.expire(at);
        let RetainedCommand { limits, batches } = command;
        let apply = |batch: RetainedBatch| match is_over(batch.source) {
            true => vec![RetainedOutcome::Superseded; batch.operations.len()],
            false => self.apply_batch(at, limits, batch),
        };
        batches.into_iter().map(apply).collect()
    }

    /// Removes what has expired by `at`, at most [`EXPIRED_PER_ENTRY_MAX`].
    pub fn expire(&mut self, at: ClusterTime) {
        for _ in 0..EXPIRED_PER_ENTRY_MAX {
            match self.expiring.first() {
                Some((due, _)) if *due <= at => {}
                _ => return,
            }
            if let Some((_, key)) = self.expiring.pop_first()
                && let Some(kept) = self.topics.remove(&key)
            {
                self.bytes = self.bytes.saturating_sub(kept.weight(&key) as u64);
            }
        }
    }

    fn apply_batch(&mut self, at: ClusterTime, limits: RetainedLimits, batch: RetainedBatch) -> Vec<RetainedOutcome> {
        let RetainedBatch { source, number, operations } = batch;
        if let Some(last) = self.sources.get(&source.node) {
            let (this, present) = ((source.incarnation, number), (last.incarnation, last.number));
            if this == present {
                return last.outcomes.clone();
            }
            if this < present {
                return vec![RetainedOutcome::Superseded; operations.len()];
            }
        }
        let outcomes: Vec<_> = operations.into_iter().map(|operation| self.apply_one(at, limits, operation)).collect();
        let last = Source { incarnation: source.incarnation, number, outcomes: outcomes.clone() };
        self.sources.insert(source.node, last);
        outcomes
    }

    fn apply_one(&mut self, at: ClusterTime, limits: RetainedLimits, operation: RetainedOperation) -> RetainedOutcome {
        match operation {
            RetainedOperation::Clear { topic } => {
                self.remove(&key_of(&topic));
                RetainedOutcome::Cleared
            }
            RetainedOperation::Keep(message) => {
                let key = key_of(&message.topic);
                let kept = Kept::of(*message, at);
                let (freed, is_new) = self.topics.get(&key).map_or((0, true), |old| (old.weight(&key) as u64, false));
                let bytes = self.bytes.saturating_sub(freed).saturating_add(kept.weight(&key) as u64);
                if is_new && limits.messages > 0 && self.topics.len() as u64 >= limits.messages {
                    return RetainedOutcome::Refused(RetainedRefusal::Messages);
                }
                if limits.bytes > 0 && bytes > limits.bytes && bytes > self.bytes {
                    return RetainedOutcome::Refused(RetainedRefusal::Bytes);
                }
                self.remove(&key);
                self.enter(&key, &kept);
                self.topics.insert(key, Box::new(kept));
                RetainedOutcome::Kept
            }
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some(old) = self.topics.remove(key) {
            self.bytes = self.bytes.saturating_sub(old.weight(key) as u64);
            if let Some(due) = old.expires_at {
                self.expiring.remove(&(due, key.into()));
            }
        }
    }

    /// Counts a message that is about to be kept.
    fn enter(&mut self, key: &str, kept: &Kept) {
        self.bytes = self.bytes.saturating_add(kept.weight(key) as u64);
        if let Some(due) = kept.expires_at {
            self.expiring.insert((due, key.into()));
        }
    }

    /// Whether there was never anything to remember: such a state need not be stored.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.topics.is_empty() && self.sources.is_empty()
    }

    /// When the first message expires; with that a log entry is worth its while, to give the memory back.
    #[must_use]
    pub fn next_expiry(&self) -> Option<ClusterTime> {
        self.expiring.first().map(|(due, _)| *due)
    }

    /// How many topics have a message, expired ones that are not removed yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Whether no topic has a message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// What the limit of bytes counts.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl From<Stored> for RetainedState {
    fn from(stored: Stored) -> Self {
        let mut state = RetainedState { sources: stored.sources, ..RetainedState::default() };
        for (key, kept) in &stored.topics {
            state.enter(key, kept);
        }
        state.topics = stored.topics;
        state
    }
}

impl Kept {
    fn of(message: Message, at: ClusterTime) -> Kept {
        let expires_at = message.properties.expiry_s.map(|s| ClusterTime(at.0.saturating_add(u64::from(s) * MS_PER_S)));
        Kept {
            payload: message.payload.into_boxed_slice(),
            qos: message.qos,
            properties: message.properties,
            expires_at,
        }
    }

    /// The message as it is at `now`: with what is left of its expiry, rounded up, or nothing when it is over.
    pub(crate) fn at(&self, key: &str, now: ClusterTime) -> Option<Message> {
        let mut properties = self.properties.clone();
        if let Some(due) = self.expires_at {
            let left_ms = due.0.checked_sub(now.0).filter(|left| *left > 0)?;
            properties.expiry_s = Some(u32::try_from(left_ms.div_ceil(MS_PER_S)).unwrap_or(u32::MAX));
        }
        let payload = self.payload.to_vec();
        Some(Message { topic: topic_of(key), payload, qos: self.qos, retain: true, properties })
    }

    /// What it counts against the limit of bytes.
    pub(crate) fn weight(&self, key: &str) -> usize {
        let MessageProperties { content_type, response_topic, correlation_data, user, .. } = &self.properties;
        let texts: usize = [content_type, response_topic].into_iter().flatten().map(String::len).sum();
        let data = correlation_data.as_ref().map_or(0, Vec::len);
        let user: usize = user.iter().map(|(name, value)| name.len() + value.len()).sum();
        FIXED_BYTES + key.len() + self.payload.len() + texts + data + user
    }
}
