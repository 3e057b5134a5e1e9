//! Why the program ends with exit code 1, in sentences for whoever called it.

use std::{fmt, io};

/// Sentences for standard error; none when there is nobody left to read them.
#[derive(Debug)]
pub(crate) struct Failure(Vec<String>);

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Failure {
        Failure(vec![sentence.into()])
    }

    pub(crate) fn of(sentences: Vec<String>) -> Failure {
        Failure(sentences)
    }

    /// What happened, and to what.
    pub(crate) fn io(what: impl fmt::Display, error: &io::Error) -> Failure {
        Failure::new(format!("{what}: {error}"))
    }

    pub(crate) fn sentences(&self) -> &[String] {
        &self.0
    }
}
