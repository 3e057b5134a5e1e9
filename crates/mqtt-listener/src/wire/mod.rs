//! Bytes to packets. ntex-mqtt's codecs do the decoding; before it each frame is complete and is checked for what they
//! let pass, so that a publish is never in pieces and no length inside a frame reaches beyond it.

mod connect_frame;
mod cursor;
mod flaw;
mod frame;
mod properties;
mod short_form;
mod strict;

use connect_frame::ConnectFrame;
pub(crate) use cursor::Names;
use frame::Frame;
use ntex::codec::Decoder;
use ntex::util::BytesMut;
use ntex_mqtt::{v3, v5};
use rollcall_session::{DecodeFault, Packet};
use rollcall_types::Protocol;
pub(crate) use short_form::short_form;
use std::cell::Cell;

use crate::translate;

/// The decoder of one connection. It learns the version from CONNECT, which it looks at without consuming it.
pub(crate) struct Wire {
    protocol: Cell<Option<Protocol>>,
    packet_bytes_max: u32,
    client_packet_bytes_max: Cell<u32>,
    names: Names,
    /// The client is told in words why it is refused something.
    explains: Cell<bool>,
    pub(crate) v3: v3::codec::Codec,
    pub(crate) v5: v5::codec::Codec,
}

impl Wire {
    pub(crate) fn new(packet_bytes_max: u32, names: Names, reason_strings: bool) -> Self {
        Wire {
            protocol: Cell::new(None),
            packet_bytes_max,
            client_packet_bytes_max: Cell::new(0),
            names,
            explains: Cell::new(reason_strings),
            v3: v3::codec::Codec::new(),
            v5: v5::codec::Codec::new(),
        }
    }

    /// The version, once CONNECT named it.
    pub(crate) fn protocol(&self) -> Option<Protocol> {
        self.protocol.get()
    }

    /// Maximum Packet Size of the client; 0 is none.
    pub(crate) fn client_packet_bytes_max(&self) -> u32 {
        self.client_packet_bytes_max.get()
    }

    /// Whether the client is told in words why it is refused something.
    pub(crate) fn explains(&self) -> bool {
        self.explains.get()
    }

    fn malformed(&self) -> DecodeFault {
        DecodeFault::Malformed(self.protocol.get())
    }

    /// CONNECT: the version decides the codec, and MQTT 3.1 is dressed as 3.1.1, which differs in nothing else.
    fn decode_connect(&self, frame: &Frame, src: &mut BytesMut) -> Result<Option<Packet>, DecodeFault> {
        if !frame.is_connect() {
            return Err(DecodeFault::NotMqtt);
        }
        let connect = match ConnectFrame::parse(frame.body(src), self.names) {
            Ok(connect) if frame.has_flags() && connect.protocol != Protocol::V31 => Err(DecodeFault::NotMqtt),
            Err(_) if frame.has_flags() => Err(DecodeFault::NotMqtt),
            parsed => parsed,
        }?;
        self.protocol.set(Some(connect.protocol));
        match connect.protocol {
            Protocol::V5 => self.decode_v5(frame, src, connect.behind_no_expiry),
            Protocol::V311 => self.decode_v3(frame, src, Protocol::V311),
            Protocol::V31 => {
                let mut dressed = BytesMut::copy_from_slice(connect_frame::as_311(frame.body(src)));
                src.advance_to(frame.len());
                let Some(inner) = frame::peek(&dressed, self.packet_bytes_max).map_err(|_| self.malformed())? else {
                    return Err(self.malformed());
                };
                self.decode_v3(&inner, &mut dressed, Protocol::V31)
            }
        }
    }

    fn decode_v3(&self, frame: &Frame, src: &mut BytesMut, protocol: Protocol) -> Result<Option<Packet>, DecodeFault> {
        let rest = src.len() - frame.len();
        let decoded = self.v3.decode(src).map_err(|_| self.malformed())?.ok_or_else(|| self.malformed())?;
        if src.len() != rest {
            return Err(self.malformed());
        }
        translate::v3::packet(decoded, protocol).ok_or_else(|| self.malformed()).map(Some)
    }

    /// `behind_no_expiry`: a message expiry of 0 ends so many bytes before the packet. The codec is given another.
    fn decode_v5(
        &self,
        frame: &Frame,
        src: &mut BytesMut,
        behind_no_expiry: Option<usize>,
    ) -> Result<Option<Packet>, DecodeFault> {
        if let Some(behind) = behind_no_expiry
            && let Some(last) = frame.len().checked_sub(behind + 1).and_then(|place| src.get_mut(place))
        {
            *last = 1;
        }
        let rest = src.len() - frame.len();
        let decoded = self.v5.decode(src).map_err(|_| self.malformed())?.ok_or_else(|| self.malformed())?;
        if src.len() != rest {
            return Err(self.malformed());
        }
        if let v5::codec::Decoded::Packet(v5::codec::Packet::Connect(connect), _) = &decoded {
            // MQTT 5.0, 3.1.2.11.7: must not in acknowledgements, and is not wanted elsewhere.
            self.explains.set(self.explains() && connect.request_problem_info);
            if let Some(most) = connect.max_packet_size {
                self.v5.set_max_outbound_size(most.get());
                self.client_packet_bytes_max.set(most.get());
            }
        }
        let mut packet = translate::v5::packet(decoded).ok_or_else(|| self.malformed())?;
        if behind_no_expiry.is_some()
            && let Some(message) = packet.message_mut()
        {
            message.properties.expiry_s = Some(0);
        }
        Ok(Some(packet))
    }
}

impl Decoder for Wire {
    type Item = Packet;
    type Error = DecodeFault;

    fn decode(&self, src: &mut BytesMut) -> Result<Option<Packet>, DecodeFault> {
        let protocol = self.protocol.get();
        if protocol.is_none() && src.first().is_some_and(|first| first >> 4 != frame::CONNECT >> 4) {
            return Err(DecodeFault::NotMqtt); // without waiting for the rest of whatever it is
        }
        if let (Some(protocol), Some(0..=0x0F)) = (protocol, src.first()) {
            return Err(DecodeFault::ProtocolError(Some(protocol))); // MQTT 5.0, table 2-1: forbidden, whatever follows
        }
        let frame = match frame::peek(src, self.packet_bytes_max) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(None),
            Err(frame::FrameFault::Malformed) => return Err(self.malformed()),
            Err(frame::FrameFault::Endless) => return Err(DecodeFault::NotMqtt),
            Err(frame::FrameFault::TooLarge) => return Err(DecodeFault::TooLarge(protocol)),
        };
        if src.len() < frame.len() {
            return Ok(None);
        }
        let Some(protocol) = protocol else {
            return self.decode_connect(&frame, src);
        };
        if frame.is_connect() && !frame.has_flags() {
            // A second CONNECT is out of order whatever it says, and its codec might be another's.
            src.advance_to(frame.len());
            return Ok(Some(translate::second_connect(protocol)));
        }
        if protocol == Protocol::V31 {
            frame::clear_dup_of_31(src);
        }
        let first = src.first().copied().unwrap_or(0);
        let behind_no_expiry = strict::check(first, frame.body(src), protocol, self.names)?;
        match protocol {
            Protocol::V5 => self.decode_v5(&frame, src, behind_no_expiry),
            Protocol::V31 | Protocol::V311 => self.decode_v3(&frame, src, protocol),
        }
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
