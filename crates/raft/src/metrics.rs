//! Names of this crate's metrics.

use metrics::{Counter, Histogram};

/// Read points asked for.
pub const READ_POINTS: &str = "rollcall_read_points_total";
/// Status questions that shared one read point.
pub const READS_PER_READ_POINT: &str = "rollcall_reads_per_read_point";
/// Seconds from proposing an entry to its outcome, at the leader.
pub const COMMIT_SECONDS: &str = "rollcall_raft_commit_seconds";
/// 1 where this node leads the group.
pub const RAFT_LEADER: &str = "rollcall_raft_leader";
/// Index of the last entry applied here.
pub const APPLIED_INDEX: &str = "rollcall_raft_applied_index";
/// Partitions that have a replica here.
pub const PARTITION_REPLICAS: &str = "rollcall_partition_replicas";
/// Fences proposed by partition leaders on this node and applied.
pub const FENCES: &str = "rollcall_fences_total";
/// Messages that were not retained since a limit is reached.
pub const RETAINED_REFUSED: &str = "rollcall_retained_refused_total";
/// Violations found in a group's state, by the `invariant` violated.
pub const INVARIANT_VIOLATIONS: &str = "rollcall_invariant_violations_total";

/// Handles fetched once.
#[derive(Clone)]
pub(crate) struct Metrics {
    read_points: Counter,
    reads_per_point: Histogram,
    pub(crate) commit_seconds: Histogram,
    pub(crate) fences: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Metrics {
            read_points: metrics::counter!(READ_POINTS),
            reads_per_point: metrics::histogram!(READS_PER_READ_POINT),
            commit_seconds: metrics::histogram!(COMMIT_SECONDS),
            fences: metrics::counter!(FENCES),
        }
    }

    /// `points` read points served `questions` questions.
    pub(crate) fn read_points(&self, points: usize, questions: usize) {
        self.read_points.increment(points as u64);
        if points > 0 {
            #[allow(clippy::cast_precision_loss)]
            self.reads_per_point.record(questions as f64 / points as f64);
        }
    }
}
