//! Composes a node of everything below it.

#![forbid(unsafe_code)]

pub mod config;
