//! Cluster time: the last applied time plus what this machine's boot clock counted since. A jump of a wall clock
//! changes nothing, since the wall clock is looked at only while a group's log is still empty.
//!
//! One per Raft group and node. Every replica keeps it up at apply, so that whoever becomes leader goes on from the
//! same time. Reading clocks belongs to the caller.

use rollcall_types::{BootTime, ClusterTime};

/// A group's cluster time as one node reckons it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClusterClock {
    applied: Option<Anchor>,
    hint: Anchor,
}

/// This cluster time was true at this boot time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Anchor {
    time: ClusterTime,
    boot: BootTime,
}

impl Anchor {
    fn at(self, now: BootTime) -> ClusterTime {
        self.time.plus_ms(now.since(self.boot))
    }
}

impl ClusterClock {
    /// The clock of a group whose state machine stands at `last_applied` (zero: nothing was ever applied). The wall
    /// clock's `hint` counts only until the first entry is applied.
    #[must_use]
    pub fn new(last_applied: ClusterTime, now: BootTime, hint: ClusterTime) -> Self {
        let mut clock = ClusterClock { applied: None, hint: Anchor { time: hint, boot: now } };
        clock.applied(last_applied, now);
        clock
    }

    /// An entry of this time was applied. Times that this clock has already passed change nothing: entries arrive
    /// late, so that the one that came with the least delay tells the time best.
    pub fn applied(&mut self, time: ClusterTime, now: BootTime) {
        let ahead = self.applied.is_some_and(|anchor| anchor.at(now) >= time);
        if time > ClusterTime(0) && !ahead {
            self.applied = Some(Anchor { time, boot: now });
        }
    }

    /// The time to put into a command proposed now. Never below the last applied time; never running backwards
    /// between two entries.
    #[must_use]
    pub fn at(&self, now: BootTime) -> ClusterTime {
        self.applied.unwrap_or(self.hint).at(now)
    }
}
