//! The store of retained messages as the management API holds it from the first moment on: refusing until the groups run.

use async_trait::async_trait;
use rollcall_contracts::{RetainError, RetainedPage, RetainedPlace, RetainedReadError, RetainedStore};
use rollcall_types::Message;
use std::sync::{Arc, OnceLock};

/// [`RetainedStore`] of this node; empty until [`Self::set`].
#[derive(Default)]
pub(crate) struct LateRetained(OnceLock<Arc<dyn RetainedStore>>);

impl LateRetained {
    /// The groups run from now on.
    pub(crate) fn set(&self, store: Arc<dyn RetainedStore>) {
        let _ = self.0.set(store);
    }
}

#[async_trait]
impl RetainedStore for LateRetained {
    async fn keep(&self, message: Arc<Message>) -> Result<(), RetainError> {
        self.0.get().ok_or(RetainError::NotServing)?.keep(message).await
    }

    fn keep_soon(&self, message: Arc<Message>) -> Result<(), RetainError> {
        self.0.get().ok_or(RetainError::NotServing)?.keep_soon(message)
    }

    async fn matching(&self, filter: &str, from: RetainedPlace) -> Result<RetainedPage, RetainedReadError> {
        self.0.get().ok_or(RetainedReadError::NoQuorum)?.matching(filter, from).await
    }
}
