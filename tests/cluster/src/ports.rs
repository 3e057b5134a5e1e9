//! Free ports on loopback, from below the range that the kernel hands to outgoing connections, so that a node finds its
//! port again after a restart.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 15_000;
const COUNT: u16 = 16_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port nobody listens on now, and which this process has not given out lately.
#[must_use]
pub fn free() -> u16 {
    // Two test processes at once start at different places.
    let start = u16::try_from(std::process::id() % 200).unwrap_or(0) * 80;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(step) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
