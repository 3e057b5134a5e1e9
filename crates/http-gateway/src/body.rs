//! The body of a response: whole, or a stream of events that is made as the socket takes it.

use crate::event_stream::EventStream;
use actix_http::body::{BodySize, MessageBody};
use bytes::Bytes;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// See the module.
pub(crate) enum Body {
    Whole(Bytes),
    Events(Box<EventStream>),
}

impl MessageBody for Body {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        match self {
            Body::Whole(bytes) => bytes.size(),
            Body::Events(_) => BodySize::Stream,
        }
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        match self.get_mut() {
            Body::Whole(bytes) => Pin::new(bytes).poll_next(context),
            Body::Events(events) => events.poll_chunk(context).map(|chunk| chunk.map(Ok)),
        }
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        match self {
            Body::Whole(bytes) => Ok(bytes),
            Body::Events(_) => Err(self),
        }
    }
}
