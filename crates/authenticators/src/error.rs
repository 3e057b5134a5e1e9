//! Why an authenticator cannot be set up.

/// What is wrong, and what to set instead.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(pub(crate) String);

impl SetupError {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        SetupError(sentence.into())
    }
}
