//! How many may do something costly at once, or how much they may hold. Who finds no seat is refused; nobody queues.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Seats of all workers together.
#[derive(Clone)]
pub(crate) struct Seats {
    taken: Arc<AtomicUsize>,
    seats: usize,
}

/// A seat, or several; free again when dropped.
pub(crate) struct Seat {
    of: Arc<AtomicUsize>,
    count: usize,
}

impl Seats {
    pub(crate) fn new(seats: usize) -> Seats {
        Seats { taken: Arc::default(), seats }
    }

    pub(crate) fn take(&self) -> Option<Seat> {
        self.take_many(1)
    }

    /// So many seats, or none at all.
    pub(crate) fn take_many(&self, count: usize) -> Option<Seat> {
        let more = |taken: usize| taken.checked_add(count).filter(|taken| *taken <= self.seats);
        self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Seat { of: Arc::clone(&self.taken), count })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.of.fetch_sub(self.count, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_seats_and_one_left_is_free_again() {
        let seats = Seats::new(2);
        let (first, second) = (seats.take(), seats.take());
        assert!(first.is_some() && second.is_some() && seats.clone().take().is_none());
        drop(first);
        assert!(seats.take().is_some());
    }

    #[test]
    fn several_seats_are_taken_together_or_not_at_all() {
        let seats = Seats::new(5);
        let three = seats.take_many(3);
        assert!(three.is_some() && seats.take_many(3).is_none() && seats.take_many(usize::MAX).is_none());
        assert!(seats.take_many(2).is_some(), "what did not fit took nothing");
        drop(three);
        assert!(seats.take_many(5).is_some());
    }
}
