//! Latencies in an HDR histogram, and their summary.

use crate::failure::Failure;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::time::Duration;

/// Longest latency that keeps its value; longer ones count as this.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Recorded in nanoseconds with three significant digits.
#[derive(Clone, Debug)]
pub(super) struct Latencies(Histogram<u64>);

/// What is reported, in microseconds.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub(super) struct LatencySummary {
    pub(super) count: u64,
    pub(super) min_us: f64,
    pub(super) mean_us: f64,
    pub(super) p50_us: f64,
    pub(super) p90_us: f64,
    pub(super) p99_us: f64,
    pub(super) p99_9_us: f64,
    pub(super) max_us: f64,
}

impl Latencies {
    pub(super) fn new() -> Result<Latencies, Failure> {
        Histogram::new_with_bounds(1, LONGEST.as_nanos() as u64, 3)
            .map(Latencies)
            .map_err(|error| Failure::new(format!("cannot make a histogram: {error}")))
    }

    pub(super) fn record(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanoseconds.max(1));
    }

    /// Takes in what another one has; both have the same bounds.
    pub(super) fn add(&mut self, other: &Latencies) {
        for value in other.0.iter_recorded() {
            self.0.saturating_record_n(value.value_iterated_to(), value.count_at_value());
        }
    }

    pub(super) fn summary(&self) -> LatencySummary {
        let us = |nanoseconds: u64| round(nanoseconds as f64 / 1_000.0);
        let at = |percentile: f64| us(self.0.value_at_percentile(percentile));
        LatencySummary {
            count: self.0.len(),
            min_us: us(self.0.min()),
            mean_us: round(self.0.mean() / 1_000.0),
            p50_us: at(50.0),
            p90_us: at(90.0),
            p99_us: at(99.0),
            p99_9_us: at(99.9),
            max_us: us(self.0.max()),
        }
    }
}

impl LatencySummary {
    /// One line for people, in milliseconds.
    pub(super) fn line(&self) -> String {
        let ms = |us: f64| format!("{:.3}", us / 1_000.0);
        format!(
            "p50 {}  p90 {}  p99 {}  p99.9 {}  max {} ms",
            ms(self.p50_us),
            ms(self.p90_us),
            ms(self.p99_us),
            ms(self.p99_9_us),
            ms(self.max_us)
        )
    }
}

/// To a thousandth: finer digits are noise and make reports hard to compare.
pub(super) fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::Latencies;
    use std::time::Duration;

    #[test]
    fn percentiles_are_right_to_three_digits() {
        let mut latencies = Latencies::new().unwrap();
        for ms in 1..=1_000 {
            latencies.record(Duration::from_millis(ms));
        }
        let summary = latencies.summary();
        assert_eq!(summary.count, 1_000);
        for (got, ms) in
            [(summary.p50_us, 500.0), (summary.p90_us, 900.0), (summary.p99_us, 990.0), (summary.p99_9_us, 999.0)]
        {
            let error = (got / 1_000.0 - ms).abs() / ms;
            assert!(error < 0.002, "{got} us for {ms} ms");
        }
    }

    #[test]
    fn an_empty_histogram_is_zero_and_what_is_too_long_is_kept_as_longest() {
        let mut latencies = Latencies::new().unwrap();
        assert_eq!(latencies.summary().max_us, 0.0);
        latencies.record(Duration::from_secs(100_000));
        assert!(latencies.summary().max_us >= 3_600e6);
        latencies.record(Duration::ZERO);
        assert_eq!(latencies.summary().count, 2);
    }
}
