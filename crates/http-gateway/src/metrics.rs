//! Names and handles of the gateway's metrics. Handles are fetched once per worker, when the recorder must already be
//! installed.

use crate::route::Route;
use actix_http::StatusCode;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// Status queries answered, by HTTP status.
pub(crate) const STATUS_QUERIES_TOTAL: &str = "rollcall_status_queries_total";
/// Seconds from a query's complete head to its answer. A sample (at most 1000 a second and worker), so its count is
/// not the number of queries: `rollcall_status_queries_total` is.
pub(crate) const STATUS_QUERY_SECONDS: &str = "rollcall_status_query_seconds";

/// Larger questions answered, by question and HTTP status.
pub(crate) const QUESTIONS_TOTAL: &str = "rollcall_questions_total";
/// Seconds from a larger question's complete head to its answer, but for long polls. A sample like that of status queries.
pub(crate) const QUESTION_SECONDS: &str = "rollcall_question_seconds";
/// Messages and changes asked for, by call and HTTP status.
pub(crate) const CALLS_TOTAL: &str = "rollcall_http_calls_total";
/// Seconds from such a call's complete head to its answer. A sample like that of status queries.
pub(crate) const CALL_SECONDS: &str = "rollcall_http_call_seconds";
/// Limits reached; described where MQTT counts them.
pub(crate) const LIMITED_TOTAL: &str = "rollcall_quota_limited_total";
/// Long polls that wait now.
pub(crate) const LONG_POLLS_WAITING: &str = "rollcall_long_polls_waiting";

/// A recorder keeps each observation until it is next drained, so there is a bound to how many come in.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(1);

/// The statuses a query can have, with their labels.
const CODES: [(u16, &str); 15] = [
    (200, "200"),
    (204, "204"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (409, "409"),
    (410, "410"),
    (413, "413"),
    (415, "415"),
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
        self.by_code[place_of(status)].increment(1);
        if is_due(&self.sampled_at, began) {
            self.seconds.record(began.elapsed());
        }
    }
}

fn place_of(status: StatusCode) -> usize {
    let code = status.as_u16();
    CODES.iter().position(|(known, _)| *known == code).unwrap_or(CODES.len() - 1)
}

/// Whether the last sample is long enough ago; then this is one.
fn is_due(sampled_at: &Cell<Option<Instant>>, began: Instant) -> bool {
    let due = sampled_at.get().is_none_or(|at| began.saturating_duration_since(at) >= SAMPLE_INTERVAL);
    if due {
        sampled_at.set(Some(began));
    }
    due
}

/// One worker's handles for the larger questions.
pub(crate) struct QuestionMetrics {
    batch: OneQuestion,
    presence: OneQuestion,
    clients: OneQuestion,
    events: OneQuestion,
    wait: OneQuestion,
    publish: OneQuestion,
    keep_alive: OneQuestion,
    waiting: Gauge,
}

struct OneQuestion {
    by_code: [Counter; CODES.len()],
    seconds: Histogram,
    sampled_at: Cell<Option<Instant>>,
}

impl OneQuestion {
    fn new(question: &'static str) -> Self {
        OneQuestion {
            by_code: CODES.map(|(_, label)| counter!(QUESTIONS_TOTAL, "question" => question, "code" => label)),
            seconds: histogram!(QUESTION_SECONDS, "question" => question),
            sampled_at: Cell::new(None),
        }
    }

    /// Of what changes something.
    fn call(call: &'static str) -> Self {
        OneQuestion {
            by_code: CODES.map(|(_, label)| counter!(CALLS_TOTAL, "call" => call, "code" => label)),
            seconds: histogram!(CALL_SECONDS, "call" => call),
            sampled_at: Cell::new(None),
        }
    }
}

impl QuestionMetrics {
    pub(crate) fn new() -> Self {
        describe_counter!(QUESTIONS_TOTAL, "larger questions answered, by question and HTTP status");
        describe_histogram!(QUESTION_SECONDS, "seconds from a larger question's complete head to its answer; a sample");
        describe_counter!(CALLS_TOTAL, "messages and changes asked for over HTTP, by call and HTTP status");
        describe_histogram!(CALL_SECONDS, "seconds from such a call's complete head to its answer; a sample");
        describe_gauge!(LONG_POLLS_WAITING, "long polls that wait now");
        QuestionMetrics {
            batch: OneQuestion::new("batch"),
            presence: OneQuestion::new("presence"),
            clients: OneQuestion::new("clients"),
            events: OneQuestion::new("events"),
            wait: OneQuestion::new("wait"),
            publish: OneQuestion::call("publish"),
            keep_alive: OneQuestion::call("keep_alive"),
            waiting: gauge!(LONG_POLLS_WAITING),
        }
    }

    /// Counts one answer, and measures now and then.
    pub(crate) fn answered(&self, route: Route, status: StatusCode, began: Instant) {
        let question = match route {
            Route::Batch => &self.batch,
            Route::Presence => &self.presence,
            Route::Clients => &self.clients,
            Route::Events => &self.events,
            Route::Publish => &self.publish,
            Route::KeepAlive => &self.keep_alive,
            Route::Status => return self.wait_answered(status),
        };
        question.by_code[place_of(status)].increment(1);
        if is_due(&question.sampled_at, began) {
            question.seconds.record(began.elapsed());
        }
    }

    /// Counts the answer of a long poll. How long it took says nothing of this node.
    pub(crate) fn wait_answered(&self, status: StatusCode) {
        self.wait.by_code[place_of(status)].increment(1);
    }

    /// One more long poll waits, until this is dropped.
    pub(crate) fn waiting(&self) -> WaitingPoll {
        self.waiting.increment(1);
        WaitingPoll(self.waiting.clone())
    }
}

/// See [`QuestionMetrics::waiting`].
pub(crate) struct WaitingPoll(Gauge);

impl Drop for WaitingPoll {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
