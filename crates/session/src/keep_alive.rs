//! The keep-alive of one connection (MQTT 5.0, 3.1.2.10).

use rollcall_types::BootTime;

/// Closes a connection that sent no packet for one and a half times its keep-alive (MQTT-3.1.2-22).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepAlive {
    keep_alive_s: u16,
    last_packet: BootTime,
}

impl KeepAlive {
    /// Starts now; 0 seconds switch it off.
    #[must_use]
    pub fn new(keep_alive_s: u16, now: BootTime) -> Self {
        KeepAlive { keep_alive_s, last_packet: now }
    }

    /// A packet arrived.
    pub fn packet_arrived(&mut self, now: BootTime) {
        self.last_packet = now;
    }

    /// Other seconds from now on, never 0. A connection that lives now is not cut off by it: one with a shorter
    /// keep-alive has one and a half times that from now, but no longer than it had before.
    pub fn change(&mut self, keep_alive_s: u16, now: BootTime) {
        if let Some(before) = self.deadline()
            && keep_alive_s < self.keep_alive_s
        {
            let until = before.min(now.plus_ms(u64::from(keep_alive_s) * 1500));
            self.last_packet = BootTime(until.0.saturating_sub(u64::from(keep_alive_s) * 1500));
        }
        self.keep_alive_s = keep_alive_s;
    }

    /// When the connection is to be closed unless a packet arrives; `None` when off.
    #[must_use]
    pub fn deadline(&self) -> Option<BootTime> {
        (self.keep_alive_s > 0).then(|| self.last_packet.plus_ms(u64::from(self.keep_alive_s) * 1500))
    }

    /// The deadline has come.
    #[must_use]
    pub fn is_over(&self, now: BootTime) -> bool {
        self.deadline().is_some_and(|deadline| now >= deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keep_alive_ends_after_one_and_a_half_times_its_seconds() {
        let mut keep_alive = KeepAlive::new(5, BootTime(1000));
        assert_eq!(keep_alive.deadline(), Some(BootTime(8500)));
        assert!(!keep_alive.is_over(BootTime(8499)));
        assert!(keep_alive.is_over(BootTime(8500)));
        keep_alive.packet_arrived(BootTime(8000));
        assert!(!keep_alive.is_over(BootTime(15_499)));
        assert!(keep_alive.is_over(BootTime(15_500)));
    }

    #[test]
    fn a_longer_keep_alive_counts_from_the_last_packet() {
        let mut keep_alive = KeepAlive::new(30, BootTime(1000));
        keep_alive.change(60, BootTime(20_000));
        assert_eq!(keep_alive.deadline(), Some(BootTime(91_000)));
    }

    #[test]
    fn a_shorter_keep_alive_leaves_time_for_a_packet_but_none_beyond_the_old_one() {
        let mut keep_alive = KeepAlive::new(1200, BootTime(1000));
        keep_alive.change(30, BootTime(501_000));
        assert_eq!(keep_alive.deadline(), Some(BootTime(546_000)), "45 s from the change");
        keep_alive.packet_arrived(BootTime(510_000));
        assert_eq!(keep_alive.deadline(), Some(BootTime(555_000)), "and 45 s from each packet");
        let mut keep_alive = KeepAlive::new(1200, BootTime(1000));
        keep_alive.change(600, BootTime(1_800_000));
        assert_eq!(keep_alive.deadline(), Some(BootTime(1_801_000)), "as long as it had");
        let mut keep_alive = KeepAlive::new(60, BootTime(1000));
        keep_alive.change(30, BootTime(1000));
        assert_eq!(keep_alive.deadline(), Some(BootTime(46_000)));
    }

    #[test]
    fn a_keep_alive_of_zero_is_off() {
        let keep_alive = KeepAlive::new(0, BootTime(0));
        assert_eq!(keep_alive.deadline(), None);
        assert!(!keep_alive.is_over(BootTime(u64::MAX)));
    }
}
