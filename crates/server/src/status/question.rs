//! One question over HTTP or HTTPS, asked again where the node says when.

use crate::{failure::Failure, http::encode_segment, web_client};
use serde::Deserialize;
use std::{
    thread,
    time::{Duration, Instant},
};
use ureq::{
    Agent,
    http::{HeaderMap, Response},
};

/// Longest wait before a question is asked again, whatever the node says.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);
/// Wait where the node does not say how long.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);
/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Longest request target the gateway takes.
const TARGET_BYTES_MAX: usize = 65_534;

/// What a node says about a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) online: bool,
    pub(super) node: Option<String>,
    pub(super) epoch: Option<u64>,
    pub(super) partition: Option<u64>,
    pub(super) index: Option<u64>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// The node said something else than 200.
    #[error("{status} {code}")]
    Refused { status: u16, code: String, retry_after: Option<Duration> },
    /// Nothing came.
    #[error("{0}")]
    Unreachable(String),
    /// 200 with a body that is no answer.
    #[error("the answer is no status")]
    Malformed,
    /// The id makes a request target longer than the gateway takes.
    #[error("the id is too long for a GET")]
    TooLong,
}

impl NoAnswer {
    /// HTTP status, where there was one.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            NoAnswer::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The stable code of the problem, where there was one.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            NoAnswer::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// Asks one node; cheap to share between threads.
pub(super) struct Questioner {
    agent: Agent,
    base: String,
    authorization: Option<String>,
    retries: u8,
}

#[derive(Deserialize)]
struct Body {
    online: bool,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
}

impl Questioner {
    pub(super) fn new(
        url: &str,
        authorization: Option<String>,
        retries: u8,
        timeout_ms: u64,
    ) -> Result<Questioner, Failure> {
        let agent = web_client::agent(url, Duration::from_millis(timeout_ms))?;
        let base = url.trim_end_matches('/').to_owned();
        Ok(Questioner { agent, base, authorization, retries })
    }

    pub(super) fn ask(&self, id: &str) -> Result<Answer, NoAnswer> {
        let mut left = self.retries;
        loop {
            let outcome = self.ask_once(id);
            match &outcome {
                Err(NoAnswer::Refused { status: 429 | 503, retry_after, .. }) if left > 0 => {
                    left -= 1;
                    wait(retry_after.unwrap_or(RETRY_AFTER_DEFAULT).min(RETRY_AFTER_MAX));
                }
                _ => return outcome,
            }
        }
    }

    fn ask_once(&self, id: &str) -> Result<Answer, NoAnswer> {
        let url = format!("{}/client-id/{}/status", self.base, encode_segment(id));
        if url.len() > TARGET_BYTES_MAX {
            return Err(NoAnswer::TooLong);
        }
        let mut request = self.agent.get(url);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let mut response = request.call().map_err(|error| NoAnswer::Unreachable(error.to_string()))?;
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec()
            .map_err(|error| NoAnswer::Unreachable(error.to_string()))?;
        read(&response, &body)
    }
}

fn read<B>(response: &Response<B>, body: &[u8]) -> Result<Answer, NoAnswer> {
    let headers = response.headers();
    let status = response.status().as_u16();
    if status != 200 {
        let code = serde_json::from_slice::<Problem>(body).map_or_else(
            |_| response.status().canonical_reason().unwrap_or("refused").to_lowercase().replace(' ', "_"),
            |problem| problem.code,
        );
        let retry_after = number(headers, "retry-after").map(Duration::from_secs);
        return Err(NoAnswer::Refused { status, code, retry_after });
    }
    let Body { online } = serde_json::from_slice(body).map_err(|_| NoAnswer::Malformed)?;
    Ok(Answer {
        online,
        node: headers.get("rollcall-node").and_then(|value| value.to_str().ok()).map(str::to_owned),
        epoch: number(headers, "rollcall-epoch"),
        partition: number(headers, "rollcall-partition"),
        index: number(headers, "rollcall-index"),
    })
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// The wait the node asked for. Nothing can end it earlier.
fn wait(length: Duration) {
    let end = Instant::now() + length;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}
