//! A cluster of processes, what it answers, and its end.

use crate::config::{Addresses, FORBIDDEN_USER, Options, USER, toml};
use crate::deadline::until;
use crate::disk::Disk;
use crate::http::{self, Response, basic, status_target};
use crate::mqtt::{Connect, Connection, Version};
use crate::network::Network;
use crate::node::Node;
use crate::{metrics, ports};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// From starting the processes to every node ready and answering: room for a busy machine and a build without
/// optimisation.
pub const READY_WITHIN: Duration = Duration::from_secs(60);
/// An election: the time in which a group without a leader finds one.
pub const ELECTION: Duration = Duration::from_secs(2);

static TURN: Mutex<()> = Mutex::new(());

/// One cluster at a time: scenarios measure times, and machines are small. Also, a process in a network namespace holds
/// on to every file system that was mounted when it started, so that disks could not lose their power.
pub(crate) fn take_turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A linearizable answer as it came over HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Online or not.
    pub online: bool,
    /// `Rollcall-Epoch`, if there.
    pub epoch: Option<u64>,
    /// `Rollcall-Partition`.
    pub partition: u32,
    /// `Rollcall-Index`.
    pub index: u64,
    /// `Rollcall-Node`, if there.
    pub node: Option<String>,
}

impl Answer {
    /// Reads what a node answered to a status query.
    ///
    /// # Errors
    /// A sentence, when the answer is anything but a 200 of the right shape.
    pub fn of(response: &Response) -> Result<Answer, String> {
        if response.status != 200 {
            return Err(format!("{} {}", response.status, response.text()));
        }
        let number = |name: &str| response.header(name).and_then(|value| value.parse::<u64>().ok());
        let online = match response.body.as_slice() {
            br#"{"online":true}"# => true,
            br#"{"online":false}"# => false,
            other => return Err(format!("not the bytes promised: {}", String::from_utf8_lossy(other))),
        };
        Ok(Answer {
            online,
            epoch: number("rollcall-epoch"),
            partition: number("rollcall-partition").and_then(|p| u32::try_from(p).ok()).ok_or("no partition")?,
            index: number("rollcall-index").ok_or("no index")?,
            node: response.header("rollcall-node").map(str::to_owned),
        })
    }
}

/// A cluster of real nodes. Everything is killed and taken away when it is dropped; in a failing test the logs' ends are
/// printed first.
pub struct Cluster {
    /// The nodes, `n1` first.
    pub nodes: Vec<Node>,
    /// Their network, when they live in namespaces.
    pub network: Option<Network>,
    /// Their disks, when they are to lose power.
    pub disks: Vec<Disk>,
    options: Options,
    // Last, so that processes and mounts are gone before the folder.
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Three nodes on loopback with the usual options, ready.
    #[must_use]
    pub fn of_three() -> Self {
        Self::start(Options::default())
    }

