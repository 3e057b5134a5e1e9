//! A message and its parts as the items of a stream, and what a peer answers to one.

use bytes::Bytes;
use prost::Message as _;
use rollcall_contracts::Part;
use rollcall_proto::{NotServed, PartialMessage, StreamItem, stream_item::Item};
use rollcall_raft::payload;
use rollcall_types::Message;
use std::sync::Arc;

/// One message for several peers, encoded once.
pub(crate) struct Items {
    message: Bytes,
    /// The item of a peer that only has plain subscribers, as most have.
    plain: Bytes,
}

impl Items {
    /// `None` when the message cannot be encoded.
    pub(crate) fn of(message: &Message) -> Option<Self> {
        match payload::encode(message) {
            Ok(bytes) => {
                let message = Bytes::from(bytes);
                let plain = item(Item::Message(message.clone()));
                Some(Items { message, plain })
            }
            Err(error) => {
                tracing::error!(%error, "a message cannot be encoded");
                None
            }
        }
    }

    /// The item for a peer.
    pub(crate) fn for_part(&self, part: &Part) -> Bytes {
        if *part == Part::plain() {
            return self.plain.clone();
        }
        let texts = |texts: &[Arc<str>]| texts.iter().map(|text| text.as_ref().to_owned()).collect();
        item(Item::Partial(PartialMessage {
            message: self.message.clone(),
            plain: part.plain,
            groups: texts(&part.groups),
            other_groups: part.except.is_some(),
            except: texts(part.except.as_deref().unwrap_or_default()),
            client_hash: part.client_hash,
        }))
    }
}

/// What to answer when these groups of a part were not served.
pub(crate) fn not_served(part: &Part, unserved: &[Arc<str>]) -> Bytes {
    let failed = |(place, group)| unserved.contains(group).then(|| u32::try_from(place).ok()).flatten();
    Bytes::from(NotServed { groups: part.groups.iter().enumerate().filter_map(failed).collect() }.encode_to_vec())
}

/// The groups of a part that a peer did not serve, by its answer; all of them when it is live no more.
pub(crate) fn failed_groups(part: Part, answer: Option<&Bytes>) -> Vec<Arc<str>> {
    let Some(answer) = answer else { return part.groups };
    if answer.is_empty() {
        return Vec::new();
    }
    match NotServed::decode(answer.clone()) {
        Ok(failed) => {
            let group = |place: u32| part.groups.get(usize::try_from(place).ok()?).cloned();
            failed.groups.into_iter().filter_map(group).collect()
        }
        // Whoever answers like this has taken nothing that is known of.
        Err(_) => part.groups,
    }
}

fn item(item: Item) -> Bytes {
    Bytes::from(StreamItem { item: Some(item) }.encode_to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn part(groups: &[&str]) -> Part {
        Part { groups: groups.iter().map(|group| Arc::from(*group)).collect(), ..Part::none() }
    }

    #[test]
    fn what_was_not_served_is_known_by_the_answer() {
        let groups = ["$share/a/x", "$share/b/x", "$share/c/x"];
        let sent = part(&groups);
        assert_eq!(failed_groups(sent.clone(), Some(&Bytes::new())), []);
        assert_eq!(failed_groups(sent.clone(), None), sent.groups, "it is live no more");
        let unserved = [sent.groups[2].clone(), sent.groups[0].clone()];
        let answer = not_served(&sent, &unserved);
        assert_eq!(failed_groups(sent.clone(), Some(&answer)), [sent.groups[0].clone(), sent.groups[2].clone()]);
        assert_eq!(failed_groups(part(&groups[..1]), Some(&answer)), [sent.groups[0].clone()], "no such place");
        assert_eq!(failed_groups(sent.clone(), Some(&Bytes::from_static(b"\xff"))), sent.groups);
    }
}
