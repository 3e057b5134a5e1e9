//! The rules of retained messages: by example, and held against a naive matcher.

#![allow(clippy::unwrap_used, missing_docs)]

mod keeping;
mod matching;
mod world;
