//! How many may do something costly at once. Who finds no seat is refused; nobody queues.

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

/// A seat; free again when dropped.
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Seats {
    pub(crate) fn new(seats: usize) -> Seats {
        Seats { taken: Arc::default(), seats }
    }

    pub(crate) fn take(&self) -> Option<Seat> {
        let seats = self.seats;
        let more = |taken: usize| (taken < seats).then_some(taken + 1);
        self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Seat(Arc::clone(&self.taken)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
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
}
