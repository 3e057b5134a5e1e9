//! The table of endings: every way a connection can end, and what follows from it.

use crate::{ConnectRefusal, DecodeFault, Order, ReasonCode};
use rollcall_types::{DisconnectReason, Protocol};

/// How far a connection had come when it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// No CONNECT yet: nobody holds anything.
    AwaitingConnect,
    /// CONNECT arrived; admission and claim are under way, CONNACK is not sent.
    Claiming,
    /// CONNACK was sent.
    Open,
}

/// Every way a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// DISCONNECT of the client with this reason code.
    ClientLeft(u8),
    /// The network connection ended without DISCONNECT.
    PeerGone,
    /// No packet within 1.5 times the keep-alive.
    KeepAliveExpired,
    /// No CONNECT in time.
    ConnectTimedOut,
    /// Bytes that are no packet.
    Undecodable(DecodeFault),
    /// A packet that is not allowed.
    Fault(Fault),
    /// CONNECT was valid and is refused.
    Refused(ConnectRefusal),
    /// The broker ends it.
    Ordered(Order),
}

/// What a client did against the rules, with the code that names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The first packet is no CONNECT (MQTT-3.1.0-1): no answer.
    ConnectMissing,
    /// A second CONNECT (MQTT-3.1.0-2).
    SecondConnect,
    /// A field breaks its format.
    Malformed,
    /// A packet that is not allowed here.
    ProtocolError,
    /// The client id is not acceptable.
    ClientIdInvalid,
    /// A topic name that is not acceptable.
    TopicNameInvalid,
    /// A topic alias beyond the maximum.
    TopicAliasInvalid,
    /// More messages under way than Receive Maximum.
    ReceiveMaximumExceeded,
    /// A payload or packet beyond its limit.
    PacketTooLarge,
    /// Enhanced authentication with a method that is not known.
    BadAuthenticationMethod,
}

/// What the shell does at the end, in this order: farewell, close, release with the reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ending {
    /// The reason recorded with the release.
    pub reason: DisconnectReason,
    /// The last packet.
    pub farewell: Farewell,
    /// The will is to be published.
    pub owes_will: bool,
    /// Why, in words for the client; empty where no farewell tells.
    pub why: &'static str,
}

/// The last packet before the close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Farewell {
    /// None: just the close.
    Silent,
    /// CONNACK with a refusal, in the form of the version.
    ConnAck(Protocol, ReasonCode),
    /// DISCONNECT (MQTT 5).
    Disconnect(ReasonCode),
}

/// The one table.
#[must_use]
pub fn ending(cause: Cause, phase: Phase, protocol: Option<Protocol>) -> Ending {
    let (reason, code) = match cause {
        Cause::ClientLeft(0) => (DisconnectReason::Normal, None),
        Cause::ClientLeft(_) => (DisconnectReason::NormalWithWill, None),
        Cause::PeerGone => (DisconnectReason::ConnectionLost, None),
        Cause::KeepAliveExpired => (DisconnectReason::KeepaliveTimeout, Some(ReasonCode::KeepAliveTimeout)),
        Cause::ConnectTimedOut => (DisconnectReason::ConnectionLost, None),
        Cause::Undecodable(fault) => (DisconnectReason::ProtocolError, fault.reason_code()),
        Cause::Fault(fault) => (DisconnectReason::ProtocolError, fault.reason_code()),
        Cause::Refused(refusal) => (refused(refusal), refusal.reason_code()),
        Cause::Ordered(order) => ordered(order),
    };
    let protocol = match cause {
        Cause::Undecodable(fault) => protocol.or_else(|| fault.protocol()),
        _ => protocol,
    };
    let farewell = match (code, phase, protocol) {
        (None, ..) | (_, _, None) => Farewell::Silent,
        (Some(code), Phase::Open, Some(Protocol::V5)) => Farewell::Disconnect(code),
        (Some(_), Phase::Open, Some(Protocol::V31 | Protocol::V311)) => Farewell::Silent,
        (Some(code), Phase::AwaitingConnect | Phase::Claiming, Some(protocol)) => before_connack(cause, code, protocol),
    };
    Ending { reason, farewell, owes_will: reason.owes_will(), why: why(cause) }
}

fn why(cause: Cause) -> &'static str {
    match cause {
        Cause::ClientLeft(_) | Cause::PeerGone | Cause::ConnectTimedOut => "",
        Cause::KeepAliveExpired => "nothing was received within one and a half times the keep-alive",
        Cause::Undecodable(fault) => fault.text(),
        Cause::Fault(fault) => fault.text(),
        Cause::Refused(refusal) => refusal.text(),
        Cause::Ordered(order) => match order {
            Order::Takeover => "a newer connection uses the client id",
            Order::Kick => "an operator ended the connection",
            Order::NodeLost => "",
            Order::Shutdown => "this node is shutting down",
            Order::Moved => "this node leaves the cluster",
            Order::NotAuthorized => "a permission was withdrawn",
            Order::AuthenticationExpired => "the credentials have expired",
            Order::QuotaExceeded => "a limit was passed",
        },
    }
}

