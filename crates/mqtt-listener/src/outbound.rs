//! The one door through which packets leave for a client.

use crate::{
    socket::Gate,
    translate,
    wire::{self, Wire},
};
use ntex::io::IoBoxed;
use rollcall_broker::Connection;
use rollcall_session::{ConnAck, Farewell, Outgoing, ReasonCode};
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
    pub(crate) fn farewell(&self, farewell: Farewell, elsewhere: Option<Arc<str>>) -> bool {
        let has_lease = self.connection().is_none_or(|connection| connection.has_lease());
        if self.io.is_closed() || !has_lease {
            return false;
        }
        let sent = match farewell {
            Farewell::Silent => return false,
            Farewell::ConnAck(protocol, code) => {
                self.encode(&Outgoing::ConnAck(Box::new(ConnAck::refused(code))), protocol)
            }
            Farewell::Disconnect(code) => {
                let drains = matches!(code, ReasonCode::ServerShuttingDown | ReasonCode::ServerMoved);
                let server_reference = elsewhere.filter(|_| drains);
                self.encode(&Outgoing::Disconnect { code, server_reference }, Protocol::V5)
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
                if let Some(bytes) = wire::short_form(outgoing) {
                    return self.io.encode_slice(&bytes).map_err(|_| NotSent::Closed);
                }
                let item = translate::v5::encodable(outgoing).ok_or(NotSent::TooLarge)?;
                self.io.encode(item, &self.wire.v5).map_err(|_| NotSent::TooLarge)
            }
            Protocol::V31 | Protocol::V311 => {
                let item = translate::v3::encodable(outgoing, protocol).ok_or(NotSent::TooLarge)?;
                self.io.encode(item, &self.wire.v3).map_err(|_| NotSent::TooLarge)
            }
        }
    }
}
