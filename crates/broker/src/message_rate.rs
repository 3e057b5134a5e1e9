//! How many messages one client may publish: so many a second, and as many at once.

use rollcall_types::BootTime;

/// Parts of a message that are counted, so that a millisecond at one message a second is a whole number of them.
const PARTS: u64 = 1000;

/// What one connection has used of its rate.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct MessageRate {
    /// Parts used and not yet won back.
    used: u64,
    at: BootTime,
}

impl MessageRate {
    /// Takes one message now, at `per_second`; 0 = off. Otherwise the seconds to wait, at least 1.
    pub(crate) fn take(&mut self, per_second: u32, now: BootTime) -> Result<(), u32> {
        if per_second == 0 {
            return Ok(());
        }
        // A part is won back `per_second` times in a millisecond.
        let rate = u64::from(per_second);
        self.used = self.used.saturating_sub(now.since(self.at).saturating_mul(rate));
        self.at = self.at.max(now);
        if self.used + PARTS > rate * PARTS {
            return Err(1);
        }
        self.used += PARTS;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rate: &mut MessageRate, per_second: u32, now: u64) -> usize {
        (0..100).filter(|_| rate.take(per_second, BootTime(now)).is_ok()).count()
    }

    #[test]
    fn as_many_pass_as_the_rate_has_won_back() {
        let mut rate = MessageRate::default();
        assert_eq!(taken(&mut rate, 10, 5_000), 10, "a second's worth at once");
        assert_eq!(taken(&mut rate, 10, 5_099), 0);
        assert_eq!(taken(&mut rate, 10, 5_100), 1);
        assert_eq!(taken(&mut rate, 10, 5_600), 5);
        assert_eq!(taken(&mut rate, 10, 60_000), 10, "no more is saved up");
        assert_eq!(rate.take(10, BootTime(60_000)), Err(1));
        assert_eq!(taken(&mut rate, 0, 60_000), 100, "0 = off");
    }

    #[test]
    fn one_a_second_is_one_a_second() {
        let mut rate = MessageRate::default();
        let all: usize = (0..10_000).map(|ms| usize::from(rate.take(1, BootTime(1_000 + ms)).is_ok())).sum();
        assert_eq!(all, 10);
    }
}
