//! Time and chance as a simulation gives them to the thread that it runs on. Feature `simulation`, for tests alone.
//!
//! The feature adds and never replaces: on any other thread, and in any program that has no simulation, time and chance
//! are those of the machine, so that a workspace built as a whole holds the same server as one built alone.

use std::cell::Cell;

thread_local! {
    static NOW_MS: Cell<Option<u64>> = const { Cell::new(None) };
    static CHANCE: Cell<u64> = const { Cell::new(0) };
}

/// From now on this thread is a simulation, and its clock stands here.
pub fn set_now_ms(now: u64) {
    NOW_MS.set(Some(now));
}

/// Milliseconds of the simulated clock; `None` on a thread that simulates nothing.
#[must_use]
pub fn now_ms() -> Option<u64> {
    NOW_MS.get()
}

/// Puts another state of chance in place and gives back the one before: each simulated node has its own, so that what
/// one node draws moves no other.
pub fn swap_chance(state: u64) -> u64 {
    CHANCE.replace(state)
}

/// The next number of this thread's chance; `None` on a thread that simulates nothing.
#[must_use]
pub fn draw() -> Option<u64> {
    now_ms()?;
    // SplitMix64: a counter, and a mixer of its bits.
    let state = CHANCE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    CHANCE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Some(mixed ^ (mixed >> 31))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_without_a_simulation_has_neither_its_time_nor_its_chance() {
        set_now_ms(7);
        let before = swap_chance(1);
        let first = draw();
        assert!(first.is_some());
        swap_chance(1);
        assert_eq!(draw(), first, "the same state draws the same");
        assert_ne!(draw(), first);
        swap_chance(before);
        let other = std::thread::spawn(|| (now_ms(), draw())).join();
        assert_eq!(other.ok(), Some((None, None)));
    }
}