    /// Nodes on loopback, ready.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let mut cluster = Self::prepared(options, false, false);
        cluster.start_all();
        cluster
    }

    /// Nodes in network namespaces, ready.
    #[must_use]
    pub fn in_namespaces(options: Options) -> Self {
        let mut cluster = Self::prepared(options, true, false);
        cluster.start_all();
        cluster
    }

    /// Nodes on loopback, each with its data on a disk of its own whose power can be cut; ready.
    #[must_use]
    pub fn on_disks(options: Options) -> Self {
        let mut cluster = Self::prepared(options, false, true);
        cluster.start_all();
        cluster
    }

    fn prepared(options: Options, namespaces: bool, disks: bool) -> Self {
        let turn = take_turn();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let network = namespaces.then(|| Network::build(options.nodes));
        let addresses: Vec<Addresses> = (0..options.nodes).map(|node| addresses_of(node, network.as_ref())).collect();
        let seeds: Vec<SocketAddr> = addresses.iter().map(|own| own.mesh).collect();
        let mut mounted = Vec::new();
        let mut nodes = Vec::new();
        for (place, own) in addresses.into_iter().enumerate() {
            let name = format!("n{}", place + 1);
            let mount = folder.path().join(format!("{name}.disk"));
            let data_dir = if disks { mount.join("data") } else { folder.path().join(&name) };
            if disks {
                mounted.push(Disk::mount(&mount));
            }
            let config = folder.path().join(format!("{name}.toml"));
            std::fs::write(&config, toml(&options, &name, &data_dir, &own, &seeds)).expect("the configuration");
            nodes.push(Node::new(&name, own, &config, network.as_ref().map(|network| network.namespace(place))));
        }
        Cluster { nodes, network, disks: mounted, options, folder, _turn: turn }
    }

    /// Starts one more node, which finds the cluster by the same seeds, and gives its place. It may have the name of a
    /// node that is there: then it comes with an empty directory.
    pub fn add_node(&mut self, name: &str) -> usize {
        let place = self.nodes.len();
        let own = addresses_of(place, self.network.as_ref());
        let seeds: Vec<SocketAddr> =
            self.nodes.iter().take(self.options.nodes).map(|node| node.addresses.mesh).collect();
        let data_dir = self.folder.path().join(format!("{name}.{place}"));
        let config = self.folder.path().join(format!("{name}.{place}.toml"));
        std::fs::write(&config, toml(&self.options, name, &data_dir, &own, &seeds)).expect("the configuration");
        let namespace = self.network.as_ref().map(|network| network.namespace(place));
        self.nodes.push(Node::new(name, own, &config, namespace));
        self.nodes[place].start();
        place
    }

    /// Where a node keeps its data.
    #[must_use]
    pub fn data_dir(&self, place: usize) -> std::path::PathBuf {
        let name = &self.nodes[place].name;
        if self.disks.is_empty() {
            self.folder.path().join(name)
        } else {
            self.folder.path().join(format!("{name}.disk/data"))
        }
    }

    /// Starts every node that does not run, and waits until all are ready.
    pub fn start_all(&mut self) {
        for node in &mut self.nodes {
            if !node.is_running() {
                node.kill();
                node.start();
            }
        }
        self.wait_ready();
    }

    /// Waits until every node says that it is ready, and answers a question.
    pub fn wait_ready(&mut self) {
        for place in 0..self.nodes.len() {
            self.wait_node_ready(place);
        }
    }

    /// Waits until the node says that it is ready, and answers a question.
    pub fn wait_node_ready(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let admin = node.addresses.admin;
        until(&format!("{} is ready", node.name), READY_WITHIN, || {
            assert!(node.is_running(), "{} has ended:\n{}", node.name, node.log_end());
            let ready = http::request(admin, "GET", "/readyz", &[])?;
            if ready.status == 200 { Ok(()) } else { Err(format!("{} {}", ready.status, ready.text())) }
        });
        until(&format!("{} answers", self.nodes[place].name), READY_WITHIN, || self.ask(place, "nobody was here"));
    }

    /// The status query of a client at a node, whatever the answer.
    ///
    /// # Errors
    /// A sentence, when there is no HTTP answer.
    pub fn status(&self, place: usize, client_id: &str) -> Result<Response, String> {
        let authorization = basic(USER.0, USER.1);
        self.request(place, "GET", &status_target(client_id), &[("Authorization", &authorization)])
    }

    /// A request to a node's data plane.
    ///
    /// # Errors
    /// A sentence, when there is no HTTP answer.
    pub fn request(
        &self,
        place: usize,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response, String> {
        http::request(self.nodes[place].addresses.http, method, target, headers)
    }

    /// The answer to "is this client online?" at a node.
    ///
    /// # Errors
    /// A sentence, when the answer is anything but a 200 of the right shape.
    pub fn ask(&self, place: usize, client_id: &str) -> Result<Answer, String> {
        Answer::of(&self.status(place, client_id)?).map_err(|wrong| format!("{}: {wrong}", self.nodes[place].name))
    }

    /// Asserts, without any waiting, that each of these nodes gives this answer.
    pub fn assert_online(&self, places: &[usize], client_id: &str, online: bool) {
        for place in places {
            let answer = self.ask(*place, client_id).expect("an answer");
            assert_eq!(answer.online, online, "{client_id} as {} sees it: {answer:?}", self.nodes[*place].name);
        }
    }

    /// Waits until each of these nodes says that the client is online, or that it is not. Returns the time that took.
    pub fn wait_online(&self, places: &[usize], client_id: &str, online: bool, limit: Duration) -> Duration {
        let (_, took) = crate::deadline::timed(&format!("{client_id} online: {online}"), limit, || {
            for place in places {
                let answer = self.ask(*place, client_id)?;
                if answer.online != online {
                    return Err(format!("{} says {answer:?}", self.nodes[*place].name));
                }
            }
            Ok(())
        });
        took
    }

    /// Connects a device over TCP at a node: MQTT 5, clean, five minutes of keep-alive.
    #[must_use]
    pub fn connect(&self, place: usize, client_id: &str) -> Connection {
        self.connect_as(place, &Connect::new(Version::V5, client_id))
    }

    /// Connects a device over TCP at a node.
    #[must_use]
    pub fn connect_as(&self, place: usize, connect: &Connect) -> Connection {
        let (connection, _) = Connection::connect(self.nodes[place].addresses.mqtt, connect)
            .unwrap_or_else(|refused| panic!("{} at {}: {refused:?}", connect.client_id, self.nodes[place].name));
        connection
    }

    /// The lease in force.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.options.lease_ms)
    }

    /// The time after a node's death within which its clients must be offline, an election included.
    #[must_use]
    pub fn offline_within(&self) -> Duration {
        self.lease() + Duration::from_secs(1) + ELECTION
    }

    /// All nodes but this.
    #[must_use]
    pub fn others(&self, place: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|other| *other != place).collect()
    }

    /// Groups that the node leads, as their labels.
    ///
    /// # Errors
    /// A sentence, when the node does not tell.
    pub fn led_by(&self, place: usize) -> Result<Vec<String>, String> {
        let samples = metrics::samples(self.nodes[place].addresses.admin, "rollcall_raft_leader")?;
        Ok(samples.into_iter().filter(|sample| sample.value == 1.0).map(|sample| sample.labels).collect())
    }

    /// The node that leads the cluster group.
    #[must_use]
    pub fn leader(&self) -> usize {
        until("somebody leads the cluster group", READY_WITHIN, || {
            (0..self.nodes.len())
                .find(|place| self.led_by(*place).is_ok_and(|groups| groups.iter().any(|g| g.contains("\"cluster\""))))
                .ok_or_else(|| "nobody does".to_owned())
        })
    }

    /// The authorization header value of the account that may not connect.
    #[must_use]
    pub fn forbidden_authorization() -> String {
        basic(FORBIDDEN_USER.0, FORBIDDEN_USER.1)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut stderr = std::io::stderr();
            for node in &self.nodes {
                drop(writeln!(stderr, "----- the end of the log of {} -----\n{}", node.name, node.log_end()));
            }
        }
        for node in &mut self.nodes {
            node.kill();
        }
    }
}

fn addresses_of(place: usize, network: Option<&Network>) -> Addresses {
    let own = |ip: IpAddr, port: u16| SocketAddr::new(ip, port);
    match network {
        Some(network) => {
            let (clients, peers) = (network.client_address(place), network.peer_address(place));
            Addresses {
                mqtt: own(clients, 1883),
                ws: own(clients, 8083),
                http: own(clients, 8080),
                admin: own(clients, 8081),
                mesh: own(peers, 7400),
            }
        }
        None => {
            let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let free = || own(loopback, ports::free());
            Addresses { mqtt: free(), ws: free(), http: free(), admin: free(), mesh: free() }
        }
    }
}
