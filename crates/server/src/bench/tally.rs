//! What a status measurement counts.

use super::latency::Latencies;
use crate::{failure::Failure, http::ExchangeError};
use std::{collections::BTreeMap, time::Duration};

/// Bodies longer than this are not searched for an answer.
const ANSWER_BYTES_MAX: usize = 256;

/// What a body says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    True,
    False,
    Other,
}

impl Said {
    /// Reads `true`, `{"online":true}` and the like.
    pub(super) fn by(body: &[u8]) -> Said {
        let holds = |word: &[u8]| body.windows(word.len()).any(|window| window == word);
        if body.len() > ANSWER_BYTES_MAX {
            Said::Other
        } else if holds(b"true") {
            Said::True
        } else if holds(b"false") {
            Said::False
        } else {
            Said::Other
        }
    }

    /// As counts of true, false and other.
    pub(super) fn counts(self) -> [u64; 3] {
        let mut counts = [0; 3];
        counts[self as usize] = 1;
        counts
    }

    /// What the body of a batch says of its ids, as such counts.
    pub(super) fn counts_in_batch(body: &[u8]) -> [u64; 3] {
        let count = |wanted: &[u8]| body.windows(wanted.len()).filter(|window| *window == wanted).count() as u64;
        match [count(b"\"online\":true"), count(b"\"online\":false"), 0] {
            [0, 0, _] => Said::Other.counts(),
            counts => counts,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Said::True => "true",
            Said::False => "false",
            Said::Other => "other",
        }
    }
}

/// Counts and latencies of the measured time; the warm-up is not in it.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) latencies: Latencies,
    pub(super) codes: BTreeMap<u16, u64>,
    said: [u64; 3],
    pub(super) errors: BTreeMap<&'static str, u64>,
    /// Connections opened after the first of each.
    pub(super) reconnects: u64,
    /// Due in time, but taken too late to be sent.
    pub(super) not_started: u64,
}

impl Tally {
    pub(super) fn new() -> Result<Tally, Failure> {
        Ok(Tally {
            latencies: Latencies::new()?,
            codes: BTreeMap::new(),
            said: [0; 3],
            errors: BTreeMap::new(),
            reconnects: 0,
            not_started: 0,
        })
    }

    /// One answer; `said` are counts of true, false and other.
    pub(super) fn answered(&mut self, status: u16, said: [u64; 3], latency: Duration) {
        self.latencies.record(latency);
        *self.codes.entry(status).or_default() += 1;
        if status == 200 {
            self.said.iter_mut().zip(said).for_each(|(sum, more)| *sum += more);
        }
    }

    pub(super) fn failed(&mut self, error: &ExchangeError) {
        let name = match error {
            ExchangeError::Connect(_) => "connect",
            ExchangeError::Broken(_) | ExchangeError::Closed => "closed",
            ExchangeError::Timeout => "timeout",
            ExchangeError::Malformed => "malformed",
        };
        *self.errors.entry(name).or_default() += 1;
    }

    /// Complete answers, whatever they said.
    pub(super) fn answers(&self) -> u64 {
        self.codes.values().sum()
    }

    /// What the 200 answers said.
    pub(super) fn bodies(&self) -> BTreeMap<&'static str, u64> {
        [Said::True, Said::False, Said::Other].into_iter().map(|said| (said.name(), self.said[said as usize])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Said;

    #[test]
    fn answers_of_rollcall_and_its_peers_are_told_apart() {
        for (body, said) in [
            (&b"{\"online\":true}"[..], Said::True),
            (b"{\"online\":false}", Said::False),
            (b"true", Said::True),
            (b"false\n", Said::False),
            (b"{\"kvs\":[]}", Said::Other),
            (b"", Said::Other),
        ] {
            assert_eq!(Said::by(body), said, "{body:?}");
        }
        assert_eq!(Said::by(&b"true".repeat(100)), Said::Other);
    }

    #[test]
    fn each_id_of_a_batch_is_counted() {
        let body = br#"{"results":[{"client_id":"true","online":true},{"online":false},{"online":false}]}"#;
        assert_eq!(Said::counts_in_batch(body), [1, 2, 0]);
        assert_eq!(Said::counts_in_batch(b"{}"), [0, 0, 1]);
        assert_eq!(Said::False.counts(), [0, 1, 0]);
    }
}
