//! Seeds that pass, seeds that run twice the same way, and rules broken on purpose that are found.

#![forbid(unsafe_code)]

mod broken_rules;
mod seeds;
