//! The publishers and listeners of a cell: numbered messages of QoS 1 and 2, sessions that want them all, and members of a
//! shared group that come and go, spread over the nodes. Everything they do and see is written down. What does not belong here: faults, and any judgement.

use crate::history::{MessageLine, Nanos, Op, Operation, Outcome};
use crate::workload::{FINISH, Held, Holder, PING_EVERY, RUN, SETTLE, Shared, wait};
use rand::Rng;
use rand::rngs::StdRng;
use rollcall_test_cluster::mqtt::{Arrival, Packet, kind};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Publishers of a cell; every second one publishes at QoS 2, the others at QoS 1.
pub(crate) const PUBLISHERS: usize = 4;
/// Listeners of a cell, the first at the first node and so on.
pub(crate) const LISTENERS: usize = 3;
/// Members of the shared group, one at the first node and so on.
pub(crate) const MEMBERS: usize = 4;
/// The group they are in.
const GROUP: &str = "workers";
/// How long a member stays, in milliseconds; then it leaves without a word.
const MEMBER_STAYS_MS: std::ops::Range<u64> = 2_000..6_000;
/// From one message of a publisher to its next.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);
/// Messages of one publisher without an acknowledgement, at most.
const UNDER_WAY_MAX: usize = 8;
/// From one ping to the next. Pings keep the connection alive where nothing else is sent.
const PING_AFTER: Duration = Duration::from_millis(250);
/// How long to wait for a packet before looking at anything else.
const LOOK: Duration = Duration::from_millis(20);
/// How long a last ping may take when all is over.
const LAST_PING_WITHIN: Duration = Duration::from_secs(3);
/// What everybody publishes under.
const TOPICS: &str = "messages/";

/// Publishes until the cell comes to rest, each connection under a fresh client id and at a node at random.
pub(crate) fn publish(shared: &Shared, worker: usize, mut random: StdRng) {
    let holder = Holder { shared, worker };
    let qos = if worker.is_multiple_of(2) { 1 } else { 2 };
    for generation in 0.. {
        if shared.phase() != RUN {
            return;
        }
        let (key, node) = (client_id(shared, 'p', worker, generation), random.random_range(0..shared.node_count()));
        match holder.connect(&key, node, random.random()) {
            Some(held) => Publisher { holder: &holder, held, qos, under_way: BTreeMap::new() }.run(),
            None => wait(PING_EVERY),
        }
    }
}

/// Listens until the cell is over, each connection under a fresh client id and at the same node.
pub(crate) fn listen(shared: &Shared, worker: usize, mut random: StdRng) {
    let holder = Holder { shared, worker };
    for generation in 0.. {
        if shared.phase() == FINISH {
            return;
        }
        let key = client_id(shared, 'l', worker, generation);
        match holder.connect(&key, worker % shared.node_count(), random.random()) {
            Some(held) => hear(&holder, held, None, None),
            None => wait(PING_EVERY),
        }
    }
}

/// Takes its part of the messages until the cell is over, each connection under a fresh client id and at the same node.
/// What it has not acknowledged when it leaves is another member's.
pub(crate) fn serve(shared: &Shared, worker: usize, mut random: StdRng) {
    let holder = Holder { shared, worker };
    for generation in 0.. {
        if shared.phase() == FINISH {
            return;
        }
        let key = client_id(shared, 'm', worker, generation);
        match holder.connect(&key, worker % shared.node_count(), random.random()) {
            Some(held) => {
                let stays = Duration::from_millis(random.random_range(MEMBER_STAYS_MS));
                hear(&holder, held, Some(GROUP), Some(Instant::now() + stays));
            }
            None => wait(PING_EVERY),
        }
    }
}

fn client_id(shared: &Shared, role: char, worker: usize, generation: u64) -> String {
    format!("{}-{role}{worker}-{generation}", shared.cell)
}

/// One connection that publishes.
struct Publisher<'a> {
    holder: &'a Holder<'a>,
    held: Held,
    qos: u8,
    /// By packet identifier; every message has one of its own.
    under_way: BTreeMap<u16, Operation>,
}

