//! Names and handles of the gateway's metrics. Handles are fetched once per worker, when the recorder must already be
//! installed.

use actix_http::StatusCode;
use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};
use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// Status queries answered, by HTTP status.
pub(crate) const STATUS_QUERIES_TOTAL: &str = "rollcall_status_queries_total";
/// Seconds from a query's complete head to its answer. A sample (at most 1000 a second and worker), so its count is
/// not the number of queries: `rollcall_status_queries_total` is.
pub(crate) const STATUS_QUERY_SECONDS: &str = "rollcall_status_query_seconds";

/// A recorder keeps each observation until it is next drained, so there is a bound to how many come in.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(1);

/// The statuses a query can have, with their labels.
const CODES: [(u16, &str); 11] = [
    (200, "200"),
    (204, "204"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (405, "405"),
    (408, "408"),
    (413, "413"),
    (429, "429"),
    (503, "503"),
    (0, "other"),
];

/// One worker's handles.
pub(crate) struct StatusMetrics {
    by_code: [Counter; CODES.len()],
    seconds: Histogram,
    sampled_at: Cell<Option<Instant>>,
}

impl StatusMetrics {
    pub(crate) fn new() -> Self {
        describe_counter!(STATUS_QUERIES_TOTAL, "status queries answered, by HTTP status");
        describe_histogram!(
            STATUS_QUERY_SECONDS,
            "seconds from a status query's complete head to its answer; a sample"
        );
        StatusMetrics {
            by_code: CODES.map(|(_, label)| counter!(STATUS_QUERIES_TOTAL, "code" => label)),
            seconds: histogram!(STATUS_QUERY_SECONDS),
            sampled_at: Cell::new(None),
        }
    }

    /// Counts one answer; measures it when the last measurement is long enough ago.
    pub(crate) fn answered(&self, status: StatusCode, began: Instant) {
        let code = status.as_u16();
        let place = CODES.iter().position(|(known, _)| *known == code).unwrap_or(CODES.len() - 1);
        self.by_code[place].increment(1);
        let due = self.sampled_at.get().is_none_or(|at| began.saturating_duration_since(at) >= SAMPLE_INTERVAL);
        if due {
            self.sampled_at.set(Some(began));
            self.seconds.record(began.elapsed());
        }
    }
}
