//! Whether the store may still be trusted. Once it failed it stays failed: after an error of the disk nobody knows what
//! it holds, and a second attempt at a failed sync may report success without having written anything.

use crate::metrics::Metrics;
use std::{
    io,
    sync::{Arc, OnceLock},
};

/// The first failure, if there was one.
pub(crate) struct Health {
    reason: OnceLock<String>,
    metrics: Arc<Metrics>,
}

impl Health {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Health { reason: OnceLock::new(), metrics }
    }

    /// Marks the store as failed. Only the first reason counts.
    pub(crate) fn fail(&self, reason: String) {
        if self.reason.set(reason).is_ok() {
            self.metrics.failures.increment(1);
            tracing::error!(reason = self.reason().unwrap_or_default(), "the store failed and stops serving");
        }
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// The error every call gets once the store failed.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.reason() {
            None => Ok(()),
            Some(reason) => Err(io::Error::other(format!("the store failed before: {reason}"))),
        }
    }
}
