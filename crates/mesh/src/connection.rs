//! One accepted connection: whether its other end has proved itself, and the socket that closes when it does not.

use crate::{limits::HANDSHAKE_DEADLINE, secret::NONCE_BYTES};
use parking_lot::Mutex;
use rollcall_types::NodeId;
use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::Sleep,
};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::task_tracker::TaskTrackerToken,
};
use tonic::transport::server::Connected;

/// How far a connection has come. It never goes back: a connection says hello once.
enum Stage {
    Fresh,
    Challenged([u8; NONCE_BYTES]),
    Accepted(Caller),
    Refused,
}

/// The other end, as proved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Caller {
    /// It asked for the hello only.
    Asker,
    /// A node that named this one as its target.
    Peer(NodeId),
}

/// What is known of one accepted connection; every request on it sees the same one.
pub(crate) struct Session {
    stage: Mutex<Stage>,
    accepted: AtomicBool,
}

impl Session {
    fn new() -> Self {
        Session { stage: Mutex::new(Stage::Fresh), accepted: AtomicBool::new(false) }
    }

    /// Notes the challenge given. `false` when this connection has had one.
    pub(crate) fn challenge(&self, nonce: [u8; NONCE_BYTES]) -> bool {
        let mut stage = self.stage.lock();
        let fresh = matches!(*stage, Stage::Fresh);
        if fresh {
            *stage = Stage::Challenged(nonce);
        }
        fresh
    }

    /// Takes the challenge that is to be answered; what follows is acceptance or nothing.
    pub(crate) fn take_challenge(&self) -> Option<[u8; NONCE_BYTES]> {
        let mut stage = self.stage.lock();
        match *stage {
            Stage::Challenged(nonce) => {
                *stage = Stage::Refused;
                Some(nonce)
            }
            Stage::Fresh | Stage::Accepted(_) | Stage::Refused => None,
        }
    }

    /// The other end has proved itself.
    pub(crate) fn accept(&self, caller: Caller) {
        *self.stage.lock() = Stage::Accepted(caller);
        self.accepted.store(true, Ordering::Release);
    }

    /// Who the other end is, once proved.
    pub(crate) fn caller(&self) -> Option<Caller> {
        match *self.stage.lock() {
            Stage::Accepted(caller) => Some(caller),
            Stage::Fresh | Stage::Challenged(_) | Stage::Refused => None,
        }
    }

    fn is_accepted(&self) -> bool {
        self.accepted.load(Ordering::Acquire)
    }
}

/// The socket of an accepted connection. Reading fails once the mesh has ended, or when the other end has not proved
/// itself in time.
pub(crate) struct AcceptedStream {
    io: TcpStream,
    session: Arc<Session>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    expiry: Pin<Box<Sleep>>,
    _room: OwnedSemaphorePermit,
    _tracked: TaskTrackerToken,
}

impl AcceptedStream {
    pub(crate) fn new(
        io: TcpStream,
        ended: CancellationToken,
        room: OwnedSemaphorePermit,
        tracked: TaskTrackerToken,
    ) -> Self {
        AcceptedStream {
            io,
            session: Arc::new(Session::new()),
            ended: Box::pin(ended.cancelled_owned()),
            expiry: Box::pin(tokio::time::sleep(HANDSHAKE_DEADLINE)),
            _room: room,
            _tracked: tracked,
        }
    }
}

impl Connected for AcceptedStream {
    type ConnectInfo = Arc<Session>;

    fn connect_info(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }
}

impl AsyncRead for AcceptedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "this node's mesh has ended")));
        }
        if !this.session.is_accepted() && this.expiry.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer did not prove itself in time")));
        }
        Pin::new(&mut this.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for AcceptedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_answers_one_challenge_once() {
        let session = Session::new();
        assert_eq!(session.take_challenge(), None);
        assert!(session.challenge([1; NONCE_BYTES]));
        assert!(!session.challenge([2; NONCE_BYTES]));
        assert_eq!(session.take_challenge(), Some([1; NONCE_BYTES]));
        assert_eq!(session.take_challenge(), None);
        assert_eq!(session.caller(), None);
        assert!(!session.challenge([3; NONCE_BYTES]), "a refused connection gets no second try");
        session.accept(Caller::Peer(NodeId(7)));
        assert_eq!(session.caller(), Some(Caller::Peer(NodeId(7))));
        assert!(session.is_accepted());
    }
}
