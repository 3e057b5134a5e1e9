//! Clients: devices that connect, stay, leave in every way and take their client id over from one another, and askers that
//! ask any node about anybody. None of them sees more of the cluster than a real one does.

use crate::{
    chance::Chance,
    node::{Answer, FromClient, Request, ToClient},
    plan::Ms,
    world::{Phase, World},
};
use rollcall_presence::SESSION_NEVER_EXPIRES_S;
use rollcall_types::{ClientId, Message, MessageProperties, NodeId, QoS, Will};
use std::{future::pending, rc::Rc};
use tokio::sync::{mpsc, oneshot};

/// Shortest and longest time a device waits for CONNACK before it gives up.
const PATIENCE_MS: (Ms, Ms) = (20, 8000);
/// Longest delay of a will, and longest session that ends, in seconds.
pub const WILL_S_MAX: u64 = 4;
/// Packets under way on one connection. More than ever are.
const PACKETS_MAX: usize = 1024;
/// Longest time until a node notices that a client has gone without a word.
const UNNOTICED_MS_MAX: Ms = 1500;

/// A connection as its client sees it.
pub struct Link {
    to_node: mpsc::Sender<FromClient>,
    from_node: mpsc::Receiver<ToClient>,
}

impl World {
    /// Opens a connection to a node and sends CONNECT.
    pub fn dial(self: &Rc<Self>, node: NodeId, request: Request) -> Link {
        let (to_node, from_client) = mpsc::channel(PACKETS_MAX);
        let (to_client, from_node) = mpsc::channel(PACKETS_MAX);
        let world = Rc::clone(self);
        let delay = self.delay_us();
        self.scheduler.spawn(None, async move {
            world.scheduler.sleep_us(delay).await;
            let Some(process) = world.machine(node).running() else { return };
            world.scheduler.spawn(Some(node), process.accept(request, from_client, to_client));
        });
        Link { to_node, from_node }
    }

    /// Asks a node about a client. `None` when it does not know, or is not there. Judges the answer.
    pub async fn ask(self: &Rc<Self>, node: NodeId, client_id: &ClientId) -> Option<Answer> {
        let query = self.oracle.query_begins(self, client_id, node);
        self.scheduler.sleep_us(self.delay_us()).await;
        let process = self.machine(node).running()?;
        let (reply, answer) = oneshot::channel();
        let asked = client_id.clone();
        self.scheduler.spawn(Some(node), async move {
            let _ = reply.send(process.status(asked).await);
        });
        let answer = answer.await.ok().flatten();
        self.scheduler.sleep_us(self.delay_us()).await;
        let answer = answer?;
        self.oracle.query_answered(self, &query, answer);
        Some(answer)
    }
}

impl Link {
    /// Whether CONNACK comes; `None` when neither it nor the close comes in time.
    pub async fn connected(&mut self, world: &World, within_ms: Ms) -> Option<bool> {
        tokio::select! {
            biased;
            packet = self.from_node.recv() => Some(packet.is_some()),
            () = world.pause_ms(within_ms) => None,
        }
    }

    /// Waits until the node closes.
    pub async fn closed(&mut self) {
        while self.from_node.recv().await.is_some() {}
    }

    /// Says something; the node hears it after that time.
    pub fn say(self, world: &Rc<World>, said: FromClient, after_us: u64) {
        let sleeping = Rc::clone(world);
        world.scheduler.spawn(None, async move {
            sleeping.scheduler.sleep_us(after_us).await;
            let _ = self.to_node.try_send(said);
        });
    }
}

/// One device, until the run ends.
pub async fn device(world: Rc<World>, client_id: ClientId) {
    loop {
        world.pause_ms(world.chance().between(0, world.plan.idle_ms_max)).await;
        if world.phase.get() == Phase::Quiet {
            return;
        }
        if world.chance().per_mille(30) {
            kick(&world, &client_id);
        }
        let nodes = world.nodes();
        let Some(node) = world.chance().one_of(&nodes).copied() else { return };
        let mut link = world.dial(node, request(&world, &client_id));
        let patience = world.chance().between(PATIENCE_MS.0, PATIENCE_MS.1);
        match link.connected(&world, patience).await {
            Some(true) => stay(&world, link).await,
            Some(false) => {}
            None => link.say(&world, FromClient::Gone, world.delay_us()),
        }
    }
}

