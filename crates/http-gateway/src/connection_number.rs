//! A number for each connection of the data plane: a publisher that names no client is `http-` and this number, as long
//! as its connection lasts.

use actix_http::Extensions;
use std::{
    any::Any,
    sync::atomic::{AtomicU64, Ordering},
};

/// The number of a connection, counted from 1 on each node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ConnectionNumber(pub(crate) u64);

static GIVEN: AtomicU64 = AtomicU64::new(0);

/// Gives a number to a connection that was accepted.
pub(crate) fn give(_: &dyn Any, of_connection: &mut Extensions) {
    of_connection.insert(ConnectionNumber(GIVEN.fetch_add(1, Ordering::Relaxed) + 1));
}
