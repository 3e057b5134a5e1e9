//! The clients of a cell: holders, who connect, hold, displace and end connections, and readers, who ask every node and
//! ask another one when the first has no answer. Everything they do and see is written down. What does not belong here:
//! faults, and any judgement.

use crate::history::{Nanos, Op, Operation, Outcome, Recorder};
use crate::messengers::{self, LISTENERS, MEMBERS, PUBLISHERS};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rollcall_test_cluster::config::{Addresses, USER};
use rollcall_test_cluster::deadline;
use rollcall_test_cluster::http::{basic, request_within, status_target};
use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Version, kind};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Holders of a cell; the first two share their client ids.
pub const HOLDERS: usize = 8;
/// Readers of a cell.
pub const READERS: usize = 5;
/// The worker after the last reader asks the last questions; messengers come after it.
const LAST_READER: usize = HOLDERS + READERS;
/// Holders, the last ones, that keep a connection until the fault or somebody else ends it. One begins at each node: a
/// fault of any node meets a connection that was held long before it.
const STEADY: usize = 3;
/// Questions after which readers leave a client id alone.
const QUESTIONS_PER_KEY_MAX: u64 = 900;
const CONNACK_WITHIN: Duration = Duration::from_secs(3);
const PINGRESP_WITHIN: Duration = Duration::from_secs(1);
/// From one ping of a held connection to the next.
pub(crate) const PING_EVERY: Duration = Duration::from_millis(60);
/// Longest wait for the broker to close a displaced connection before the client does.
const DISPLACED_CLOSES_WITHIN: Duration = Duration::from_secs(6);
/// An answer to a question.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);
const KEEP_ALIVE_S: u16 = 5;

/// Connect, end and displace.
pub(crate) const RUN: u8 = 0;
/// Come to rest: half of the holders hold, the others end.
pub(crate) const SETTLE: u8 = 1;
/// End what is held.
pub(crate) const FINISH: u8 = 2;

/// What the workers of a cell share.
pub struct Shared {
    /// The cell's name.
    pub cell: String,
    /// Where the history goes.
    pub recorder: Arc<Recorder>,
    nodes: Vec<(String, Addresses)>,
    /// The client id that each holder uses now, with the questions asked about it.
    keys: Mutex<Vec<(String, u64)>>,
    phase: AtomicU8,
    settled: AtomicUsize,
    connections: AtomicU64,
}

/// The running workers.
pub struct Workload {
    shared: Arc<Shared>,
    holders: Vec<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
    messengers: Vec<JoinHandle<()>>,
}

impl Workload {
    /// Starts holders, readers, listeners, publishers and members of a shared group on these nodes.
    #[must_use]
    pub fn start(cell: &str, recorder: &Arc<Recorder>, nodes: Vec<(String, Addresses)>, seed: u64) -> Self {
        let keys = (0..HOLDERS).map(|holder| (key(cell, holder, 0), 0)).collect();
        let shared = Arc::new(Shared {
            cell: cell.to_owned(),
            recorder: Arc::clone(recorder),
            nodes,
            keys: Mutex::new(keys),
            phase: AtomicU8::new(RUN),
            settled: AtomicUsize::new(0),
            connections: AtomicU64::new(1),
        });
        let spawn = |worker: usize, body: fn(&Shared, usize, StdRng)| {
            let shared = Arc::clone(&shared);
            let random = StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(worker as u64));
            std::thread::spawn(move || body(&shared, worker, random))
        };
        let holders = (0..HOLDERS).map(|worker| spawn(worker, hold)).collect();
        let readers = (HOLDERS..LAST_READER).map(|worker| spawn(worker, read)).collect();
        let listeners = (0..LISTENERS).map(|number| spawn(LAST_READER + 1 + number, messengers::listen));
        let publishers = (0..PUBLISHERS).map(|number| spawn(LAST_READER + 1 + LISTENERS + number, messengers::publish));
        let first_member = LAST_READER + 1 + LISTENERS + PUBLISHERS;
        let members = (0..MEMBERS).map(|number| spawn(first_member + number, messengers::serve));
        let messengers = listeners.chain(publishers).chain(members).collect();
        Workload { shared, holders, readers, messengers }
    }

    /// Lets the holders come to rest, and waits until all have.
    pub fn settle(&self, limit: Duration) {
        self.shared.phase.store(SETTLE, Ordering::SeqCst);
        deadline::until("the holders come to rest", limit, || {
            let settled = self.shared.settled.load(Ordering::SeqCst);
            if settled >= HOLDERS { Ok(()) } else { Err(format!("{settled} have")) }
        });
    }

    /// The client ids in use now.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let keys = self.shared.keys();
        (0..HOLDERS).filter(|holder| slot(*holder) == *holder).map(|holder| keys[holder].0.clone()).collect()
    }

    /// What the workers share.
    #[must_use]
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Ends everything and waits for it.
    pub fn finish(self) {
        self.shared.phase.store(FINISH, Ordering::SeqCst);
        for worker in self.readers.into_iter().chain(self.holders).chain(self.messengers) {
            worker.join().expect("a worker does not panic");
        }
    }
}

