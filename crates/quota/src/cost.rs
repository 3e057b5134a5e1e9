//! What things cost the instance's quota, in units of one QoS 0 message.

use rollcall_types::QoS;

/// Something that is charged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Charge {
    /// Questions "is this client online?", however they came; a batch of n costs n.
    StatusQueries(u32),
    /// A message received from a client.
    MessageReceived(QoS),
    /// A message sent to one subscriber.
    MessageSent(QoS),
    /// A message published over HTTP.
    HttpPublish,
    /// A change of a client's keep-alive over HTTP.
    KeepAliveChange,
}

impl Charge {
    /// Units. A message costs 1 in and 1 for each subscriber it goes to, whatever its QoS and size: the handshakes of
    /// QoS 1 and 2, and repeats of a message under way, are not charged again.
    #[must_use]
    pub fn units(self) -> u32 {
        match self {
            Charge::StatusQueries(questions) => questions,
            Charge::MessageReceived(_) | Charge::MessageSent(_) => 1,
            Charge::HttpPublish | Charge::KeepAliveChange => 1,
        }
    }
}
