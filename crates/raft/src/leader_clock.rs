//! Cluster time at a leader, by the rule of `cluster::ClusterClock`: this is only the monotonic clock it is fed with,
//! anew for each term. The wall clock is a hint for the first entry of a new log.

use rollcall_cluster::ClusterClock;
use rollcall_types::{BootTime, ClusterTime};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The clock of one group's leader.
#[derive(Debug)]
pub(crate) struct LeaderClock {
    since: Instant,
    leading: Option<(u64, ClusterClock)>,
}

impl Default for LeaderClock {
    fn default() -> Self {
        LeaderClock { since: Instant::now(), leading: None }
    }
}

impl LeaderClock {
    /// The time to put into an entry proposed now in this term, when `applied` is the time last applied here.
    pub(crate) fn at(&mut self, term: u64, applied: ClusterTime) -> ClusterTime {
        let now = BootTime(u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX));
        match &mut self.leading {
            Some((leading, clock)) if *leading == term => {
                clock.applied(applied, now);
                clock.at(now)
            }
            leading => {
                let clock = ClusterClock::new(applied, now, wall_clock());
                let at = clock.at(now);
                *leading = Some((term, clock));
                at
            }
        }
    }
}

fn wall_clock() -> ClusterTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ClusterTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_starts_at_the_wall_clock_once_and_then_never_runs_backwards() {
        let mut clock = LeaderClock::default();
        let first = clock.at(1, ClusterTime(0));
        assert!(first.0 > 1_600_000_000_000);
        // A later leader builds on the applied time, whatever its own wall clock says.
        let mut other = LeaderClock::default();
        let second = other.at(2, ClusterTime(5_000));
        assert!(second.0 >= 5_000 && second.0 < 10_000);
        assert!(other.at(2, ClusterTime(90_000)).0 >= 90_000);
    }
}