fn key(cell: &str, holder: usize, generation: u64) -> String {
    format!("{cell}-{holder}-{generation}")
}

/// Holders 0 and 1 contend for the same ids.
fn slot(holder: usize) -> usize {
    if holder == 1 { 0 } else { holder }
}

impl Shared {
    fn keys(&self) -> Vec<(String, u64)> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn phase(&self) -> u8 {
        self.phase.load(Ordering::SeqCst)
    }

    pub(crate) fn line(&self, worker: usize, op: Op, key: &str, node: usize, start: Nanos) -> Operation {
        Operation {
            cell: self.cell.clone(),
            worker: u32::try_from(worker).unwrap_or(u32::MAX),
            op,
            key: key.to_owned(),
            node: self.nodes[node].0.clone(),
            start_ns: start,
            end_ns: None,
            outcome: Outcome::Unknown,
            online: None,
            epoch: None,
            partition: None,
            index: None,
            connection: None,
            reason: None,
            message: None,
            group: None,
        }
    }

    /// Asks one node, and writes it down. True when it answered.
    pub fn ask(&self, worker: usize, key: &str, node: usize) -> bool {
        let mut line = self.line(worker, Op::Status, key, node, self.recorder.now());
        let authorization = basic(USER.0, USER.1);
        let headers = [("Authorization", authorization.as_str())];
        let response = request_within(self.nodes[node].1.http, "GET", &status_target(key), &headers, ANSWER_WITHIN);
        let end = self.recorder.now();
        match response {
            Ok(response) if response.status == 200 => {
                let number = |name: &str| response.header(name).and_then(|value| value.parse().ok());
                line.outcome = Outcome::Ok;
                line.end_ns = Some(end);
                line.online = match response.body.as_slice() {
                    br#"{"online":true}"# => Some(true),
                    br#"{"online":false}"# => Some(false),
                    other => panic!("not the bytes promised: {other:?}"),
                };
                line.epoch = number("rollcall-epoch");
                line.index = number("rollcall-index");
                line.partition = number("rollcall-partition").and_then(|number| u32::try_from(number).ok());
            }
            Ok(response) => {
                line.outcome = Outcome::Refused;
                line.end_ns = Some(end);
                line.reason = Some(response.status.to_string());
            }
            Err(error) => line.reason = Some(error),
        }
        let answered = line.outcome == Outcome::Ok;
        self.recorder.operation(line);
        answered
    }
}

/// Asks about the client ids in use, each question at a node at random, then at the others until one answers.
fn read(shared: &Shared, worker: usize, mut random: StdRng) {
    while shared.phase() != FINISH {
        let key = {
            let mut keys = shared.keys.lock().unwrap_or_else(PoisonError::into_inner);
            let place = slot(random.random_range(0..keys.len()));
            keys[place].1 += 1;
            (keys[place].1 < QUESTIONS_PER_KEY_MAX).then(|| keys[place].0.clone())
        };
        if let Some(key) = key {
            let first = random.random_range(0..shared.nodes.len());
            // Bounded by the number of nodes; the next turn tries again.
            let _answered =
                (0..shared.nodes.len()).any(|step| shared.ask(worker, &key, (first + step) % shared.nodes.len()));
        }
        deadline::pause();
    }
}

