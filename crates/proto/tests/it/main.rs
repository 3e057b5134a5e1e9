//! The messages between nodes, held to the bytes of each version of the mesh protocol.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bytes;
mod stored;
