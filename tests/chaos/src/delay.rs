//! Holds packets back, each for a time of its own, so that they also overtake each other. The kernel hands the packets
//! over one by one, in the network namespace in which this process runs. What does not belong here: which packets.

use nfq::{Message, Queue, Verdict};
use rand::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// The queue that the rules of `packets` fill.
pub const QUEUE: u16 = 0;
/// Packets held back at once; the kernel drops what comes beyond.
const HELD_MOST: u32 = 16_384;
/// How exact the delays are.
const STEP: Duration = Duration::from_millis(1);

struct Held {
    due: Instant,
    number: u64,
    packet: Message,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

/// Holds each packet back for `mean_ms` more or less `jitter_ms`, until the process is ended.
///
/// # Errors
/// What the kernel says about the queue.
#[allow(clippy::disallowed_methods, reason = "the passing of time is the fault itself")]
pub fn hold_back(mean_ms: u64, jitter_ms: u64) -> std::io::Result<()> {
    let mut queue = Queue::open()?;
    queue.bind(QUEUE)?;
    queue.set_queue_max_len(QUEUE, HELD_MOST)?;
    queue.set_nonblocking(true);
    let mut random = rand::rng();
    let mut held = BinaryHeap::new();
    for number in 0.. {
        match queue.recv() {
            Ok(packet) => {
                let delay_ms = random.random_range(mean_ms.saturating_sub(jitter_ms)..=mean_ms + jitter_ms);
                held.push(Reverse(Held { due: Instant::now() + Duration::from_millis(delay_ms), number, packet }));
                continue;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        while held.peek().is_some_and(|Reverse(first)| first.due <= Instant::now()) {
            if let Some(Reverse(Held { mut packet, .. })) = held.pop() {
                packet.set_verdict(Verdict::Accept);
                queue.verdict(packet)?;
            }
        }
        std::thread::sleep(STEP);
    }
    Ok(())
}
