//! What happened in a run, told line by line: hashed as a whole, so that two runs can be compared; its last part kept, so
//! that a failure can be read; all of it printed where that is wanted.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    hash::{DefaultHasher, Hasher},
};

/// Lines kept.
pub const LINES_KEPT: usize = 120;

/// The trace of one run.
#[derive(Debug)]
pub struct Trace {
    hasher: RefCell<DefaultHasher>,
    lines: RefCell<VecDeque<String>>,
    /// Printed as it comes.
    aloud: Cell<bool>,
}

impl Default for Trace {
    fn default() -> Self {
        Trace::new()
    }
}

impl Trace {
    /// An empty trace.
    #[must_use]
    pub fn new() -> Self {
        Trace {
            // Its keys are fixed, so the hash of a trace is the same in every run of one build.
            hasher: RefCell::new(DefaultHasher::new()),
            lines: RefCell::default(),
            aloud: Cell::new(false),
        }
    }

    /// Prints every line as it comes, too.
    pub fn aloud(&self) {
        self.aloud.set(true);
    }

    /// Adds a line, at a time in microseconds.
    pub fn line(&self, at_us: u64, text: &str) {
        {
            let mut hasher = self.hasher.borrow_mut();
            hasher.write_u64(at_us);
            hasher.write(text.as_bytes());
        }
        let line = format!("{:>4}.{:06} {text}", at_us / 1_000_000, at_us % 1_000_000);
        if self.aloud.get() {
            println!("{line}");
        }
        let mut lines = self.lines.borrow_mut();
        if lines.len() >= LINES_KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Adds a step of the scheduler, which is hashed and not kept.
    pub fn step(&self, at_us: u64, task: u64) {
        let mut hasher = self.hasher.borrow_mut();
        hasher.write_u64(at_us);
        hasher.write_u64(task);
    }

    /// The hash of everything so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hasher.borrow().clone().finish()
    }

    /// The lines kept.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().iter().cloned().collect()
    }
}