/// Before CONNACK a refusal is a CONNACK, where the version has a code for it; a takeover, kick or timeout is not a
/// refusal and has none.
fn before_connack(cause: Cause, code: ReasonCode, protocol: Protocol) -> Farewell {
    let has_code = match protocol {
        Protocol::V31 | Protocol::V311 => code.v3_return_code().is_some(),
        Protocol::V5 => true,
    };
    let code = match cause {
        Cause::Ordered(Order::Shutdown | Order::Moved) => ReasonCode::ServerUnavailable,
        Cause::Ordered(_) | Cause::KeepAliveExpired => return Farewell::Silent,
        _ if has_code => code,
        _ => return Farewell::Silent,
    };
    Farewell::ConnAck(protocol, code)
}

fn refused(refusal: ConnectRefusal) -> DisconnectReason {
    match refusal {
        ConnectRefusal::RateExceeded
        | ConnectRefusal::TooManyConnections
        | ConnectRefusal::Flapping
        | ConnectRefusal::TooManyFailures
        | ConnectRefusal::WillTooLarge => DisconnectReason::QuotaExceeded,
        ConnectRefusal::BadCredentials
        | ConnectRefusal::NotAuthorized
        | ConnectRefusal::OtherAccount
        | ConnectRefusal::AccountsUnavailable => DisconnectReason::NotAuthorized,
        ConnectRefusal::Busy | ConnectRefusal::Unavailable | ConnectRefusal::SessionsUnavailable => {
            DisconnectReason::ConnectionLost
        }
        ConnectRefusal::ShuttingDown => DisconnectReason::ServerShutdown,
        ConnectRefusal::Displaced => DisconnectReason::Takeovered,
        ConnectRefusal::NotServing | ConnectRefusal::LeaseLost => DisconnectReason::NodeLost,
    }
}

fn ordered(order: Order) -> (DisconnectReason, Option<ReasonCode>) {
    match order {
        Order::Takeover => (DisconnectReason::Takeovered, Some(ReasonCode::SessionTakenOver)),
        Order::Kick => (DisconnectReason::Kicked, Some(ReasonCode::AdministrativeAction)),
        Order::NodeLost => (DisconnectReason::NodeLost, None),
        Order::Shutdown => (DisconnectReason::ServerShutdown, Some(ReasonCode::ServerShuttingDown)),
        Order::Moved => (DisconnectReason::ServerShutdown, Some(ReasonCode::ServerMoved)),
        Order::NotAuthorized => (DisconnectReason::NotAuthorized, Some(ReasonCode::NotAuthorized)),
        Order::AuthenticationExpired => (DisconnectReason::AuthenticationExpired, Some(ReasonCode::NotAuthorized)),
        Order::QuotaExceeded => (DisconnectReason::QuotaExceeded, Some(ReasonCode::QuotaExceeded)),
    }
}

impl Fault {
    /// Why, in words for the client.
    fn text(self) -> &'static str {
        match self {
            Fault::ConnectMissing => "",
            Fault::SecondConnect => "a second CONNECT",
            Fault::Malformed => "a packet is malformed",
            Fault::ProtocolError => "a packet is not allowed here, or holds what it may not",
            Fault::ClientIdInvalid => "the client id is empty or too long",
            Fault::TopicNameInvalid => "the topic has wildcards, is too long or has too many levels",
            Fault::TopicAliasInvalid => "the topic alias is 0 or greater than Topic Alias Maximum",
            Fault::ReceiveMaximumExceeded => "more messages are under way than Receive Maximum",
            Fault::PacketTooLarge => "the payload is too large",
            Fault::BadAuthenticationMethod => "the authentication method is not supported",
        }
    }

    fn reason_code(self) -> Option<ReasonCode> {
        match self {
            Fault::ConnectMissing => None,
            Fault::SecondConnect | Fault::ProtocolError => Some(ReasonCode::ProtocolError),
            Fault::Malformed => Some(ReasonCode::MalformedPacket),
            Fault::ClientIdInvalid => Some(ReasonCode::ClientIdentifierNotValid),
            Fault::TopicNameInvalid => Some(ReasonCode::TopicNameInvalid),
            Fault::TopicAliasInvalid => Some(ReasonCode::TopicAliasInvalid),
            Fault::ReceiveMaximumExceeded => Some(ReasonCode::ReceiveMaximumExceeded),
            Fault::PacketTooLarge => Some(ReasonCode::PacketTooLarge),
            Fault::BadAuthenticationMethod => Some(ReasonCode::BadAuthenticationMethod),
        }
    }
}
