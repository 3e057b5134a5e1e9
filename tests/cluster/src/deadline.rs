//! Waiting: for a condition, with a deadline, and a sentence when it passes.

use std::time::{Duration, Instant};

/// How long to wait between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until the answer is there, and gives it with the time that took. Panics with the last reason when the limit
/// passes.
pub fn timed<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> (T, Duration) {
    let began = Instant::now();
    loop {
        match look() {
            Ok(answer) => return (answer, began.elapsed()),
            Err(reason) => assert!(began.elapsed() < limit, "{what}: not within {limit:?}: {reason}"),
        }
        pause();
    }
}

/// Looks until the answer is there. Panics with the last reason when the limit passes.
pub fn until<T>(what: &str, limit: Duration, look: impl FnMut() -> Result<T, String>) -> T {
    timed(what, limit, look).0
}

/// Looks again and again for the whole time; panics at the first look that finds the condition broken.
pub fn holds(what: &str, time: Duration, mut look: impl FnMut() -> Result<(), String>) {
    let began = Instant::now();
    while began.elapsed() < time {
        if let Err(reason) = look() {
            panic!("{what}: broken after {:?}: {reason}", began.elapsed());
        }
        pause();
    }
}

/// Takes a breath between two looks.
#[expect(clippy::disallowed_methods, reason = "the one place that sleeps: between two looks at a condition")]
pub fn pause() {
    std::thread::sleep(LOOK_EVERY);
}
