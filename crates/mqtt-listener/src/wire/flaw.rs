//! What a check of a frame may find.

use super::cursor::Short;
use rollcall_session::DecodeFault;
use rollcall_types::Protocol;

/// What is wrong with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    /// It cannot be parsed by the rules of its form.
    Malformed,
    /// It can be parsed, and says what is not allowed.
    Protocol,
    /// The client id is text that is not accepted.
    ClientId,
    /// It breaks off where no answer is of use: the close alone, which is all that MQTT-4.13.1-1 asks for.
    Unanswered,
}

/// The result of a check.
pub(crate) type Checked<T> = Result<T, Flaw>;

impl From<Short> for Flaw {
    fn from(_: Short) -> Self {
        Flaw::Malformed
    }
}

impl Flaw {
    pub(crate) fn of(self, protocol: Protocol) -> DecodeFault {
        match self {
            Flaw::Malformed => DecodeFault::Malformed(Some(protocol)),
            Flaw::Protocol => DecodeFault::ProtocolError(Some(protocol)),
            Flaw::ClientId if protocol == Protocol::V5 => DecodeFault::EmptyClientId(protocol),
            Flaw::ClientId => DecodeFault::Malformed(Some(protocol)), // MQTT 3 has no code for it
            Flaw::Unanswered => DecodeFault::NotMqtt,
        }
    }
}
