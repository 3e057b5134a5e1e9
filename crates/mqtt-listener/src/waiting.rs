//! What an open connection waits for, and in which order it looks: orders to end, packets for the client, those of the
//! client, the clock. What follows from it is `connection.rs`.

use crate::{authentication::poll_answer, connection::Engine, first::Done};
use ntex::{
    io::{IoBoxed, IoStatusUpdate, RecvError},
    util::Either,
};
use rollcall_broker::ToConnection;
use rollcall_session::{Event, Outgoing};
use std::{
    future::{Future, poll_fn},
    task::{Context, Poll},
};

/// Bytes that may wait to be written while packets of the client are still answered. Beyond the high mark of ntex's
/// buffer no message is taken for the client, and beyond this nothing is read from it: a client that sends without
/// reading cannot make its answers pile up, and one that reads slowly still gets its pings through.
const ANSWERS_WAITING_BYTES: usize = 64 * 1024;

/// Packets of the session sent before the client's own packets, and other connections of the thread, have their turn.
const SENT_IN_A_ROW: u8 = 64;

/// What an open connection waits for.
enum Happened {
    Event(Event),
    /// The session has a packet for the client.
    Send(Outgoing),
    /// An acknowledgement that waited for the client's own messages may go.
    Acknowledge(Outgoing),
    /// A slowed client may try again.
    Retry,
    /// What had to come first is done.
    First(Done),
    /// The write buffer has room again.
    Flushed,
}

impl Engine {
    /// What happens next to a connection that was let in.
    pub(crate) async fn next_event(&mut self) -> Event {
        loop {
            self.rearm();
            match poll_fn(|cx| self.poll_happened(cx)).await {
                Happened::Event(event) => return event,
                Happened::Send(outgoing) => {
                    if let Some(event) = self.send(&outgoing) {
                        return event;
                    }
                }
                Happened::Acknowledge(outgoing) => {
                    if let Some(event) = self.send_now(&outgoing) {
                        return event;
                    }
                }
                Happened::Retry => {
                    if let Some(event) = self.retry() {
                        return event;
                    }
                }
                Happened::First(done) => {
                    if let Some(event) = self.first_is_done(done) {
                        return event;
                    }
                }
                Happened::Flushed => {}
            }
        }
    }

    /// What happens next to one that was not let in yet.
    pub(crate) async fn before_connack(&mut self) -> Event {
        self.rearm();
        let authentication = &mut self.authentication;
        tokio::select! {
            biased;
            () = self.closing.closing() => Event::Order(self.closing_order()),
            received = self.outbound.io.recv(&self.outbound.wire) => match received {
                Ok(Some(packet)) => Event::Packet(packet),
                Ok(None) | Err(Either::Right(_)) => Event::PeerGone,
                Err(Either::Left(fault)) => Event::Undecodable(fault),
            },
            answer = poll_fn(|cx| poll_answer(authentication, false, cx)) => answer,
            () = self.timer.passed() => Event::Tick,
        }
    }

    /// Orders first, then the client's packets, the clock last: a packet that is there counts before a deadline.
    fn poll_happened(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        let io = &self.outbound.io;
        let others_turn = self.sent_in_a_row >= SENT_IN_A_ROW;
        if let Some(connection) = self.outbound.connection()
            && let Poll::Ready(next) = connection.poll_next(cx, !others_turn && !io.is_wr_backpressure())
        {
            return Poll::Ready(match next {
                ToConnection::End(order) => Happened::Event(Event::Order(order)),
                ToConnection::KeepAlive(keep_alive_s) => Happened::Event(Event::KeepAlive(keep_alive_s)),
                ToConnection::Send(outgoing) => {
                    self.sent_in_a_row += 1;
                    Happened::Send(outgoing)
                }
            });
        }
        self.sent_in_a_row = 0;
        let happened = self.poll_client(cx);
        if others_turn && happened.is_pending() {
            // There may be more to send: come back after the others.
            cx.waker().wake_by_ref();
        }
        happened
    }

    /// What concerns the client's own packets, and the clock.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        if !self.acknowledgements.is_empty()
            && !self.outbound.connection().is_some_and(|connection| connection.holds_back())
            && let Some(outgoing) = self.acknowledgements.pop()
        {
            return Poll::Ready(Happened::Acknowledge(outgoing));
        }
        let io = &self.outbound.io;
        if let Poll::Ready((receipt, verdict)) = self.verdicts.poll_next(cx) {
            return Poll::Ready(Happened::Event(Event::Published { receipt, verdict }));
        }
        if let Poll::Ready(answer) = poll_answer(&mut self.authentication, true, cx) {
            return Poll::Ready(Happened::Event(answer));
        }
        if let Some(first) = &mut self.first {
            if let Poll::Ready(done) = first.poll(cx) {
                return Poll::Ready(Happened::First(done));
            }
            return poll_gone(io, cx).map(|()| Happened::Event(Event::PeerGone));
        }
        if let Some(slowed) = &mut self.slowed {
            if slowed.until.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Happened::Retry);
            }
            return poll_gone(io, cx).map(|()| Happened::Event(Event::PeerGone));
        }
        if self.verdicts.are_too_many() || self.acknowledgements.are_too_many() {
            return poll_gone(io, cx).map(|()| Happened::Event(Event::PeerGone));
        }
        if let Poll::Ready(happened) = self.poll_read(cx) {
            return Poll::Ready(happened);
        }
        self.timer.poll_passed(cx).map(|()| Happened::Event(Event::Tick))
    }

    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Happened> {
        let io = &self.outbound.io;
        if io.is_wr_backpressure() && self.outbound.waiting_bytes() > ANSWERS_WAITING_BYTES {
            return self.poll_flush(cx);
        }
        loop {
            let event = match std::task::ready!(io.poll_recv(&self.outbound.wire, cx)) {
                Ok(packet) => Event::Packet(packet),
                Err(RecvError::Decoder(fault)) => Event::Undecodable(fault),
                Err(RecvError::PeerGone(_)) => Event::PeerGone,
                // ntex's own keep-alive is not used.
                Err(RecvError::KeepAlive) => continue,
                Err(RecvError::WriteBackpressure) => return self.poll_flush(cx),
            };
            return Poll::Ready(Happened::Event(event));
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Happened> {
        self.outbound.io.poll_flush(cx, false).map(|flushed| match flushed {
            Ok(()) => Happened::Flushed,
            Err(_) => Happened::Event(Event::PeerGone),
        })
    }
}

/// Ready when the client is gone; nothing is read from it.
pub(crate) fn poll_gone(io: &IoBoxed, cx: &mut Context<'_>) -> Poll<()> {
    match io.poll_status_update(cx) {
        Poll::Ready(IoStatusUpdate::PeerGone(_)) => Poll::Ready(()),
        Poll::Ready(IoStatusUpdate::KeepAlive | IoStatusUpdate::WriteBackpressure) | Poll::Pending => Poll::Pending,
    }
}
