//! Cluster time follows the applied entries and monotonic time, never a wall clock that jumps.

use proptest::prelude::*;
use rollcall_cluster::ClusterClock;
use rollcall_types::{BootTime, ClusterTime};

#[test]
fn the_wall_clock_counts_only_until_the_first_entry() {
    let mut clock = ClusterClock::new(ClusterTime(0), BootTime(100), ClusterTime(9_000_000));
    assert_eq!(clock.at(BootTime(150)), ClusterTime(9_000_050));
    // The leader's wall clock was an hour behind: this node's own does not matter.
    clock.applied(ClusterTime(5_400_000), BootTime(200));
    assert_eq!(clock.at(BootTime(250)), ClusterTime(5_400_050));
}

#[test]
fn a_restart_goes_on_from_the_last_applied_time() {
    let clock = ClusterClock::new(ClusterTime(700), BootTime(5), ClusterTime(9_000_000));
    assert_eq!(clock.at(BootTime(35)), ClusterTime(730));
}

#[test]
fn entries_that_arrive_late_do_not_set_the_clock_back() {
    let mut clock = ClusterClock::new(ClusterTime(1_000), BootTime(0), ClusterTime(0));
    clock.applied(ClusterTime(1_050), BootTime(90));
    assert_eq!(clock.at(BootTime(90)), ClusterTime(1_090));
    clock.applied(ClusterTime(2_000), BootTime(100));
    assert_eq!(clock.at(BootTime(110)), ClusterTime(2_010));
}

proptest! {
    #[test]
    fn time_never_runs_backwards_nor_below_what_was_applied(
        steps in proptest::collection::vec((0_u64..5_000, 0_u64..100_000), 1..40),
    ) {
        let mut clock = ClusterClock::new(ClusterTime(1), BootTime(0), ClusterTime(77));
        let (mut now, mut last, mut applied) = (0, ClusterTime(0), ClusterTime(0));
        for (elapsed, time) in steps {
            now += elapsed;
            clock.applied(ClusterTime(time), BootTime(now));
            applied = applied.max(ClusterTime(time));
            let read = clock.at(BootTime(now));
            prop_assert!(read >= last && read >= applied);
            last = read;
        }
    }
}
