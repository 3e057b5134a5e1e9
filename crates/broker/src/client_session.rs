//! One session of this node, as its connection, the subscription table and the registry share it.
//!
//! At most one connection holds it at a time. A later one takes it over in one step, with all that waits and is under
//! way; from then on what the earlier one does no longer touches it. While nobody holds it, it goes on taking messages
//! until its expiry.
//!
//! The lock is held for a few steps of the pure session and nothing else; no other lock is taken under it.

use crate::{
    held_back::HeldBack,
    pressure::{Asked, Pressed, Spell},
};
use parking_lot::Mutex;
use rollcall_contracts::{Account, EVENTS_ROOT};
use rollcall_session::{Delivery, Filled, LinkTerms, Offered, Outgoing, QueueLimits, Session, SessionState};
use rollcall_types::{BootTime, ClientId, Epoch};
use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// A session that lives on this node.
pub(crate) struct ClientSession {
    pub(crate) number: u64,
    pub(crate) client_id: ClientId,
    /// Whose it is: another account never gets it (B-158).
    pub(crate) username: Arc<str>,
    /// Locked while the session goes from its connection to the store or back, so that it is in one of the two.
    pub(crate) place: Mutex<()>,
    held: AtomicBool,
    inner: Mutex<Inner>,
    /// Of the last connection that held it.
    identity: Mutex<Option<SessionIdentity>>,
}

/// Who a session was last served to: what it may be sent while it has no connection is asked for them.
#[derive(Clone)]
pub(crate) struct SessionIdentity {
    pub(crate) account: Arc<Account>,
    pub(crate) source: IpAddr,
}

#[derive(Default)]
struct Inner {
    session: Session,
    /// Number of the connection that holds it.
    holder: Option<u64>,
    /// Epoch of the last claim it was served under.
    epoch: Epoch,
    kept_until: Option<BootTime>,
    waker: Option<Waker>,
    over: bool,
    held_back: Option<Box<HeldBack>>,
    /// Since a message found the session pressed, until it is eased.
    pressed: Option<Arc<Spell>>,
}

impl Inner {
    /// The client was sent a message. The spell that ends with it.
    fn took(&mut self, now: BootTime) -> Option<Arc<Spell>> {
        self.pressed.as_ref()?.took(now);
        self.eased()
    }

    /// The spell that is over, if it is.
    fn eased(&mut self) -> Option<Arc<Spell>> {
        let spell = self.pressed.as_ref()?;
        let asked = if spell.of_all { Asked::PressureOfAll } else { Asked::Pressure };
        if self.pressure(spell.limits, asked) > 0 { None } else { self.pressed.take() }
    }
}

/// Lets go who waits for a session to be eased; not to be called under its lock.
fn ease(spell: Option<Arc<Spell>>) {
    if let Some(spell) = spell {
        spell.end();
    }
}

/// The session is over and takes nothing any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Over;

/// What is to be counted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Noticed {
    /// Messages that expired.
    pub(crate) expired: usize,
    /// Times that messages began to wait for the client's acknowledgements.
    pub(crate) stalls: usize,
}

/// What becomes of a session whose connection is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AfterConnection {
    /// It ends with it.
    Ends,
    /// It is kept for the client's return.
    KeptUntil(BootTime),
    /// A later connection holds it.
    HeldByAnother,
}

impl ClientSession {
    pub(crate) fn new(number: u64, client_id: ClientId, username: Arc<str>) -> Self {
        let (held, place, inner) = (AtomicBool::new(false), Mutex::default(), Mutex::default());
        ClientSession { number, client_id, username, place, held, inner, identity: Mutex::default() }
    }

    pub(crate) fn set_identity(&self, identity: SessionIdentity) {
        *self.identity.lock() = Some(identity);
    }

    /// `None` for one that came from another node and had no connection here yet.
    pub(crate) fn identity(&self) -> Option<SessionIdentity> {
        self.identity.lock().clone()
    }

    /// A connection takes the session, under its claim. False when the session is over or its time is.
    pub(crate) fn attach(&self, holder: u64, epoch: Epoch, terms: LinkTerms, now: BootTime) -> bool {
        let mut inner = self.inner.lock();
        if inner.over || inner.kept_until.is_some_and(|until| now >= until) {
            return false;
        }
        inner.session.attach(terms);
        inner.holder = Some(holder);
        inner.epoch = epoch;
        inner.kept_until = None;
        inner.waker = None;
        let spell = inner.pressed.take();
        self.held.store(true, Ordering::Relaxed);
        drop(inner);
        ease(spell);
        true
    }

    /// The epoch it was last served under, when it may be resumed: it does not end with its connection (B-051).
    pub(crate) fn resumable(&self, now: BootTime) -> Option<Epoch> {
        let inner = self.inner.lock();
        let lives = !inner.over && inner.session.expiry_s() > 0;
        (lives && inner.kept_until.is_none_or(|until| now < until)).then_some(inner.epoch)
    }

    /// The epoch it was last served under.
    pub(crate) fn epoch(&self) -> Epoch {
        self.inner.lock().epoch
    }

