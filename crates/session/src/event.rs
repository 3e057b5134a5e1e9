//! What can happen to a connection, and what its shell must do.

use crate::{
    AuthAnswer, Authenticating, ClientLimit, ConnectRefusal, ConnectRequest, DecodeFault, Ending, Outgoing, Packet,
    ReasonCode, RequestedSubscription,
};
use rollcall_types::{Message, QoS};
use std::{
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
};

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The client sent a packet.
    Packet(Packet),
    /// The client sent bytes that are no packet.
    Undecodable(DecodeFault),
    /// The network connection is gone.
    PeerGone,
    /// Time passed; a deadline may have come.
    Tick,
    /// The claim is committed and the gate was open just now: the answer to [`Effect::Admit`].
    Admitted {
        /// A session of the client was there and goes on.
        session_present: bool,
    },
    /// The connection is not let in: the answer to [`Effect::Admit`].
    Refused(ConnectRefusal),
    /// The answer to [`Effect::Publish`] with a receipt.
    Published {
        /// Which publish.
        receipt: Receipt,
        /// What became of it.
        verdict: PublishVerdict,
    },
    /// The answer to [`Effect::Subscribe`].
    Subscribed {
        /// Packet identifier of the SUBSCRIBE.
        packet_id: NonZeroU16,
        /// What was asked, as in [`Effect::Subscribe`].
        subscription_id: Option<NonZeroU32>,
        /// The filters asked for, in order.
        filters: Vec<RequestedSubscription>,
        /// One answer for each filter, in order.
        answers: Vec<SubscribeAnswer>,
    },
    /// The answer to [`Effect::Unsubscribe`].
    Unsubscribed {
        /// Packet identifier of the UNSUBSCRIBE.
        packet_id: NonZeroU16,
        /// One for each filter, in order.
        answers: Vec<UnsubscribeAnswer>,
    },
    /// The answer to [`Effect::BeginAuthentication`] or [`Effect::ContinueAuthentication`].
    Authenticated(AuthAnswer),
    /// The keep-alive is another one from now on: never 0, and only of a connection that has one.
    KeepAlive(u16),
    /// The broker ends the connection.
    Order(Order),
}

/// What the shell must do, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Ask for admission and claim the client id; answer with [`Event::Admitted`] or [`Event::Refused`].
    Admit(Box<ConnectRequest>),
    /// Ask the authenticator of this method; answer with [`Event::Authenticated`]. Before CONNACK the account it proves is
    /// the one to admit.
    BeginAuthentication(Box<Authenticating>),
    /// Hand the client's answer to the authenticator asked before; answer with [`Event::Authenticated`].
    ContinueAuthentication(Vec<u8>),
    /// Send a packet, through the gate; an AUTH before CONNACK goes out without.
    Send(Outgoing),
    /// Hand a message on; answer with [`Event::Published`] when there is a receipt.
    Publish {
        /// The message.
        message: Arc<Message>,
        /// QoS 1 and 2: what must be acknowledged.
        receipt: Option<Receipt>,
    },
    /// Subscribe; answer with [`Event::Subscribed`]. `None` stands for a filter already refused with the code beside.
    Subscribe {
        /// Packet identifier to answer.
        packet_id: NonZeroU16,
        /// Subscription identifier.
        subscription_id: Option<NonZeroU32>,
        /// Filters; those with a code are refused already and keep their place.
        filters: Vec<(RequestedSubscription, Option<ReasonCode>)>,
    },
    /// Unsubscribe; answer with [`Event::Unsubscribed`].
    Unsubscribe {
        /// Packet identifier to answer.
        packet_id: NonZeroU16,
        /// Topic filters.
        filters: Vec<String>,
    },
    /// Hand the retained messages that match to the client's session, with the RETAIN flag: the subscriptions were made
    /// and SUBACK is on its way.
    SendRetained {
        /// Subscription identifier.
        subscription_id: Option<NonZeroU32>,
        /// Filters for which retained messages are due.
        filters: Vec<RequestedSubscription>,
    },
    /// Count that a limit was reached. What follows from that is among the other effects.
    LimitReached(ClientLimit),
    /// Say farewell, close the socket, then release. Nothing follows it.
    End(Ending),
}

/// The broker's reason to end a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// A newer connection took the client id.
    Takeover,
    /// An operator ended it.
    Kick,
    /// The node's incarnation is over: not a word.
    NodeLost,
    /// The node drains to stop.
    Shutdown,
    /// The node drains to leave the cluster for good.
    Moved,
    /// A permission was withdrawn.
    NotAuthorized,
    /// The credentials' time ran out.
    AuthenticationExpired,
    /// A limit was passed.
    QuotaExceeded,
}

/// What an acknowledgement belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// Packet identifier.
    pub packet_id: NonZeroU16,
    /// QoS 2; otherwise QoS 1.
    pub exactly_once: bool,
}

/// What became of a publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PublishVerdict {
    /// Every matching session has it.
    Accepted {
        /// Some session matched, or may have: on other nodes that is not known. MQTT 5 clients are told when none did.
        matched: bool,
    },
    /// The client may not publish to this topic.
    NotAuthorized,
    /// Not every session that matches could be reached in time; whether some have it is unknown.
    Failed,
    /// Over the instance's quota, or the node has no grant.
    OverQuota {
        /// Seconds to wait, at least 1.
        retry_after_s: u32,
    },
    /// A message for one client that is not online: accepted, and nobody gets it.
    NoReceiver,
    /// A limit of retained messages is reached: nobody gets it.
    RetainedLimit,
    /// What must be committed first could not be, or a client's owner could not be found out: try again.
    Unavailable {
        /// It may have been committed or handed over all the same.
        may_have_happened: bool,
    },
}

/// What became of one filter of a SUBSCRIBE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubscribeAnswer {
    /// Granted.
    Granted {
        /// The QoS asked for.
        qos: QoS,
        /// The session had no subscription with this filter, which decides whether retained messages are due.
        is_new: bool,
    },
    /// Refused.
    Refused(ReasonCode),
}

/// What became of one filter of an UNSUBSCRIBE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnsubscribeAnswer {
    /// The subscription is gone.
    Removed,
    /// There was none.
    NoneThere,
    /// More than allowed in a second: nothing changed. MQTT 3 cannot be told so, and has to wait instead.
    OverRate,
}

impl Event {
    /// Whether the session has a part in it. The others can be handled without its lock.
    #[must_use]
    pub fn concerns_session(&self) -> bool {
        match self {
            Event::Packet(packet) => match packet {
                Packet::Publish(publish) => publish.packet_id.is_some(),
                Packet::PubAck(_)
                | Packet::PubRec { .. }
                | Packet::PubRel(_)
                | Packet::PubComp(_)
                | Packet::Disconnect { .. } => true,
                _ => false,
            },
            Event::Published { .. } => true,
            _ => false,
        }
    }
}