/// Stays for a while, and leaves in one way or another, or is left.
async fn stay(world: &Rc<World>, mut link: Link) {
    let ms = world.chance().between(0, world.plan.stay_ms_max);
    let open = tokio::select! {
        biased;
        () = link.closed() => false,
        () = world.pause_ms(ms) => true,
    };
    if !open {
        return;
    }
    if world.phase.get() == Phase::Quiet {
        // Nobody leaves any more.
        link.closed().await;
        return pending().await;
    }
    match world.chance().between(0, 9) {
        0..=3 => link.say(world, FromClient::Disconnect(0), world.delay_us()),
        4 | 5 => link.say(world, FromClient::Disconnect(4), world.delay_us()),
        6 | 7 => link.say(world, FromClient::Gone, world.delay_us()),
        _ => link.say(world, FromClient::Gone, world.chance().between(0, UNNOTICED_MS_MAX * 1000)),
    }
}

/// A CONNECT of this client.
fn request(world: &World, client_id: &ClientId) -> Request {
    let chance = world.chance();
    let session_expiry_s = match chance.between(0, 4) {
        0 => SESSION_NEVER_EXPIRES_S,
        1 => 0,
        _ => seconds(chance),
    };
    let will = chance.per_mille(500).then(|| Will {
        message: Message {
            topic: format!("gone/{client_id}"),
            payload: Vec::new(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: MessageProperties::default(),
        },
        delay_s: if chance.per_mille(400) { 0 } else { seconds(chance) },
    });
    Request {
        socket: world.number(),
        client_id: client_id.clone(),
        clean_start: chance.per_mille(400),
        session_expiry_s,
        will,
    }
}

fn seconds(chance: &Chance) -> u32 {
    u32::try_from(chance.between(0, WILL_S_MAX)).unwrap_or(0)
}

/// An operator ends the client's connection, by some node.
fn kick(world: &Rc<World>, client_id: &ClientId) {
    let nodes = world.nodes();
    let Some(node) = world.chance().one_of(&nodes).copied() else { return };
    let Some(process) = world.machine(node).running() else { return };
    let client_id = client_id.clone();
    world.scheduler.spawn(Some(node), async move {
        let _ = process.kick(client_id).await;
    });
}

/// One asker, until the run ends. While everything is whole, it must be answered.
pub async fn asker(world: Rc<World>) {
    loop {
        world.pause_ms(world.chance().between(1, 100)).await;
        let phase = world.phase.get();
        if phase == Phase::Quiet {
            return;
        }
        let nodes = world.nodes();
        let (Some(node), Some(client_id)) = (world.chance().one_of(&nodes), world.chance().one_of(&world.clients))
        else {
            return;
        };
        if world.ask(*node, client_id).await.is_none() && phase == Phase::Whole {
            world.oracle.not_served(&world, format!("node {node} does not answer about {client_id}"));
        }
    }
}

/// A client that nobody else uses connects to a node, is asked about everywhere, and leaves. `Err` says who did not serve.
pub async fn probe(world: &Rc<World>, node: NodeId, within_ms: Ms) -> Result<(), String> {
    let Some(probe) = world.all_clients.last().cloned() else { return Ok(()) };
    let request = Request {
        socket: world.number(),
        client_id: probe.clone(),
        clean_start: true,
        session_expiry_s: 0,
        will: None,
    };
    let mut link = world.dial(node, request);
    if link.connected(world, within_ms).await != Some(true) {
        return Err(format!("node {node} does not let a client in"));
    }
    for asked in world.nodes().into_iter().filter(|node| world.is_up(*node)) {
        match world.ask(asked, &probe).await {
            Some(answer) if answer.online && answer.node == Some(node) => {}
            answer => return Err(format!("node {asked} answers {answer:?} about a client of node {node}")),
        }
    }
    link.say(world, FromClient::Disconnect(0), 0);
    world.pause_ms(within_ms).await;
    for asked in world.nodes().into_iter().filter(|node| world.is_up(*node)) {
        match world.ask(asked, &probe).await {
            Some(answer) if !answer.online => {}
            answer => return Err(format!("node {asked} answers {answer:?} about a client that has left")),
        }
    }
    Ok(())
}
