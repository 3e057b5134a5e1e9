//! The metrics of certificates.

use metrics::{Unit, counter, describe_counter};

/// Attempts to read changed files.
const RELOADS: &str = "rollcall_tls_reloads_total";

/// Registers the descriptions of the metrics with the recorder in force.
pub fn describe_metrics() {
    describe_counter!(RELOADS, Unit::Count, "changed certificate files that were read again, by result");
}

pub(crate) fn reloaded(succeeded: bool) {
    counter!(RELOADS, "result" => if succeeded { "taken" } else { "refused" }).increment(1);
}
