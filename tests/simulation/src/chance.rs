//! All chance of a run, from one seed. Nothing else in this crate may decide anything at random.

use std::cell::RefCell;

/// The one source of chance.
#[derive(Debug)]
pub struct Chance(RefCell<fastrand::Rng>);

impl Chance {
    /// Chance of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Chance(RefCell::new(fastrand::Rng::with_seed(seed)))
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        self.0.borrow_mut().u64(low..=high.max(low))
    }

    /// A place in a list of `length` elements, which is not empty.
    pub fn below(&self, length: usize) -> usize {
        self.0.borrow_mut().usize(0..length.max(1))
    }

    /// True in so many of a thousand cases.
    pub fn per_mille(&self, cases: u64) -> bool {
        self.between(0, 999) < cases
    }

    /// One of a list; `None` of an empty one.
    pub fn one_of<'a, T>(&self, list: &'a [T]) -> Option<&'a T> {
        if list.is_empty() { None } else { list.get(self.below(list.len())) }
    }

    /// The list in another order.
    pub fn shuffle<T>(&self, list: &mut [T]) {
        self.0.borrow_mut().shuffle(list);
    }
}
