//! What a publisher and its subscribers know of each other: how much was sent, delivered, acknowledged. What does not
//! belong here: bytes and sockets.

use crate::bench::latency::Latencies;
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Bytes at the beginning of each payload: when the message was due, and its publisher.
pub(super) const STAMP_BYTES: usize = 12;

/// One publisher's messages. Counts are only ever compared with each other, so that no order between them is needed.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) sent: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) acknowledged: AtomicU64,
    /// Something was delivered or acknowledged.
    pub(super) moved: Notify,
}

/// The whole measurement, shared by all tasks.
pub(super) struct Shared {
    pub(super) begin: Instant,
    pub(super) measured_from: Instant,
    /// Nothing is sent from here on.
    pub(super) end: Instant,
    pub(super) flows: Vec<Flow>,
    /// Deliveries that each message must make.
    pub(super) copies: u64,
    /// Messages of a publisher that may be neither delivered nor acknowledged.
    pub(super) window: u64,
    pub(super) qos: u8,
    pub(super) payload_bytes: usize,
    measured: Mutex<Measured>,
}

/// What was seen between `measured_from` and `end`.
pub(super) struct Measured {
    pub(super) latencies: Latencies,
    pub(super) deliveries: u64,
}

impl Shared {
    pub(super) fn new(
        (begin, measured_from, end): (Instant, Instant, Instant),
        publishers: usize,
        (copies, window): (u64, u64),
        (qos, payload_bytes): (u8, usize),
        latencies: Latencies,
    ) -> Shared {
        let flows = (0..publishers).map(|_| Flow::default()).collect();
        let measured = Mutex::new(Measured { latencies, deliveries: 0 });
        Shared { begin, measured_from, end, flows, copies, window, qos, payload_bytes, measured }
    }

    pub(super) fn measured(&self) -> MutexGuard<'_, Measured> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many messages this publisher may send now.
    pub(super) fn room(&self, flow: &Flow) -> u64 {
        let sent = flow.sent.load(Relaxed);
        let delivered = flow.delivered.load(Relaxed) / self.copies;
        let done = if self.qos > 0 { delivered.min(flow.acknowledged.load(Relaxed)) } else { delivered };
        (done + self.window).saturating_sub(sent)
    }

    /// Messages not yet delivered to all, and acknowledgements not yet there.
    pub(super) fn missing(&self) -> (u64, u64) {
        let of = |flow: &Flow| {
            let sent = flow.sent.load(Relaxed);
            let acknowledged = if self.qos > 0 { flow.acknowledged.load(Relaxed) } else { sent };
            ((sent * self.copies).saturating_sub(flow.delivered.load(Relaxed)), sent.saturating_sub(acknowledged))
        };
        self.flows.iter().map(of).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// The beginning of a payload.
    pub(super) fn stamp(&self, payload: &mut [u8], due: Instant, publisher: u32) {
        let nanoseconds = u64::try_from((due - self.begin).as_nanos()).unwrap_or(u64::MAX);
        payload[..8].copy_from_slice(&nanoseconds.to_be_bytes());
        payload[8..STAMP_BYTES].copy_from_slice(&publisher.to_be_bytes());
    }

    /// When a message was due, and its flow; `None` for a message of somebody else.
    pub(super) fn read(&self, payload: &[u8]) -> Option<(Instant, &Flow)> {
        let (due, rest) = payload.split_first_chunk()?;
        let publisher = u32::from_be_bytes(*rest.first_chunk()?);
        let due = self.begin.checked_add(Duration::from_nanos(u64::from_be_bytes(*due)))?;
        Some((due, self.flows.get(publisher as usize)?))
    }
}

#[cfg(test)]
mod tests {
    use super::Shared;
    use crate::bench::latency::Latencies;
    use std::{
        sync::atomic::Ordering::Relaxed,
        time::{Duration, Instant},
    };

    #[test]
    fn a_publisher_waits_for_every_copy_and_for_its_acknowledgement() {
        let now = Instant::now();
        let shared = Shared::new((now, now, now), 2, (3, 16), (1, 64), Latencies::new().unwrap());
        let flow = &shared.flows[1];
        assert_eq!(shared.room(flow), 16);
        flow.sent.store(16, Relaxed);
        flow.delivered.store(16 * 3 - 1, Relaxed);
        assert_eq!((shared.room(flow), shared.missing()), (0, (1, 16)));
        flow.acknowledged.store(4, Relaxed);
        assert_eq!((shared.room(flow), shared.missing()), (4, (1, 12)));
        let mut payload = [0; 64];
        let due = now + Duration::from_micros(5);
        shared.stamp(&mut payload, due, 1);
        assert!(shared.read(&payload).is_some_and(|(at, of)| at == due && std::ptr::eq(of, flow)));
        assert!(shared.read(&[9; 64]).is_none(), "of nobody");
        assert!(shared.read(&[0; 11]).is_none(), "too short");
    }
}
