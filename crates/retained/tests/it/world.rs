//! Short words for what the tests do.

use rollcall_retained::{
    PageLimits, RetainedBatch, RetainedCommand, RetainedLimits, RetainedOperation, RetainedOutcome, RetainedState,
};
use rollcall_types::{ClusterTime, Incarnation, Message, MessageProperties, NodeId, Owner, QoS};

pub(crate) const NO_LIMITS: RetainedLimits = RetainedLimits { messages: 0, bytes: 0 };
pub(crate) const WIDE: PageLimits = PageLimits { messages: usize::MAX, bytes: usize::MAX, looks: usize::MAX };

pub(crate) fn message(topic: &str, payload: &str) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: payload.as_bytes().to_vec(),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: MessageProperties::default(),
    }
}

pub(crate) fn expiring(topic: &str, expiry_s: u32) -> Message {
    let properties = MessageProperties { expiry_s: Some(expiry_s), ..MessageProperties::default() };
    Message { properties, ..message(topic, "p") }
}

pub(crate) fn batch(node: u64, incarnation: u64, number: u64, messages: &[Message]) -> RetainedBatch {
    let source = Owner { node: NodeId(node), incarnation: Incarnation(incarnation) };
    RetainedBatch { source, number, operations: messages.iter().map(RetainedOperation::of).collect() }
}

pub(crate) fn apply(
    state: &mut RetainedState,
    at: u64,
    limits: RetainedLimits,
    batch: RetainedBatch,
) -> Vec<RetainedOutcome> {
    state.apply(ClusterTime(at), RetainedCommand { limits, batches: vec![batch] }, |_| false).remove(0)
}

/// A state that keeps a message under each of the topics.
pub(crate) fn keeping(topics: &[&str]) -> RetainedState {
    let mut state = RetainedState::default();
    let messages: Vec<_> = topics.iter().map(|topic| message(topic, topic)).collect();
    apply(&mut state, 0, NO_LIMITS, batch(1, 1, 1, &messages));
    state
}

pub(crate) fn topics(state: &RetainedState, filter: &str, now: u64) -> Vec<String> {
    let page = state.matching(filter, None, ClusterTime(now), WIDE);
    assert_eq!(page.next, None);
    page.messages.into_iter().map(|message| message.topic).collect()
}