    /// A connection is there. For choosing among sessions only: it may be over a moment later.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    pub(crate) fn is_held_by(&self, connection: u64) -> bool {
        let inner = self.inner.lock();
        !inner.over && inner.holder == Some(connection)
    }

    /// Lends the session to the connection that holds it; `None` to any other.
    pub(crate) fn lend<R>(&self, connection: u64, to: impl FnOnce(Option<&mut Session>) -> R) -> R {
        let mut inner = self.inner.lock();
        let holds = !inner.over && inner.holder == Some(connection);
        to(holds.then_some(&mut inner.session))
    }

    /// A live message: behind what is retained, if that is on its way. Tells whether the session is pressed now, if that
    /// is waited for.
    pub(crate) fn deliver(
        &self,
        delivery: Delivery,
        limits: QueueLimits,
        now: BootTime,
        asked: Asked,
    ) -> Result<(Offered, Option<Pressed>), Over> {
        let (offered, pressed, waker) = {
            let mut inner = self.inner.lock();
            if inner.over {
                return Err(Over);
            }
            // Nothing under this root is ever retained, so there is nothing older to wait for.
            let waits = !delivery.message.topic.starts_with(EVENTS_ROOT);
            let offered = match inner.held_back.as_mut().filter(|_| waits) {
                Some(held_back) => held_back.keep(delivery, limits),
                None => inner.session.offer(delivery, limits, now),
            };
            let pressure = inner.pressure(limits, asked);
            let pressed = (pressure > 0).then(|| {
                let spell = inner
                    .pressed
                    .get_or_insert_with(|| Arc::new(Spell::new(limits, asked == Asked::PressureOfAll, now)));
                Pressed { spell: spell.clone(), pressure }
            });
            (offered, pressed, inner.waker.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok((offered, pressed))
    }

    /// A retained message: before all live ones that wait for it.
    pub(crate) fn deliver_retained(
        &self,
        delivery: Delivery,
        limits: QueueLimits,
        now: BootTime,
    ) -> Result<Offered, Over> {
        let (offered, waker) = {
            let mut inner = self.inner.lock();
            if inner.over {
                return Err(Over);
            }
            (inner.session.offer(delivery, limits, now), inner.waker.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(offered)
    }

    /// Live messages wait from now on. Each call needs one of [`ClientSession::let_go`].
    pub(crate) fn hold_back(&self) {
        self.inner.lock().held_back.get_or_insert_default().hold();
    }

    /// What is retained is in the queue. What waited for it follows; the number of messages that found no place.
    pub(crate) fn let_go(&self, limits: QueueLimits, now: BootTime) -> usize {
        let (dropped, waker, spell) = {
            let mut inner = self.inner.lock();
            if !inner.held_back.as_mut().is_some_and(|held_back| held_back.let_go()) {
                return 0;
            }
            let waiting = inner.held_back.take().map_or_else(Vec::new, |held_back| held_back.into_waiting());
            if inner.over {
                return 0;
            }
            let mut dropped = 0;
            for delivery in waiting {
                dropped += match inner.session.offer(delivery, limits, now) {
                    Offered::Queued => 0,
                    Offered::QueuedInsteadOf(others) => others,
                    Offered::Full | Offered::NotKept => 1,
                };
            }
            (dropped, inner.waker.take(), inner.eased())
        };
        ease(spell);
        if let Some(waker) = waker {
            waker.wake();
        }
        dropped
    }

    /// The next packet for the client, when the caller has room for it. What happened meanwhile is added to `noticed`.
    pub(crate) fn poll_outgoing(
        &self,
        connection: u64,
        cx: &mut Context<'_>,
        has_room: bool,
        now: BootTime,
        noticed: &mut Noticed,
    ) -> Poll<Outgoing> {
        let mut inner = self.inner.lock();
        if inner.over || inner.holder != Some(connection) {
            return Poll::Pending;
        }
        if has_room {
            let next = inner.session.next_outgoing(now);
            noticed.expired += inner.session.take_expired();
            noticed.stalls += inner.session.take_stalls();
            if let Some(outgoing) = next {
                let spell = if matches!(outgoing, Outgoing::Publish(_)) { inner.took(now) } else { None };
                drop(inner);
                ease(spell);
                return Poll::Ready(outgoing);
            }
        }
        match &mut inner.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Messages of a shared subscription that the client has not acknowledged.
    pub(crate) fn lag(&self, group: &Arc<str>) -> usize {
        self.inner.lock().session.shared().filter(|one| *one == group).count()
    }

    /// Messages wait for the client of this connection.
    pub(crate) fn owes_messages(&self, connection: u64) -> bool {
        let inner = self.inner.lock();
        let holds = !inner.over && inner.holder == Some(connection);
        holds && (inner.session.has_waiting() || inner.holds_back())
    }

    /// They wait behind what is retained.
    pub(crate) fn holds_back(&self, connection: u64) -> bool {
        let inner = self.inner.lock();
        !inner.over && inner.holder == Some(connection) && inner.holds_back()
    }

    /// The verdict of a QoS 2 publish came after its connection had ended.
    pub(crate) fn settle_late(&self, packet_id: std::num::NonZeroU16, accepted: bool) {
        let waker = {
            let mut inner = self.inner.lock();
            if inner.over || !inner.session.settle_late(packet_id, accepted) {
                return;
            }
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The connection is over.
    pub(crate) fn detach(&self, connection: u64, now: BootTime) -> AfterConnection {
        let mut inner = self.inner.lock();
        if inner.over || inner.holder != Some(connection) {
            return AfterConnection::HeldByAnother;
        }
        inner.holder = None;
        inner.waker = None;
        self.held.store(false, Ordering::Relaxed);
        inner.session.detach();
        let spell = inner.pressed.take();
        let kept_until = match inner.session.expiry_s() {
            0 => None,
            seconds => Some(now.plus_ms(u64::from(seconds) * 1000)),
        };
        inner.kept_until = kept_until;
        drop(inner);
        ease(spell);
        kept_until.map_or(AfterConnection::Ends, AfterConnection::KeptUntil)
    }

    /// Ends the session. Gives back what other members of shared subscriptions should get.
    pub(crate) fn end(&self) -> Vec<Delivery> {
        let mut inner = self.inner.lock();
        let spell = inner.pressed.take();
        let orphans = self.end_locked(&mut inner);
        drop(inner);
        ease(spell);
        orphans
    }

    /// Ends the session if nobody holds it and its time is over; `None` otherwise.
    pub(crate) fn end_if_due(&self, now: BootTime) -> Option<Vec<Delivery>> {
        let mut inner = self.inner.lock();
        let due = !inner.over && inner.kept_until.is_some_and(|until| now >= until);
        due.then(|| self.end_locked(&mut inner))
    }

    /// Another node asks for the session last served under this epoch. Whoever holds it holds it no more; it goes on
    /// taking messages. `None` when it cannot move; otherwise the end of its time, where a connection had to leave.
    pub(crate) fn leave_holder(&self, epoch: Epoch, now: BootTime) -> Option<Option<BootTime>> {
        let mut inner = self.inner.lock();
        let lives = !inner.over && inner.epoch == epoch && inner.session.expiry_s() > 0;
        if !lives || inner.kept_until.is_some_and(|until| now >= until) {
            return None;
        }
        if inner.holder.take().is_none() {
            return Some(None);
        }
        inner.waker = None;
        self.held.store(false, Ordering::Relaxed);
        inner.session.detach();
        let spell = inner.pressed.take();
        let until = now.plus_ms(u64::from(inner.session.expiry_s()) * 1000);
        inner.kept_until = Some(until);
        drop(inner);
        ease(spell);
        Some(Some(until))
    }

    /// The state of a session that moves to another node, and its end here, in one step.
    pub(crate) fn move_out(&self, epoch: Epoch, limits: QueueLimits, now: BootTime) -> Option<SessionState> {
        let mut inner = self.inner.lock();
        if inner.over || inner.epoch != epoch || inner.holder.is_some() {
            return None;
        }
        // What waits behind retained messages moves too: the one who would let it go finds nothing here.
        let waiting = inner.held_back.take().map_or_else(Vec::new, |held_back| held_back.into_waiting());
        for delivery in waiting {
            inner.session.offer(delivery, limits, now);
        }
        let state = inner.session.export(now);
        // Also what came by shared subscriptions moves with it: nobody else gets it.
        let _ = self.end_locked(&mut inner);
        Some(state)
    }

    /// Goes on with the state from another node; what was collected meanwhile comes behind it. Gives the end of its time
    /// and how many messages had no room.
    pub(crate) fn move_in(
        &self,
        state: SessionState,
        epoch: Epoch,
        limits: QueueLimits,
        now: BootTime,
    ) -> (BootTime, usize) {
        let mut inner = self.inner.lock();
        let collected = std::mem::take(&mut inner.session);
        let (mut session, mut left_out) = Session::import(state, limits, now);
        left_out += session.append(&collected, limits);
        let until = now.plus_ms(u64::from(session.expiry_s()) * 1000);
        inner.session = session;
        inner.epoch = epoch;
        inner.kept_until = Some(until);
        (until, left_out)
    }

    fn end_locked(&self, inner: &mut Inner) -> Vec<Delivery> {
        inner.over = true;
        inner.holder = None;
        inner.waker = None;
        self.held.store(false, Ordering::Relaxed);
        inner.session.end()
    }
}

impl Inner {
    /// What waits in the queue and what will follow into it press together.
    fn pressure(&self, limits: QueueLimits, asked: Asked) -> u32 {
        let of_all = match asked {
            Asked::Nothing => return 0,
            // Nobody waits for a client that is away.
            _ if self.holder.is_none() => return 0,
            Asked::Pressure => false,
            Asked::PressureOfAll => true,
        };
        let held_back = self.held_back.as_ref().map_or_else(Filled::default, |held_back| held_back.filled(of_all));
        (self.session.filled(of_all) + held_back).pressure(limits)
    }

    fn holds_back(&self) -> bool {
        self.held_back.as_ref().is_some_and(|held_back| held_back.filled(true).messages > 0)
    }
}

impl fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSession").field("number", &self.number).field("client_id", &self.client_id).finish()
    }
}
