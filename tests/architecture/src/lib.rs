//! Holds the workspace against its own rules: layers, sealed libraries, file sizes, module heads, bans, pages that name
//! or show files, and the list of cases with the tests that cover them.
//!
//! Every check is a plain function from facts to a list of sentences, one for each breach, so that it can be tried with
//! wrong facts; `tests/` runs them on the real workspace. What does not belong here: anything that needs a compiler or a
//! running node.

#![forbid(unsafe_code)]

pub mod bans;
pub mod cases;
pub mod examples;
pub mod layers;
pub mod machine_names;
pub mod pages;
pub mod sources;
pub mod workspace;

/// One sentence per breach, each with the place and what would repair it.
pub type Breaches = Vec<String>;
