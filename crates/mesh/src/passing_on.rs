//! Calls that pass a common node: this node as the one in the middle, and as the one that they are for. A node in the
//! middle passes on for members only, to peers that its own link reaches, and never what was passed on already.

use crate::{limits::RELAY_BYTES_MAX, link::Answer, local::Local, ways};
use rollcall_contracts::CallError;
use rollcall_proto::{Kind, Request, reply};
use rollcall_types::NodeId;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Payload bytes of one peer that are being passed on.
#[derive(Default)]
pub(crate) struct Passing(Arc<AtomicUsize>);

/// The room of one call; free again when this is dropped.
struct Room {
    passing: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.passing.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A call that was passed on.
pub(crate) struct PassedOn {
    answer: Answer,
    _room: Room,
}

impl PassedOn {
    /// What its origin is answered.
    pub(crate) async fn result(self) -> reply::Result {
        match self.answer.wait().await {
            Ok(payload) => reply::Result::Payload(payload),
            Err(error) => result_of(error),
        }
    }
}

fn result_of(error: CallError) -> reply::Result {
    match error {
        CallError::Refused(sentence) => reply::Result::Refused(sentence),
        CallError::Unreachable(why) => reply::Result::NotPassedOn(why),
        CallError::Full => reply::Result::NotPassedOn("the link of the common node is full".to_owned()),
        CallError::Unknown(why) => reply::Result::Unanswered(why),
    }
}

impl Passing {
    /// Passes a call on, in the order of the calls of this method.
    ///
    /// # Errors
    /// What to answer when it was not passed on.
    pub(crate) fn pass_on(&self, local: &Local, origin: NodeId, request: Request) -> Result<PassedOn, reply::Result> {
        let not = |why: &str| Err(reply::Result::NotPassedOn(why.to_owned()));
        let deadline = Duration::from_millis(u64::from(request.deadline_ms));
        let Some((target, request)) = opened(request) else {
            return not("the envelope of a relayed call is empty, or holds another one");
        };
        if local.peers.get(origin).is_none() {
            return not("the caller is no member that this node knows");
        }
        let Some(peer) = local.peers.get(target).filter(|_| target != origin) else {
            return not("the target is no peer of this node");
        };
        let Some(room) = self.room(request.payload.len()) else {
            local.metrics.relay_full.increment(1);
            return not("too much of the caller is being passed on");
        };
        // By the link itself: a call is relayed once.
        let answer = peer.begin(ways::enveloped(Kind::Relayed, origin, request), deadline).map_err(result_of)?;
        local.metrics.relayed_through.increment(1);
        Ok(PassedOn { answer, _room: room })
    }

    fn room(&self, bytes: usize) -> Option<Room> {
        let room = Room { passing: Arc::clone(&self.0), bytes };
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        (before == 0 || before + bytes <= RELAY_BYTES_MAX).then_some(room)
    }
}

/// The call of another node that a common node has passed on, and whose it is.
///
/// # Errors
/// A sentence, where it does not count.
pub(crate) fn taken_out(local: &Local, common: NodeId, request: Request) -> Result<(NodeId, Request), &'static str> {
    let Some((origin, request)) = opened(request) else {
        return Err("the envelope of a relayed call is empty, or holds another one");
    };
    let known = |node| local.peers.get(node).is_some();
    if origin == common || !known(origin) || !known(common) {
        return Err("a relayed call comes from a member, over another one");
    }
    local.metrics.relayed_in.increment(1);
    Ok((origin, request))
}

/// The node that the envelope names, and the call inside; none where that is for relaying itself.
fn opened(request: Request) -> Option<(NodeId, Request)> {
    let Request { kind: _, group, lane: _, deadline_ms, payload, relayed } = request;
    let relayed = relayed?;
    if let Some(Kind::Relay | Kind::Relayed | Kind::Reach) = Kind::from_number(relayed.kind) {
        return None;
    }
    let inner = Request { kind: relayed.kind, group, lane: relayed.lane, deadline_ms, payload, relayed: None };
    Some((NodeId(relayed.node), inner))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;

    #[test]
    fn what_is_passed_on_at_once_is_bounded_but_a_single_call_always_passes() {
        let passing = Passing::default();
        let large = passing.room(2 * RELAY_BYTES_MAX).unwrap();
        assert!(passing.room(1).is_none());
        drop(large);
        let halves = [passing.room(RELAY_BYTES_MAX / 2).unwrap(), passing.room(RELAY_BYTES_MAX / 2).unwrap()];
        assert!(passing.room(1).is_none());
        drop(halves);
        assert!(passing.room(1).is_some());
        assert_eq!(passing.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_envelope_holds_the_call_whole_and_no_other_envelope() {
        let call = Request { kind: 16, group: 5, lane: 9, deadline_ms: 700, payload: Bytes::from("x"), relayed: None };
        let envelope = ways::enveloped(Kind::Relay, NodeId(7), call.clone());
        assert_eq!((envelope.kind, envelope.lane), (Kind::Relay.number(), 0));
        assert_eq!(opened(envelope.clone()), Some((NodeId(7), call)));
        for kind in [Kind::Relay, Kind::Relayed, Kind::Reach] {
            let call = Request { kind: kind.number(), ..Request::default() };
            assert_eq!(opened(ways::enveloped(Kind::Relay, NodeId(7), call)), None);
        }
        assert_eq!(opened(Request { relayed: None, ..envelope }), None);
    }
}
