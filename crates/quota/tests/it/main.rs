//! Limits, shares and costs as the configuration and the nodes see them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod grants;
mod limits;
mod share;
