//! Polls a future inside another tokio runtime's context, so that the timers and blocking tasks it starts are that
//! runtime's. Nothing is spawned: the future lives and is dropped where it is awaited.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::runtime::Handle;

/// See the module.
pub(crate) struct InRuntime<'a, F> {
    pub(crate) runtime: &'a Handle,
    pub(crate) future: Pin<&'a mut F>,
}

impl<F: Future> Future for InRuntime<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _inside = self.runtime.enter();
        self.future.as_mut().poll(context)
    }
}
