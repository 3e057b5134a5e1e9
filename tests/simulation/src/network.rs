//! The network between nodes: links that are cut in each direction by themselves, delay, loss, messages that come twice.
//!
//! A call reaches a running process and answers, or does not within its time. What does not belong here: what is called.

use crate::{
    node::Process,
    plan::{LATE_MS_MAX, Quality},
    world::World,
};
use futures_util::future::LocalBoxFuture;
use rollcall_types::NodeId;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};
use tokio::sync::oneshot;

/// The links.
pub struct Network {
    cut: RefCell<BTreeSet<(NodeId, NodeId)>>,
    quality: Cell<Quality>,
}

/// What becomes of one message.
struct Way {
    lost: bool,
    delay_us: u64,
}

impl Network {
    /// A whole network of this quality.
    pub fn new(quality: Quality) -> Self {
        Network { cut: RefCell::default(), quality: Cell::new(quality) }
    }

    /// From now on the network is as good as this.
    pub fn set_quality(&self, quality: Quality) {
        self.quality.set(quality);
    }

    /// Cuts one direction.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.cut.borrow_mut().insert((from, to));
    }

    /// Mends one direction.
    pub fn mend(&self, from: NodeId, to: NodeId) {
        self.cut.borrow_mut().remove(&(from, to));
    }

    /// Mends everything.
    pub fn mend_all(&self) {
        self.cut.borrow_mut().clear();
    }

    /// Whether messages pass in this direction.
    pub fn passes(&self, from: NodeId, to: NodeId) -> bool {
        from == to || !self.cut.borrow().contains(&(from, to))
    }

    fn quality(&self) -> Quality {
        self.quality.get()
    }
}

impl World {
    /// The delay of a message that is not late.
    pub fn delay_us(&self) -> u64 {
        let quality = self.network.quality();
        quality.delay_us + self.chance().between(0, quality.jitter_us)
    }

    fn way(&self) -> Way {
        let quality = self.network.quality();
        let lost = quality.lost_per_mille > 0 && self.chance().per_mille(quality.lost_per_mille);
        let mut delay_us = self.delay_us();
        if quality.late_per_mille > 0 && self.chance().per_mille(quality.late_per_mille) {
            delay_us += self.chance().between(0, LATE_MS_MAX * 1000) / self.chance().between(1, 100);
        }
        Way { lost, delay_us }
    }

    /// Calls a node's process. `None` when no answer came in time, or nobody is there: whether the call was handled is
    /// unknown then. It may even be handled twice, and long after.
    pub async fn call<R: 'static>(
        self: &Rc<Self>,
        from: &Rc<Process>,
        to: NodeId,
        within_ms: u64,
        handler: impl Fn(Rc<Process>) -> LocalBoxFuture<'static, R> + 'static,
    ) -> Option<R> {
        let (sender, answer) = oneshot::channel();
        let reply: Reply<R> = Rc::new(RefCell::new(Some(sender)));
        let handler: Rc<Handler<R>> = Rc::new(handler);
        let doubled = self.network.quality().doubled_per_mille;
        if doubled > 0 && self.chance().per_mille(doubled) {
            let later_us = self.chance().between(0, LATE_MS_MAX * 1000) / self.chance().between(1, 50);
            self.carry(from, to, Rc::clone(&handler), Rc::clone(&reply), later_us);
        }
        // The last one takes what it needs with it: where nobody is there, the caller hears so at once.
        self.carry(from, to, handler, reply, 0);
        from.within_ms(within_ms, answer).await?.ok()
    }

    /// Carries one copy of a call there, and its answer back.
    fn carry<R: 'static>(
        self: &Rc<Self>,
        from: &Rc<Process>,
        to: NodeId,
        handler: Rc<Handler<R>>,
        reply: Reply<R>,
        later_us: u64,
    ) {
        let (me, life) = (from.me, from.life);
        let world = Rc::clone(self);
        let there = self.way();
        self.scheduler.spawn(None, async move {
            world.scheduler.sleep_us(there.delay_us + later_us).await;
            if there.lost || !world.network.passes(me, to) {
                // Kept, so that the caller learns nothing before its time is over.
                world.scheduler.sleep_us(LATE_MS_MAX * 1000).await;
                drop(reply);
                return;
            }
            let Some(process) = world.machine(to).running() else { return };
            let carrier = Rc::clone(&world);
            world.scheduler.spawn(Some(to), async move {
                let result = handler(process).await;
                let back = carrier.way();
                let world = Rc::clone(&carrier);
                carrier.scheduler.spawn(None, async move {
                    world.scheduler.sleep_us(back.delay_us).await;
                    let here = world.machine(me).running().is_some_and(|process| process.life == life);
                    if back.lost || !here || !world.network.passes(to, me) {
                        world.scheduler.sleep_us(LATE_MS_MAX * 1000).await;
                        return drop(reply);
                    }
                    let waiting = reply.borrow_mut().take();
                    if let Some(waiting) = waiting {
                        let _ = waiting.send(result);
                    }
                });
            });
        });
    }
}

type Reply<R> = Rc<RefCell<Option<oneshot::Sender<R>>>>;
type Handler<R> = dyn Fn(Rc<Process>) -> LocalBoxFuture<'static, R>;
