//! Which retained topics a filter matches, found by leaping over the ordered keys: where a key cannot match, the rules
//! name the least key behind it that could, so that `a/+/b` looks at the children of `a` and not at all topics, and `#`
//! ends with the page.

use crate::{
    RetainedState,
    topic_key::{SEPARATOR, behind, behind_subtree, key_of},
};
use rollcall_types::{ClusterTime, Message};
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// Bounds of one page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageLimits {
    /// Most messages.
    pub messages: usize,
    /// Bytes of messages at which the page ends; it may pass this by its last message.
    pub bytes: usize,
    /// Most keys looked at.
    pub looks: usize,
}

/// Where the next page begins.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RetainedCursor(String);

impl RetainedCursor {
    /// Behind this topic.
    #[must_use]
    pub fn behind(topic: &str) -> Self {
        RetainedCursor(behind(&key_of(topic)))
    }
}

/// A part of the answer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Page {
    /// Messages with RETAIN set and with what is left of their expiry, in order of their topics' levels.
    pub messages: Vec<Message>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<RetainedCursor>,
}

enum Look {
    Matches,
    /// The least key that could match.
    NotBefore(String),
    /// No key behind this one matches.
    Done,
}

impl RetainedState {
    /// The messages whose topics the filter matches at `now`, from `from` on. The filter is a valid one and not shared.
    #[must_use]
    pub fn matching(&self, filter: &str, from: Option<&RetainedCursor>, now: ClusterTime, limits: PageLimits) -> Page {
        let levels: Vec<&str> = filter.split('/').collect();
        let names_one_topic = !levels.iter().any(|level| matches!(*level, "+" | "#"));
        let mut from = from.map_or_else(String::new, |cursor| cursor.0.clone());
        let mut messages = Vec::new();
        let mut bytes = 0;
        let mut looks = 0;
        loop {
            if messages.len() >= limits.messages || bytes >= limits.bytes || looks >= limits.looks {
                return Page { messages, next: Some(RetainedCursor(from)) };
            }
            looks += 1;
            let bounds = (Bound::Included(from.as_str()), Bound::Unbounded);
            let Some((key, kept)) = self.topics.range::<str, _>(bounds).next() else { break };
            from = match look(&levels, key) {
                Look::Matches => {
                    if let Some(message) = kept.at(key, now) {
                        bytes += kept.weight(key);
                        messages.push(message);
                    }
                    if names_one_topic {
                        break;
                    }
                    behind(key)
                }
                Look::NotBefore(next) => next,
                Look::Done => break,
            };
        }
        Page { messages, next: None }
    }
}

fn look(filter: &[&str], key: &str) -> Look {
    let hidden = key.starts_with('$') && matches!(filter.first(), Some(&("+" | "#")));
    if hidden {
        return Look::NotBefore("%".to_owned()); // MQTT-4.7.2-1: the character behind `$`
    }
    // The length of the levels of the key that agree so far, without the separator behind them.
    let mut agreed = 0;
    let mut key_levels = key.split(SEPARATOR);
    for (depth, &wanted) in filter.iter().enumerate() {
        if wanted == "#" {
            return Look::Matches; // also the parent level itself
        }
        let Some(level) = key_levels.next() else {
            // The key ends before the filter does.
            return match wanted {
                "+" => Look::NotBefore(behind(key)),
                exact => Look::NotBefore(format!("{key}{SEPARATOR}{exact}")),
            };
        };
        if wanted != "+" && wanted != level {
            let prefix = key.get(..agreed).unwrap_or_default();
            return match (level < wanted, depth) {
                (true, 0) => Look::NotBefore(wanted.to_owned()),
                (true, _) => Look::NotBefore(format!("{prefix}{SEPARATOR}{wanted}")),
                (false, 0) => Look::Done,
                (false, _) => Look::NotBefore(behind_subtree(prefix)),
            };
        }
        agreed += level.len() + usize::from(depth > 0);
    }
    if key_levels.next().is_some() {
        // The key goes on below what the filter ends with.
        return Look::NotBefore(behind_subtree(key.get(..agreed).unwrap_or_default()));
    }
    Look::Matches
}