/// A connection that is held, with the last question it answered.
pub(crate) struct Held {
    pub(crate) connection: Connection,
    pub(crate) number: u64,
    pub(crate) node: usize,
    pub(crate) key: String,
    pub(crate) alive: Nanos,
}

/// How a hold went on.
#[derive(PartialEq, Eq)]
enum Life {
    Going,
    Over,
}

fn hold(shared: &Shared, worker: usize, mut random: StdRng) {
    let holder = Holder { shared, worker };
    let steady = worker >= HOLDERS - STEADY;
    let mut connects = 0;
    let mut generation = 0;
    let mut uses = 0;
    let mut held: Option<Held> = None;
    let mut settled = false;
    loop {
        let phase = shared.phase();
        if phase == FINISH {
            if let Some(held) = held.take() {
                holder.end(held, Op::Disconnect);
            }
            return;
        }
        let key = shared.keys()[slot(worker)].0.clone();
        let anywhere = random.random_range(0..shared.nodes.len());
        let node = if steady && connects == 0 { worker % shared.nodes.len() } else { anywhere };
        if phase == SETTLE {
            let stays = worker % 2 == 1;
            if let Some(present) = held.take() {
                held = if stays { holder.keep(present) } else { holder.end(present, Op::Drop) };
            } else if stays && !settled {
                held = holder.connect(&key, node, random.random());
            }
            if !settled && (held.is_some() || !stays) {
                settled = true;
                shared.settled.fetch_add(1, Ordering::SeqCst);
            }
            wait(PING_EVERY);
            continue;
        }
        let Some(present) = held.take() else {
            if slot(worker) == worker && uses >= random.random_range(3..7) {
                uses = 0;
                generation = next_key(shared, worker, generation);
                continue;
            }
            uses += 1;
            connects += 1;
            held = holder.connect(&key, node, random.random());
            wait(PING_EVERY);
            continue;
        };
        let for_how_long = Duration::from_millis(if steady { 60_000 } else { random.random_range(100..1_500) });
        let until = Instant::now() + for_how_long;
        let mut present = Some(present);
        while shared.phase() == RUN && Instant::now() < until {
            let Some(now) = present.take() else { break };
            present = holder.keep(now);
            wait(PING_EVERY);
        }
        let Some(present) = present else { continue };
        if shared.phase() != RUN {
            held = Some(present);
            continue;
        }
        held = match random.random_range(0..3) {
            0 => holder.end(present, Op::Disconnect),
            1 => holder.end(present, Op::Drop),
            _ => holder.displace(present, node, random.random()),
        };
    }
}

/// Moves on to a fresh client id, so that none has too many operations.
fn next_key(shared: &Shared, worker: usize, generation: u64) -> u64 {
    let next = generation + 1;
    let mut keys = shared.keys.lock().unwrap_or_else(PoisonError::into_inner);
    keys[worker] = (key(&shared.cell, worker, next), 0);
    next
}

pub(crate) fn wait(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        deadline::pause();
    }
}

pub(crate) struct Holder<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) worker: usize,
}

