//! The simulated network: packets on their way between nodes, and what may happen to them there.
//!
//! It is harsher than the mesh that it stands for: packets overtake each other, also those of one lane, and each one may
//! be lost by itself. A packet's delay is drawn from its own content and time, not from a common stream, so that it does
//! not depend on the order in which a node's tasks happened to send.
//!
//! What does not belong here: how a node calls and answers (`links`).

use crate::chance::Chance;
use bytes::Bytes;
use parking_lot::Mutex;
use rollcall_contracts::CallError;
use rollcall_types::NodeId;
use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    sync::Arc,
};
use tokio::sync::mpsc::{Sender, error::TrySendError};

/// What travels.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    /// Number of the call, of the node that called.
    pub(crate) call: u64,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    Call { kind: u32, group: u32, payload: Bytes, deadline_ms: u32 },
    Snapshot { group: u32, head: Bytes, data: Bytes, deadline_ms: u32 },
    Answer(Result<Bytes, CallError>),
}

impl Packet {
    /// A number that depends on the content alone, not on the number of the call: two tasks that wake at once may call in
    /// either order.
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.from, self.to).hash(&mut hasher);
        match &self.body {
            Body::Call { kind, group, payload, .. } => (0, kind, group, payload).hash(&mut hasher),
            Body::Snapshot { group, head, data, .. } => (1, group, head, data).hash(&mut hasher),
            Body::Answer(Ok(bytes)) => (2, bytes).hash(&mut hasher),
            Body::Answer(Err(error)) => (3, error.to_string()).hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// What becomes of packets in one direction of one link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// They are lost.
    Drops,
    /// They are kept, and arrive when the cut heals.
    Holds,
}

/// How the network treats packets on links that are not cut.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Shortest way, in microseconds.
    pub delay_min_us: u64,
    /// Longest way, in microseconds.
    pub delay_max_us: u64,
    /// Packets lost, of a thousand.
    pub lost_per_mille: u64,
}

impl Weather {
    /// A local network.
    pub const FAIR: Weather = Weather { delay_min_us: 200, delay_max_us: 2_000, lost_per_mille: 0 };
    /// Slow, uneven, and losing some.
    pub const FOUL: Weather = Weather { delay_min_us: 200, delay_max_us: 60_000, lost_per_mille: 20 };
}

/// All links. Shared by the nodes and the world.
#[derive(Clone)]
pub(crate) struct Network {
    state: Arc<Mutex<State>>,
}

struct State {
    seed: u64,
    now_us: u64,
    weather: Weather,
    cuts: BTreeMap<(NodeId, NodeId), Cut>,
    /// By time of arrival; the rest of the key makes an order that does not depend on who sent first.
    under_way: BTreeMap<(u64, u64, u64), Packet>,
    held: Vec<Packet>,
    sent: u64,
    inboxes: BTreeMap<NodeId, Sender<Packet>>,
    trace: DefaultHasher,
    delivered: u64,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            seed,
            now_us: 0,
            weather: Weather::FAIR,
            cuts: BTreeMap::new(),
            under_way: BTreeMap::new(),
            held: Vec::new(),
            sent: 0,
            inboxes: BTreeMap::new(),
            trace: DefaultHasher::new(),
            delivered: 0,
        };
        Network { state: Arc::new(Mutex::new(state)) }
    }

    /// A process of the node listens from now on.
    pub(crate) fn listen(&self, node: NodeId, inbox: Sender<Packet>) {
        self.state.lock().inboxes.insert(node, inbox);
    }

    /// The node's process is gone.
    pub(crate) fn gone(&self, node: NodeId) {
        self.state.lock().inboxes.remove(&node);
    }

    pub(crate) fn send(&self, packet: Packet) {
        self.state.lock().send(packet);
    }

    /// Delivers what has arrived by now.
    pub(crate) fn advance(&self, now_us: u64) {
        let mut state = self.state.lock();
        state.now_us = now_us;
        while let Some(first) = state.under_way.first_entry()
            && first.key().0 <= now_us
        {
            let (key, packet) = first.remove_entry();
            state.arrive(key.1, packet);
        }
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.state.lock().weather = weather;
    }

    pub(crate) fn cut(&self, from: NodeId, to: NodeId, cut: Cut) {
        self.state.lock().cuts.insert((from, to), cut);
    }

    /// Ends the cuts of these links, or all.
    pub(crate) fn heal(&self, links: Option<&BTreeSet<(NodeId, NodeId)>>) {
        let mut state = self.state.lock();
        state.cuts.retain(|link, _| links.is_some_and(|links| !links.contains(link)));
        for packet in std::mem::take(&mut state.held) {
            state.send(packet);
        }
    }

    /// A number that depends on every delivery so far, and how many there were.
    pub(crate) fn trace(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.trace.finish(), state.delivered)
    }
}

impl State {
    fn send(&mut self, packet: Packet) {
        let digest = packet.digest();
        let mut chance = Chance::new(self.seed, &[self.now_us, digest]);
        if chance.below(1000) < self.weather.lost_per_mille {
            return;
        }
        match self.cuts.get(&(packet.from, packet.to)) {
            Some(Cut::Drops) => {}
            Some(Cut::Holds) => self.held.push(packet),
            None => {
                let delay = chance.between(self.weather.delay_min_us, self.weather.delay_max_us);
                self.sent += 1;
                self.under_way.insert((self.now_us + delay, digest, self.sent), packet);
            }
        }
    }

    fn arrive(&mut self, digest: u64, packet: Packet) {
        match self.cuts.get(&(packet.from, packet.to)) {
            Some(Cut::Drops) => return,
            Some(Cut::Holds) => return self.held.push(packet),
            None => {}
        }
        (self.now_us, digest).hash(&mut self.trace);
        self.delivered += 1;
        let refused = match self.inboxes.get(&packet.to) {
            Some(inbox) => match inbox.try_send(packet) {
                Ok(()) | Err(TrySendError::Full(_)) => None,
                Err(TrySendError::Closed(packet)) => Some(packet),
            },
            None => Some(packet),
        };
        // Nobody listens: the caller hears so, as it would from the machine of a process that is gone.
        if let Some(Packet { from, to, call, body: Body::Call { .. } | Body::Snapshot { .. } }) = refused {
            let error = CallError::Unreachable("connection refused".to_owned());
            self.send(Packet { from: to, to: from, call, body: Body::Answer(Err(error)) });
        }
    }
}
