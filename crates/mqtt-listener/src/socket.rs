//! The bytes of one TCP socket, moved between the kernel and ntex's buffers by one task; and the last look at the lease.
//!
//! ntex's own stream would do, but for two things: bytes that wait in a buffer because the client is slow must not
//! reach it after the lease ran out, so the lease is looked at right before each write to the socket; and whoever
//! releases a claim must know that the socket is closed, so its end is signalled.

use ntex::io::{Handle, IoContext, IoStream, IoTaskStatus, Readiness};
use ntex::util::BytePages;
use rollcall_broker::Connection;
use rustix::net::{Shutdown, shutdown};
use std::{
    cell::{Cell, OnceCell, RefCell},
    future::poll_fn,
    io,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{net::TcpStream, sync::oneshot, time::timeout};

/// Bytes read from a socket at once.
const READ_BYTES: usize = 16 * 1024;

/// How long a socket whose sending side is closed goes on reading, so that what the client sends meanwhile does not
/// reset the connection and destroy the farewell on its way.
const LINGER: Duration = Duration::from_secs(1);

thread_local! {
    /// Where all sockets of a worker read to; idle ones cost nothing.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// What the connection's task and the socket's task share.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Set with the claim; before that no claim's lease matters.
    connection: OnceCell<Arc<Connection>>,
    /// The farewell is on its way: what the client sends is read and thrown away.
    closing: Cell<bool>,
    /// The socket goes on reading for a while after its sending side is closed.
    lingers: Cell<bool>,
}

impl Gate {
    /// From now on bytes pass only under the lease of this connection's incarnation.
    pub(crate) fn guard(&self, connection: Arc<Connection>) {
        // A socket holds one claim in its life; a second call cannot happen and would change nothing.
        drop(self.connection.set(connection));
    }

    pub(crate) fn connection(&self) -> Option<&Arc<Connection>> {
        self.connection.get()
    }

    pub(crate) fn close(&self) {
        self.closing.set(true);
    }

    /// The close is to be a gentle one, so that the farewell arrives.
    pub(crate) fn linger(&self) {
        self.lingers.set(true);
    }

    fn may_write(&self) -> bool {
        self.connection.get().is_none_or(|connection| connection.has_lease())
    }
}

/// A TCP socket as an ntex stream.
pub(crate) struct GatedTcp(Socket);

/// Resolves when nothing can be sent over the socket any more.
pub(crate) struct SocketClosed(oneshot::Receiver<()>);

struct Socket {
    tcp: TcpStream,
    gate: Rc<Gate>,
    /// Dropped, after the socket, when it is closed.
    closed: Cell<Option<oneshot::Sender<()>>>,
}

impl GatedTcp {
    pub(crate) fn new(tcp: TcpStream, gate: Rc<Gate>) -> (Self, SocketClosed) {
        let (closed, signal) = oneshot::channel();
        (GatedTcp(Socket { tcp, gate, closed: Cell::new(Some(closed)) }), SocketClosed(signal))
    }
}

impl SocketClosed {
    /// Waits until the socket is closed, at most `limit`. False when it is not.
    pub(crate) async fn wait(&mut self, limit: Duration) -> bool {
        timeout(limit, &mut self.0).await.is_ok()
    }
}

impl IoStream for GatedTcp {
    fn start(self, ctx: IoContext) -> Box<dyn Handle> {
        let socket = Rc::new(self.0);
        ntex::rt::spawn(move_bytes(socket.clone(), ctx)).detach();
        Box::new(DirectWrite(socket))
    }
}

/// Writes at once when the application filled the buffer, without waking the socket's task.
struct DirectWrite(Rc<Socket>);

impl Handle for DirectWrite {
    fn write(&self, ctx: &IoContext) {
        self.0.write(ctx);
    }
}

/// Why the socket's task ends.
enum Done {
    /// ntex says that everything is flushed and the stream shuts down.
    Shutdown,
    /// The stream is over, at once.
    Over,
}

async fn move_bytes(socket: Rc<Socket>, ctx: IoContext) {
    let mut reads = true;
    let done = poll_fn(|cx| {
        if reads && socket.poll_read(&ctx, cx).is_ready() {
            reads = false;
        }
        socket.poll_write(&ctx, cx)
    })
    .await;
    // ntex tells a stream that shuts down like one that is over (3.14: `poll_write_ready`), so the gate knows better.
    if matches!(done, Done::Shutdown) || socket.gate.lingers.get() {
        socket.write(&ctx);
        socket.close_sending();
        // Boxed, since it is the end of few and would make every idle socket larger.
        let _ = Box::pin(timeout(LINGER, socket.read_to_the_end(&ctx))).await;
    }
    ctx.stop(None);
}

impl Socket {
    /// Ready when nothing more will be read.
    fn poll_read(&self, ctx: &IoContext, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match std::task::ready!(ctx.poll_read_ready(cx)) {
                Readiness::Ready => {}
                Readiness::Shutdown | Readiness::Terminate => return Poll::Ready(()),
            }
            if let Err(error) = std::task::ready!(self.tcp.poll_read_ready(cx)) {
                ctx.stop(Some(error));
                return Poll::Ready(());
            }
            match self.read(ctx) {
                Ok(IoTaskStatus::Io) => {}
                Ok(IoTaskStatus::Pause) => {
                    // Ask again: it registers for the moment reading goes on.
                    if ctx.poll_read_ready(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Ok(IoTaskStatus::Stop) => return Poll::Ready(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    ctx.stop(Some(error));
                    return Poll::Ready(());
                }
            }
        }
    }

    /// Reads once. `WouldBlock` when there is nothing.
    fn read(&self, ctx: &IoContext) -> io::Result<IoTaskStatus> {
        SCRATCH.with_borrow_mut(|scratch| {
            let read = self.tcp.try_read(scratch)?;
            if read == 0 {
                ctx.stop(None);
                return Ok(IoTaskStatus::Stop);
            }
            if self.gate.closing.get() {
                return Ok(IoTaskStatus::Io);
            }
            let mut buf = ctx.get_read_buf();
            buf.extend_from_slice(&scratch[..read]);
            Ok(ctx.update_read_status(buf, Ok(read)))
        })
    }

    fn poll_write(&self, ctx: &IoContext, cx: &mut Context<'_>) -> Poll<Done> {
        loop {
            match std::task::ready!(ctx.poll_write_ready(cx)) {
                Readiness::Ready => {}
                Readiness::Shutdown => return Poll::Ready(Done::Shutdown),
                Readiness::Terminate => return Poll::Ready(Done::Over),
            }
            if let Err(error) = std::task::ready!(self.tcp.poll_write_ready(cx)) {
                ctx.stop(Some(error));
                return Poll::Ready(Done::Over);
            }
            if self.write(ctx) == IoTaskStatus::Stop {
                return Poll::Ready(Done::Over);
            }
        }
    }

    fn write(&self, ctx: &IoContext) -> IoTaskStatus {
        let written = ctx.with_write_buf(|pages| self.write_pages(pages));
        ctx.update_write_status(written)
    }

    /// Writes what the socket takes. True when it took anything.
    fn write_pages(&self, pages: &mut BytePages) -> io::Result<bool> {
        let mut written = false;
        while let Some(mut page) = pages.take() {
            if page.is_empty() {
                continue;
            }
            if !self.gate.may_write() {
                return Err(io::Error::other("the lease ran out"));
            }
            match self.tcp.try_write(page.as_ref()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    written = true;
                    page.advance_to(bytes);
                    pages.prepend(page);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    pages.prepend(page);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    fn close_sending(&self) {
        // An error means that the socket is closed already.
        let _ = shutdown(&self.tcp, Shutdown::Write);
        drop(self.closed.take());
    }

    async fn read_to_the_end(&self, ctx: &IoContext) {
        self.gate.close();
        // Whether or not the connection's task is over and its stream with it.
        while self.tcp.readable().await.is_ok() {
            match self.read(ctx) {
                Ok(IoTaskStatus::Stop) => return,
                Ok(IoTaskStatus::Io | IoTaskStatus::Pause) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}