impl Holder<'_> {
    /// Connects. A CONNECT that reached nobody is refused and has no number; one without CONNACK is followed by its drop.
    pub(crate) fn connect(&self, key: &str, node: usize, newer: bool) -> Option<Held> {
        let now = || self.shared.recorder.now();
        let version = if newer { Version::V5 } else { Version::V311 };
        let start = now();
        let mut line = self.shared.line(self.worker, Op::Connect, key, node, start);
        let mut connection = match Connection::open(self.shared.nodes[node].1.mqtt, version) {
            Ok(connection) => connection,
            Err(error) => {
                line.outcome = Outcome::Refused;
                line.end_ns = Some(now());
                line.reason = Some(error);
                self.shared.recorder.operation(line);
                return None;
            }
        };
        let number = self.shared.connections.fetch_add(1, Ordering::SeqCst);
        line.connection = Some(number);
        let sent = connection.send(&Connect::new(version, key).keep_alive(KEEP_ALIVE_S).encode());
        let arrival = sent.map(|()| connection.next(CONNACK_WITHIN));
        match arrival {
            Ok(Arrival::Packet(packet)) if packet.kind() == kind::CONNACK && packet.body.get(1) == Some(&0) => {
                line.outcome = Outcome::Ok;
                line.end_ns = Some(now());
                self.shared.recorder.operation(line);
                Some(Held { connection, number, node, key: key.to_owned(), alive: start })
            }
            other => {
                if matches!(other, Ok(Arrival::Packet(_))) {
                    line.outcome = Outcome::Refused;
                    line.end_ns = Some(now());
                }
                line.reason = Some(format!("{other:?}"));
                self.shared.recorder.operation(line);
                let mut end = self.shared.line(self.worker, Op::Drop, key, node, now());
                drop(connection);
                end.connection = Some(number);
                end.outcome = Outcome::Ok;
                end.end_ns = Some(now());
                self.shared.recorder.operation(end);
                None
            }
        }
    }

    /// Pings once. `None` when the connection is over, which is then written down.
    fn keep(&self, mut held: Held) -> Option<Held> {
        if self.ping(&mut held) == Life::Over {
            self.over(&held, "closed by the broker");
            return None;
        }
        Some(held)
    }

    fn ping(&self, held: &mut Held) -> Life {
        let start = self.shared.recorder.now();
        if held.connection.send(&[0xc0, 0]).is_err() {
            return Life::Over;
        }
        // Waits however long it takes: the next answer must not be taken for that of a later ping.
        loop {
            match held.connection.next(PINGRESP_WITHIN) {
                Arrival::Packet(packet) if packet.kind() == kind::PINGRESP => {
                    held.alive = held.alive.max(start);
                    return Life::Going;
                }
                Arrival::Packet(packet) if packet.kind() == kind::DISCONNECT => return Life::Over,
                Arrival::Closed(_) => return Life::Over,
                Arrival::Silence if self.shared.phase() == FINISH => return Life::Going,
                Arrival::Packet(_) | Arrival::Silence => {}
            }
        }
    }

    pub(crate) fn over(&self, held: &Held, reason: &str) {
        let mut line = self.shared.line(self.worker, Op::HoldEnd, &held.key, held.node, held.alive);
        line.end_ns = Some(self.shared.recorder.now());
        line.outcome = Outcome::Ok;
        line.connection = Some(held.number);
        line.reason = Some(reason.to_owned());
        self.shared.recorder.operation(line);
    }

    /// Ends the connection, after a last ping that tells whether it was still there.
    fn end(&self, held: Held, op: Op) -> Option<Held> {
        let held = self.keep(held)?;
        self.close(held, op);
        None
    }

    /// Ends the connection without asking whether it was still there.
    pub(crate) fn close(&self, mut held: Held, op: Op) {
        if op == Op::Disconnect {
            drop(held.connection.send(&[0xe0, 0]));
        }
        let Held { connection, number, node, key, alive } = held;
        drop(connection);
        let mut line = self.shared.line(self.worker, op, &key, node, alive);
        line.end_ns = Some(self.shared.recorder.now());
        line.outcome = Outcome::Ok;
        line.connection = Some(number);
        self.shared.recorder.operation(line);
    }

    /// Connects under the same client id at another node, and watches the old connection until the broker closes it.
    fn displace(&self, held: Held, node: usize, newer: bool) -> Option<Held> {
        let mut held = self.keep(held)?;
        let key = held.key.clone();
        let Some(new) = self.connect(&key, node, newer) else { return Some(held) };
        let began = Instant::now();
        while began.elapsed() < DISPLACED_CLOSES_WITHIN && self.shared.phase() != FINISH {
            held = match self.keep(held) {
                Some(held) => held,
                None => return Some(new),
            };
        }
        drop(self.end(held, Op::Drop));
        Some(new)
    }
}
