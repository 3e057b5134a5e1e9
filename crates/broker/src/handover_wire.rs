//! What brokers say to each other about a session that moves: one version byte, then postcard.

use bytes::Bytes;
use rollcall_session::SessionState;
use rollcall_types::{ClientId, Epoch, NodeId, QoS};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::num::NonZeroU32;

/// The version written by this program; another one is refused.
const VERSION: u8 = 1;

/// Largest answer with a session in it, in bytes: well below what one call between nodes carries.
pub(crate) const SESSION_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Has this node the session that was last served under this epoch? Its connection has to leave it.
    Find { client_id: String, username: String, epoch: Epoch },
    /// Wait until what this node sent to that one before has been taken.
    Flush { to: NodeId },
    /// Give the session away.
    Take { client_id: String, epoch: Epoch },
    /// The client began anew elsewhere: the session is over.
    Discard { client_id: String, epoch: Epoch },
    /// What has this node of the client? Nothing changes.
    Held { client_id: String },
    /// Subscribe the session of the connection of this epoch.
    Subscribe { client_id: String, epoch: Epoch, wanted: MovedSubscription },
    /// Take a subscription from the session last served under this epoch.
    Unsubscribe { client_id: String, epoch: Epoch, filter: String },
    /// End the session last served under this epoch or an earlier one, and its connection.
    End { client_id: String, up_to: Epoch },
    /// Who wants what on this node? Nothing changes.
    Interests { prefix: String, after: String, most: u32, with_members: bool },
}

/// The answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// No such session, or no more.
    None,
    /// It is here, with these subscriptions.
    Found(Vec<MovedSubscription>),
    /// All was taken.
    Flushed,
    /// The session, which is no longer here.
    Taken(Box<SessionState>),
    /// Whether it is here cannot be known now. A program that does not know this answer takes it for none.
    Unavailable,
    /// The session of the client, last served under this epoch.
    Held { epoch: Epoch, subscriptions: Vec<MovedSubscription> },
    /// What became of a change.
    Done(Done),
    /// Filters in their order, and whether there are more.
    Interests { interests: Vec<InterestHere>, more: bool },
}

/// One filter with subscribers on a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct InterestHere {
    pub(crate) filter: String,
    pub(crate) subscriptions: u32,
    pub(crate) members: Vec<MemberHere>,
}

/// One member of a shared subscription on a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct MemberHere {
    pub(crate) client_id: ClientId,
    pub(crate) connected: bool,
    pub(crate) lag: u32,
}

/// What became of a change that an operator asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Done {
    /// It is done; whether something is there that was not, or is there no more that was.
    Yes { changed: bool },
    /// No connection of that epoch is here.
    NotConnected,
    /// No session of that epoch is here.
    NoSession,
    /// There is no such subscription.
    NotSubscribed,
    /// The client may not.
    NotAuthorized,
    /// A limit is reached.
    LimitReached,
    /// Not now.
    NotNow { may_have_happened: bool },
}

/// One subscription of a session that moves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct MovedSubscription {
    pub(crate) filter: String,
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) subscription_id: Option<NonZeroU32>,
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Bytes, String> {
    postcard::to_extend(value, vec![VERSION]).map(Bytes::from).map_err(|error| error.to_string())
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|error| error.to_string()),
        Some((version, _)) => Err(format!("version {version} is not known")),
        None => Err("empty".to_owned()),
    }
}

