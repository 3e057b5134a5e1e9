//! The rules of one partition, specified: transcripts to read, a naive model to compare with, an exhaustive model of
//! small worlds, and what a snapshot carries.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bytes;
mod exhaustive;
mod feed;
mod forgetting;
mod memory;
mod naive;
mod notation;
mod pages;
mod properties;
mod snapshots;
mod stored;
mod transcripts;
mod wills;
mod world;