impl Publisher<'_> {
    fn run(mut self) {
        let shared = self.holder.shared;
        let mut pinged = Instant::now();
        let mut published = Instant::now();
        let mut number = 0;
        let over = loop {
            let phase = shared.phase();
            if phase == FINISH || (phase == SETTLE && self.under_way.is_empty()) {
                break false;
            }
            if pinged.elapsed() >= PING_AFTER {
                pinged = Instant::now();
                if self.held.connection.send(&[0xc0, 0]).is_err() {
                    break true;
                }
            }
            if phase == RUN && self.under_way.len() < UNDER_WAY_MAX && published.elapsed() >= PUBLISH_EVERY {
                published = Instant::now();
                number += 1;
                if !self.send(number) {
                    break true;
                }
            }
            match self.held.connection.next(LOOK) {
                Arrival::Packet(packet) if packet.kind() == kind::DISCONNECT => break true,
                Arrival::Packet(packet) => {
                    if packet.kind() != kind::PUBCOMP
                        && let Some((id, code)) = packet.acknowledgement()
                    {
                        self.acknowledged(id, code);
                    }
                    // An end that this finds is found again by the next look.
                    drop(self.held.connection.answer(&packet));
                }
                Arrival::Closed(_) => break true,
                Arrival::Silence => {}
            }
        };
        for line in self.under_way.into_values() {
            shared.recorder.operation(line);
        }
        if over {
            self.holder.over(&self.held, "closed by the broker");
        } else {
            self.holder.close(self.held, Op::Disconnect);
        }
    }

    fn send(&mut self, number: u16) -> bool {
        let shared = self.holder.shared;
        let start = shared.recorder.now();
        let mut line = shared.line(self.holder.worker, Op::Publish, &self.held.key, self.held.node, start);
        line.connection = Some(self.held.number);
        line.message = Some(MessageLine { publisher: self.held.key.clone(), number: u64::from(number), qos: self.qos });
        self.under_way.insert(number, line);
        let topic = format!("{TOPICS}{}", self.held.key);
        self.held.connection.send_publish(&topic, number.to_string().as_bytes(), self.qos, number).is_ok()
    }

    fn acknowledged(&mut self, id: u16, code: u8) {
        let Some(mut line) = self.under_way.remove(&id) else { return };
        self.held.alive = self.held.alive.max(line.start_ns);
        line.end_ns = Some(self.holder.shared.recorder.now());
        line.outcome = if code < 0x80 { Outcome::Ok } else { Outcome::Refused };
        if code >= 0x80 {
            line.reason = Some(format!("{code:#04x}"));
        }
        self.holder.shared.recorder.operation(line);
    }
}

/// Subscribes to everything, for itself or with the others of a group, and hears to the end of the connection or of the
/// cell; a member leaves at its time, unless the cell comes to rest.
fn hear(holder: &Holder<'_>, mut held: Held, group: Option<&str>, leaves: Option<Instant>) {
    let shared = holder.shared;
    let filter = group.map_or_else(|| format!("{TOPICS}+"), |group| format!("$share/{group}/{TOPICS}+"));
    let mut line = shared.line(holder.worker, Op::Subscribe, &held.key, held.node, shared.recorder.now());
    line.connection = Some(held.number);
    line.group = group.map(str::to_owned);
    let subscribed = held.connection.subscribe_at(&filter, 2);
    match subscribed {
        Ok(before) => {
            line.outcome = Outcome::Ok;
            line.end_ns = Some(shared.recorder.now());
            shared.recorder.operation(line);
            before.iter().for_each(|packet| received(holder, &held, group, packet));
        }
        Err(reason) => {
            line.reason = Some(reason);
            shared.recorder.operation(line);
            holder.close(held, Op::Drop);
            return;
        }
    }
    let mut asked: Option<Nanos> = None;
    let mut pinged = Instant::now();
    let mut finishing: Option<Instant> = None;
    let mut last_ping_sent = false;
    loop {
        if shared.phase() == RUN && leaves.is_some_and(|leaves| Instant::now() >= leaves) {
            holder.close(held, Op::Drop);
            return;
        }
        if shared.phase() == FINISH {
            let since = *finishing.get_or_insert_with(Instant::now);
            if (last_ping_sent && asked.is_none()) || since.elapsed() > LAST_PING_WITHIN {
                holder.close(held, Op::Disconnect);
                return;
            }
        }
        // One at a time: the next answer must not be taken for that of a later ping.
        if asked.is_none() && (finishing.is_some() || pinged.elapsed() >= PING_AFTER) {
            asked = Some(shared.recorder.now());
            pinged = Instant::now();
            last_ping_sent = finishing.is_some();
            if held.connection.send(&[0xc0, 0]).is_err() {
                break;
            }
        }
        match held.connection.next(LOOK) {
            Arrival::Packet(packet) if packet.kind() == kind::PINGRESP => {
                held.alive = held.alive.max(asked.take().unwrap_or(0));
            }
            Arrival::Packet(packet) if packet.kind() == kind::DISCONNECT => break,
            Arrival::Packet(packet) => {
                received(holder, &held, group, &packet);
                if held.connection.answer(&packet).is_err() {
                    break;
                }
            }
            Arrival::Closed(_) => break,
            Arrival::Silence => {}
        }
    }
    holder.over(&held, "closed by the broker");
}

/// Writes a message down, if the packet is one.
fn received(holder: &Holder<'_>, held: &Held, group: Option<&str>, packet: &Packet) {
    let Some(message) = packet.delivered(held.connection.version()) else { return };
    let shared = holder.shared;
    let mut line = shared.line(holder.worker, Op::Receive, &held.key, held.node, shared.recorder.now());
    line.end_ns = Some(line.start_ns);
    line.outcome = Outcome::Ok;
    line.connection = Some(held.number);
    line.group = group.map(str::to_owned);
    line.message = Some(MessageLine {
        publisher: message.topic.strip_prefix(TOPICS).unwrap_or(&message.topic).to_owned(),
        number: String::from_utf8_lossy(&message.payload).parse().unwrap_or(u64::MAX),
        qos: message.qos,
    });
    shared.recorder.operation(line);
}
