//! The texts of topic levels, each kept once and counted.

use crate::id_table::{IdTable, NONE};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Numbers for texts. A seed that clients do not know keeps them from making it slow; nothing seen outside depends on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels {
    known: Vec<Level>,
    free: Vec<u32>,
    index: IdTable,
    seed: u64,
}

#[derive(Clone, Debug)]
struct Level {
    text: Box<str>,
    uses: u32,
}

impl Levels {
    pub(crate) fn new(seed: u64) -> Self {
        Levels { seed, ..Levels::default() }
    }

    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        self.index.find(xxh3_64_with_seed(text.as_bytes(), self.seed), |id| *self.known[id as usize].text == *text)
    }

    pub(crate) fn text(&self, id: u32) -> &str {
        &self.known[id as usize].text
    }

    /// One use more.
    pub(crate) fn acquire(&mut self, text: &str) -> u32 {
        if let Some(id) = self.find(text) {
            self.known[id as usize].uses += 1;
            return id;
        }
        let level = Level { text: text.into(), uses: 1 };
        let id = match self.free.pop() {
            Some(id) => {
                self.known[id as usize] = level;
                id
            }
            None => {
                self.known.push(level);
                u32::try_from(self.known.len() - 1).unwrap_or(NONE)
            }
        };
        let (known, seed) = (&self.known, self.seed);
        self.index.insert(id, |id| xxh3_64_with_seed(known[id as usize].text.as_bytes(), seed));
        id
    }

    /// One use less; the last one frees it.
    pub(crate) fn release(&mut self, id: u32) {
        let level = &mut self.known[id as usize];
        level.uses -= 1;
        if level.uses == 0 {
            let (known, seed) = (&self.known, self.seed);
            self.index.remove(id, |id| xxh3_64_with_seed(known[id as usize].text.as_bytes(), seed));
            self.known[id as usize].text = Box::default();
            self.free.push(id);
        }
    }
}
