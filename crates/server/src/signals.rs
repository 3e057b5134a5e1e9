//! What asks a running node to stop: SIGTERM, SIGINT, or the end of standard input where a parent holds the other end.

use std::{io, os::fd::AsFd};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    signal::unix::{Signal, SignalKind, signal},
};

/// Listens from the moment it is made, so that nothing between two waits is missed.
pub(crate) struct StopRequests {
    terminate: Signal,
    interrupt: Signal,
    parent: Option<pipe::Receiver>,
}

impl StopRequests {
    /// `with_stdin`: the end of standard input, which must be a pipe, counts too. A child started this way ends with
    /// its parent, however the parent ends.
    pub(crate) fn listen(with_stdin: bool) -> io::Result<StopRequests> {
        let parent = match with_stdin {
            true => Some(pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?),
            false => None,
        };
        Ok(StopRequests {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            parent,
        })
    }

    /// Waits for the next request and names it.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = end_of(&mut self.parent) => "end of standard input",
        }
    }
}

/// Waits for the end of the pipe, once; without one, for ever.
async fn end_of(parent: &mut Option<pipe::Receiver>) {
    let Some(pipe) = parent else { return std::future::pending().await };
    let mut ignored = [0_u8; 64];
    while let Ok(1..) = pipe.read(&mut ignored).await {}
    *parent = None;
}
