//! The one door through which packets leave for a client.

use crate::{
    socket::Gate,
    translate::{self, reason},
    wire::{self, Wire},
};
use ntex::io::IoBoxed;
use rollcall_broker::Connection;
use rollcall_session::{ConnAck, Ending, Farewell, Outgoing, ReasonCode};
use rollcall_types::Protocol;
use std::{rc::Rc, sync::Arc};

/// Writes packets, if the gate lets them.
pub(crate) struct Outbound {
    pub(crate) io: IoBoxed,
    pub(crate) wire: Wire,
    pub(crate) gate: Rc<Gate>,
}

/// Why a packet was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotSent {
    /// The socket is closed.
    Closed,
    /// The gate is shut: only the close is left.
    Shut,
    /// The packet does not fit what the client, or MQTT, can take.
    TooLarge,
}

impl Outbound {
    pub(crate) fn connection(&self) -> Option<&Arc<Connection>> {
        self.gate.connection()
    }

    /// Bytes that wait to be written, in front of the filters and behind them; the same bytes twice where there is no
    /// filter.
    pub(crate) fn waiting_bytes(&self) -> usize {
        let behind = self.io.with_write_dst_buf(|pages| pages.len());
        behind + self.io.with_write_buf(|pages| pages.len()).unwrap_or(0)
    }

    /// Sends one packet. Socket open, lease valid, no end of the claim seen: looked at here, for each packet, CONNACK
    /// included.
    pub(crate) fn send(&self, outgoing: &Outgoing) -> Result<(), NotSent> {
        if self.io.is_closed() {
            return Err(NotSent::Closed);
        }
        // An AUTH before CONNACK promises nothing and belongs to no claim.
        let may_send = match self.connection() {
            Some(connection) => connection.may_send(),
            None => matches!(outgoing, Outgoing::Auth(_)),
        };
        if !may_send {
            return Err(NotSent::Shut);
        }
        self.encode(outgoing, self.wire.protocol().unwrap_or(Protocol::V311))
    }

    /// Sends the last packet, if there is one and it may go out: a refusal before there is a claim, or the DISCONNECT of
    /// a claim whose lease is valid. A node that drains says where else to connect. True when bytes wait to be flushed.
    pub(crate) fn farewell(&self, ending: &Ending, elsewhere: Option<Arc<str>>) -> bool {
        let has_lease = self.connection().is_none_or(|connection| connection.has_lease());
        if self.io.is_closed() || !has_lease {
            return false;
        }
        let why = ending.why;
        let sent = match ending.farewell {
            Farewell::Silent => return false,
            Farewell::ConnAck(protocol, code) => {
                self.encode(&Outgoing::ConnAck(Box::new(ConnAck::refused(code, why))), protocol)
            }
            Farewell::Disconnect(code) => {
                let drains = matches!(code, ReasonCode::ServerShuttingDown | ReasonCode::ServerMoved);
                let server_reference = elsewhere.filter(|_| drains);
                self.encode(&Outgoing::Disconnect { code, server_reference, why }, Protocol::V5)
            }
        };
        sent.is_ok()
    }

    fn encode(&self, outgoing: &Outgoing, protocol: Protocol) -> Result<(), NotSent> {
        if let Outgoing::Publish(publish) = outgoing {
            let most = self.wire.client_packet_bytes_max();
            let written = self.io.with_write_buf(|buf| translate::publish::write(publish, protocol, most, buf));
            return match written {
                Ok(true) => Ok(()),
                Ok(false) => Err(NotSent::TooLarge),
                Err(_) => Err(NotSent::Closed),
            };
        }
        match protocol {
            Protocol::V5 => {
                let why = self.explanation(outgoing);
                if why.is_none()
                    && let Some(bytes) = wire::short_form(outgoing)
                {
                    return self.io.encode_slice(&bytes).map_err(|_| NotSent::Closed);
                }
                let item = translate::v5::encodable(outgoing, why).ok_or(NotSent::TooLarge)?;
                self.io.encode(item, &self.wire.v5).map_err(|_| NotSent::TooLarge)
            }
            Protocol::V31 | Protocol::V311 => {
                let item = translate::v3::encodable(outgoing, protocol).ok_or(NotSent::TooLarge)?;
                self.io.encode(item, &self.wire.v3).map_err(|_| NotSent::TooLarge)
            }
        }
    }

    /// The reason string of a packet: of a refusal, for a client that wants it, if there is room (MQTT-3.2.2-19 and the
    /// like).
    fn explanation(&self, outgoing: &Outgoing) -> Option<&'static str> {
        let why = reason::of(outgoing).filter(|_| self.wire.explains())?;
        let most = usize::try_from(self.wire.client_packet_bytes_max()).unwrap_or(usize::MAX);
        (most == 0 || why.len() + reason::bytes_beside(outgoing) <= most).then_some(why)
    }
}
