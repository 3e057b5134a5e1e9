//! Bytes read as a row of decisions, for targets whose input is a sequence of steps. When the bytes run out, the row
//! is over.

/// What is left of the input.
#[derive(Clone, Debug)]
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// All decisions of an input.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Choices(input)
    }

    /// The next byte; `None` at the end.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number below `end`, which is at least 1; `None` at the end.
    pub fn below(&mut self, end: u8) -> Option<u8> {
        self.byte().map(|byte| byte % end.max(1))
    }

    /// Bytes that say their own number, below `end`; `None` at the end.
    pub fn piece(&mut self, end: u8) -> Option<&'a [u8]> {
        let len = usize::from(self.below(end)?).min(self.0.len());
        let (piece, rest) = self.0.split_at(len);
        self.0 = rest;
        Some(piece)
    }

    /// Everything that is left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }
}
