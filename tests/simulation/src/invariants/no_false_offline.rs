//! While a connection is held whose CONNACK was sent, nobody is told that its client is offline, unless its owner's
//! lease is over; and from then on the owner sends nothing.

use super::{Violation, holds};
use crate::oracle::Fact;

const NAME: &str = "no_false_offline";

/// An answer said that the client of this held connection is offline.
pub(crate) fn at_answer(held: &Fact, owner_has_lease: bool) -> Result<(), Violation> {
    holds(NAME, !owner_has_lease, || format!("offline, though it holds {held:?} under a valid lease"))
}

/// Something is sent to a client.
pub(crate) fn at_send(owner_has_lease: bool, node: usize, connection: u64) -> Result<(), Violation> {
    holds(NAME, owner_has_lease, || format!("n{} sends over connection {connection} without a lease", node + 1))
}
