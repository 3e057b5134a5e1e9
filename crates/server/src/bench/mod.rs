//! `rollcall bench`: a load generator that is cheap on processor time, for any MQTT broker and any status URL, so that
//! Rollcall and its peers are measured with the same tool.
//!
//! Latencies go into HDR histograms with three significant digits. With a fixed rate they count from the moment each
//! operation was due, not from the moment a free connection got round to it: a stall of the server is then seen by all
//! that had to wait for it.

pub(crate) mod connect;
mod ids;
mod latency;
mod pace;
mod progress;
pub(crate) mod publish;
mod report;
mod request;
mod runtime;
mod source_address;
pub(crate) mod status;
mod tally;
mod target;