/// The answer with the session, cut to what one call may carry: what was sent to the client already goes first, then the
/// beginning of what waits, so that no message overtakes one that is missing. Gives how many were left out.
pub(crate) fn encode_session(mut state: SessionState) -> Result<(Bytes, usize), String> {
    let mut left_out = 0;
    loop {
        let reply = encode(&Reply::Taken(Box::new(state.clone())))?;
        if reply.len() <= SESSION_BYTES_MAX {
            return Ok((reply, left_out));
        }
        let fitting = |count: usize| (count * (SESSION_BYTES_MAX / 1024) / (reply.len() / 1024)).min(count - 1);
        let (queued, under_way) = (state.queue.len(), state.under_way.len());
        match (queued, under_way) {
            (0, 0) => return Err("a session too large to move".to_owned()),
            (0, _) => state.under_way.truncate(fitting(under_way)),
            _ => state.queue.truncate(fitting(queued)),
        }
        left_out += queued + under_way - state.queue.len() - state.under_way.len();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use rollcall_session::{StoredDelivery, StoredUnderWay};
    use rollcall_types::{Message, MessageProperties};
    use std::sync::Arc;

    fn message(bytes: usize) -> StoredDelivery {
        let message = Message {
            topic: "t".to_owned(),
            payload: vec![7; bytes],
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: MessageProperties::default(),
        };
        StoredDelivery {
            message: Arc::new(message),
            qos: QoS::AtLeastOnce,
            retain: false,
            subscription_ids: Vec::new(),
            expires_in_ms: Some(300),
        }
    }

    fn state(queue: Vec<StoredDelivery>) -> SessionState {
        let under_way = vec![StoredUnderWay { sequence: 4, delivery: None }];
        SessionState { expiry_s: 60, queue, under_way, next_sequence: 5, received: Vec::new() }
    }

    /// Nodes of two releases speak with each other.
    #[test]
    fn version_1_is_read_and_written_as_ever() {
        let wanted = || MovedSubscription {
            filter: "f".to_owned(),
            qos: QoS::AtLeastOnce,
            no_local: false,
            retain_as_published: true,
            subscription_id: None,
        };
        let client_id = || "c".to_owned();
        let requests: [(Request, &[u8]); 9] = [
            (
                Request::Find { client_id: "c".to_owned(), username: "u".to_owned(), epoch: Epoch(300) },
                &[1, 0, 1, b'c', 1, b'u', 172, 2],
            ),
            (Request::Flush { to: NodeId(3) }, &[1, 1, 3]),
            (Request::Take { client_id: "c".to_owned(), epoch: Epoch(1) }, &[1, 2, 1, b'c', 1]),
            (Request::Discard { client_id: "c".to_owned(), epoch: Epoch(1) }, &[1, 3, 1, b'c', 1]),
            (Request::Held { client_id: client_id() }, &[1, 4, 1, b'c']),
            (
                Request::Subscribe { client_id: client_id(), epoch: Epoch(1), wanted: wanted() },
                &[1, 5, 1, b'c', 1, 1, b'f', 1, 0, 1, 0],
            ),
            (
                Request::Unsubscribe { client_id: client_id(), epoch: Epoch(1), filter: "f".to_owned() },
                &[1, 6, 1, b'c', 1, 1, b'f'],
            ),
            (Request::End { client_id: client_id(), up_to: Epoch(1) }, &[1, 7, 1, b'c', 1]),
            (
                Request::Interests { prefix: client_id(), after: String::new(), most: 300, with_members: true },
                &[1, 8, 1, b'c', 0, 172, 2, 1],
            ),
        ];
        for (request, bytes) in requests {
            assert_eq!(encode(&request).unwrap(), bytes);
            assert_eq!(decode::<Request>(bytes).unwrap(), request);
        }
        let found = MovedSubscription {
            filter: "f".to_owned(),
            qos: QoS::ExactlyOnce,
            no_local: true,
            retain_as_published: false,
            subscription_id: NonZeroU32::new(9),
        };
        let member = MemberHere { client_id: ClientId::new("c").unwrap(), connected: true, lag: 300 };
        let interest = InterestHere { filter: "f".to_owned(), subscriptions: 1, members: vec![member] };
        let replies: [(Reply, &[u8]); 14] = [
            (Reply::None, &[1, 0]),
            (Reply::Found(vec![found]), &[1, 1, 1, 1, b'f', 2, 1, 0, 1, 9]),
            (Reply::Flushed, &[1, 2]),
            (
                Reply::Taken(Box::new(state(vec![message(1)]))),
                &[1, 3, 60, 1, 1, b't', 1, 7, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 172, 2, 1, 4, 0, 5, 0],
            ),
            (Reply::Unavailable, &[1, 4]),
            (Reply::Held { epoch: Epoch(300), subscriptions: vec![wanted()] }, &[1, 5, 172, 2, 1, 1, b'f', 1, 0, 1, 0]),
            (Reply::Done(Done::Yes { changed: true }), &[1, 6, 0, 1]),
            (Reply::Done(Done::NotConnected), &[1, 6, 1]),
            (Reply::Done(Done::NoSession), &[1, 6, 2]),
            (Reply::Done(Done::NotSubscribed), &[1, 6, 3]),
            (Reply::Done(Done::NotAuthorized), &[1, 6, 4]),
            (Reply::Done(Done::LimitReached), &[1, 6, 5]),
            (Reply::Done(Done::NotNow { may_have_happened: true }), &[1, 6, 6, 1]),
            (
                Reply::Interests { interests: vec![interest], more: true },
                &[1, 7, 1, 1, b'f', 1, 1, 1, b'c', 1, 172, 2, 1],
            ),
        ];
        for (reply, bytes) in replies {
            assert_eq!(encode(&reply).unwrap(), bytes);
            assert_eq!(decode::<Reply>(bytes).unwrap(), reply);
        }
        assert!(decode::<Request>(&[2, 1, 3]).unwrap_err().contains("version 2"));
        assert!(decode::<Request>(&[]).is_err() && decode::<Request>(&[1, 77]).is_err());
    }

    #[test]
    fn a_session_that_is_too_large_loses_its_newest_messages() {
        let large = state(vec![message(1024 * 1024); 20]);
        let (bytes, left_out) = encode_session(large.clone()).unwrap();
        assert!(bytes.len() <= SESSION_BYTES_MAX && (1..10).contains(&left_out), "{left_out}");
        let Reply::Taken(moved) = decode(&bytes).unwrap() else { panic!("no session") };
        assert_eq!(moved.queue[..], large.queue[..20 - left_out]);
        assert_eq!(moved.under_way, large.under_way);
    }
}
