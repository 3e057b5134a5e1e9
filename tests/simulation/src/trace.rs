//! What happened, as lines: hashed all, kept the last ones, so that two runs of a seed can be compared and a failure read.

use std::collections::VecDeque;

/// Lines kept for a failure, unless all are wanted.
const KEPT: usize = 120;

/// The lines of one run.
#[derive(Default)]
pub(crate) struct Trace {
    hash: u64,
    kept: VecDeque<String>,
    whole: bool,
}

impl Trace {
    pub(crate) fn new(whole: bool) -> Self {
        Trace { hash: 0xcbf2_9ce4_8422_2325, kept: VecDeque::new(), whole }
    }

    pub(crate) fn line(&mut self, now: u64, text: &str) {
        let line = format!("{now:>6} {text}");
        // FNV-1a: two runs are compared, nothing else rests on it.
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if !self.whole && self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(line);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn lines(self) -> Vec<String> {
        self.kept.into()
    }
}
