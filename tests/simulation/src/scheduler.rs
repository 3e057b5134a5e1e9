//! The scheduler: tasks over simulated time, on one thread. Which of the tasks that could run goes first is chance, of the
//! run's seed; time moves only when none can.
//!
//! A task lives on a node or outside all nodes. The tasks of a paused node wait, with their timers and whatever else has
//! woken them, and those of a crashed one are gone. What does not belong here: what the tasks do.

use crate::{chance::Chance, trace::Trace};
use rollcall_types::NodeId;
use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

/// Where a task lives.
pub type Home = Option<NodeId>;

type Running = Pin<Box<dyn Future<Output = ()>>>;

struct Task {
    home: Home,
    /// Taken out while it runs.
    running: Option<Running>,
    waker: Waker,
}

/// Tasks that have been woken. A set, so that the order in which they were woken cannot matter.
type Ready = Arc<Mutex<BTreeSet<u64>>>;

struct TaskWaker {
    task: u64,
    ready: Ready,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).insert(self.task);
    }
}

/// The scheduler of one run.
pub struct Scheduler {
    /// All chance of the run.
    pub chance: Chance,
    /// The trace of the run.
    pub trace: Trace,
    now_us: Cell<u64>,
    next: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    ready: Ready,
    timers: RefCell<BinaryHeap<Reverse<(u64, u64)>>>,
    sleepers: RefCell<BTreeMap<u64, Waker>>,
    paused: RefCell<BTreeSet<NodeId>>,
    stopped: Cell<bool>,
}

impl Scheduler {
    /// A scheduler at time 0.
    #[must_use]
    pub fn new(seed: u64) -> Rc<Self> {
        Rc::new(Scheduler {
            chance: Chance::new(seed),
            trace: Trace::new(),
            now_us: Cell::new(0),
            next: Cell::new(1),
            tasks: RefCell::default(),
            ready: Ready::default(),
            timers: RefCell::default(),
            sleepers: RefCell::default(),
            paused: RefCell::default(),
            stopped: Cell::new(false),
        })
    }

    /// Ideal time, in microseconds. No node sees it.
    pub fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    /// Starts a task.
    pub fn spawn(&self, home: Home, future: impl Future<Output = ()> + 'static) {
        let id = self.number();
        let waker = Waker::from(Arc::new(TaskWaker { task: id, ready: Arc::clone(&self.ready) }));
        self.tasks.borrow_mut().insert(id, Task { home, running: Some(Box::pin(future)), waker });
        self.wake(id);
    }

    /// Ends every task of a crashed node.
    pub fn crash(&self, node: NodeId) {
        let gone: Vec<Task> =
            self.tasks.borrow_mut().extract_if(.., |_, task| task.home == Some(node)).map(|(_, t)| t).collect();
        // Dropped without a borrow: what a task holds may look at the scheduler when it goes.
        drop(gone);
    }

    /// Holds a node's tasks still.
    pub fn pause(&self, node: NodeId) {
        self.paused.borrow_mut().insert(node);
    }

    /// Lets them go on.
    pub fn resume(&self, node: NodeId) {
        self.paused.borrow_mut().remove(&node);
    }

    /// Whether the node stands still.
    pub fn is_paused(&self, node: NodeId) -> bool {
        self.paused.borrow().contains(&node)
    }

    /// Ends [`Scheduler::run`] after the present step.
    pub fn stop(&self) {
        self.stopped.set(true);
    }

    /// Whether it was ended so.
    pub fn is_stopped(&self) -> bool {
        self.stopped.get()
    }

    /// Returns when so many microseconds of ideal time have passed.
    pub fn sleep_us(self: &Rc<Self>, us: u64) -> Sleep {
        Sleep { scheduler: Rc::clone(self), until: self.now_us() + us, registered: None }
    }

    /// Runs until stopped, until nothing is left to do, or until that time.
    pub fn run(&self, until_us: u64) {
        while !self.stopped.get() {
            if let Some(task) = self.next_ready() {
                self.step(task);
            } else if !self.advance(until_us) {
                return;
            }
        }
    }

    /// Ends all tasks, so that nothing of the run is left.
    pub fn clear(&self) {
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(tasks);
        self.sleepers.borrow_mut().clear();
    }

    fn number(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }

    fn wake(&self, task: u64) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).insert(task);
    }

    /// One of the tasks that can run.
    fn next_ready(&self) -> Option<u64> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let tasks = self.tasks.borrow();
        let paused = self.paused.borrow();
        ready.retain(|id| tasks.contains_key(id));
        let can_run = |id: &&u64| {
            paused.is_empty() || !tasks.get(id).and_then(|task| task.home).is_some_and(|home| paused.contains(&home))
        };
        let count = ready.iter().filter(can_run).count();
        if count == 0 {
            return None;
        }
        let place = if count == 1 { 0 } else { self.chance.below(count) };
        let id = ready.iter().filter(can_run).nth(place).copied()?;
        ready.remove(&id);
        Some(id)
    }

    fn step(&self, id: u64) {
        self.trace.step(self.now_us(), id);
        let taken =
            self.tasks.borrow_mut().get_mut(&id).and_then(|task| Some((task.running.take()?, task.waker.clone())));
        let Some((mut running, waker)) = taken else { return };
        let done = running.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if done {
            self.tasks.borrow_mut().remove(&id);
        } else if let Some(task) = self.tasks.borrow_mut().get_mut(&id) {
            task.running = Some(running);
            return;
        }
        // Ended, or its node crashed while it ran.
        drop(running);
    }

    /// Moves time to the next timer.
    fn advance(&self, until_us: u64) -> bool {
        let next = self.timers.borrow_mut().pop();
        let Some(Reverse((at, number))) = next else { return false };
        if at > until_us {
            self.timers.borrow_mut().push(Reverse((at, number)));
            return false;
        }
        self.now_us.set(at.max(self.now_us()));
        let sleeper = self.sleepers.borrow_mut().remove(&number);
        if let Some(waker) = sleeper {
            waker.wake();
        }
        true
    }
}

/// See [`Scheduler::sleep_us`].
pub struct Sleep {
    scheduler: Rc<Scheduler>,
    until: u64,
    registered: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.scheduler.now_us() >= self.until {
            return Poll::Ready(());
        }
        let number = match self.registered {
            Some(number) => number,
            None => {
                let number = self.scheduler.number();
                self.scheduler.timers.borrow_mut().push(Reverse((self.until, number)));
                self.registered = Some(number);
                number
            }
        };
        self.scheduler.sleepers.borrow_mut().insert(number, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.registered {
            self.scheduler.sleepers.borrow_mut().remove(&number);
        }
    }
}
