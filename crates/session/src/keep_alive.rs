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
    fn a_keep_alive_of_zero_is_off() {
        let keep_alive = KeepAlive::new(0, BootTime(0));
        assert_eq!(keep_alive.deadline(), None);
        assert!(!keep_alive.is_over(BootTime(u64::MAX)));
    }
}
