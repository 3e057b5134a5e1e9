//! MQTT 3.1.1 and 5.0 by the numbers of the standards' statements, seen from outside: exact bytes to a real node, exact
//! packets back.
//!
//! One table ([`statements`]) says which statements there are, in words of our own, how each is tested and which broken
//! broker its test must notice; `docs/reference/mqtt-conformance.md` is generated from it. A broken broker is a node
//! behind a [`proxy`] that spoils exactly one behaviour. What the broker cannot do yet is [`awaited`]. What does not
//! belong here: anything of the server's own code, and tests of more than the standards ask for.

#![forbid(unsafe_code)]

pub mod awaited;
pub mod breakage;
pub mod bytes;
pub mod client;
pub mod page;
pub mod proxy;
pub mod run;
pub mod statement;
pub mod statements;
pub mod world;

/// What a test ends with: nothing, or a sentence that says what was not as the standard wants it.
pub type Outcome = Result<(), String>;
