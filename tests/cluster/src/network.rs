//! Nodes in network namespaces, each with two links: one to the other nodes, one to clients. Cutting the first isolates a
//! node from its peers while clients still reach it.
//!
//! Only `ip` is needed, no packet filter: a link is cut by taking its end at the bridge down, a pair of nodes by routes
//! that lead nowhere.

use crate::tools::run;
use std::net::{IpAddr, Ipv4Addr};

/// The namespaces, bridges and links of one cluster. Dropping it takes all of them away.
pub struct Network {
    id: String,
    nodes: usize,
    subnet: u8,
}

impl Network {
    /// Builds the network for so many nodes. Needs root; see [`crate::tools::namespaces`].
    #[must_use]
    pub fn build(nodes: usize) -> Self {
        let pid = std::process::id();
        // Interface names have at most 15 bytes. The subnet of clients is seen by the whole machine.
        let network = Network { id: format!("rc{pid}"), nodes, subnet: u8::try_from(pid % 250).unwrap_or(0) };
        network.take_away();
        let switch = network.switch();
        ip(&format!("netns add {switch}"));
        for bridge in ["peers", "clients"] {
            ip(&format!("-n {switch} link add {bridge} type bridge"));
            ip(&format!("-n {switch} link set {bridge} up"));
        }
        for node in 0..nodes {
            let namespace = network.namespace(node);
            ip(&format!("netns add {namespace}"));
            ip(&format!("-n {namespace} link set lo up"));
            for (bridge, address) in [("peers", network.peer_address(node)), ("clients", network.client_address(node))]
            {
                let end = format!("{bridge}{node}");
                ip(&format!("link add {end} netns {switch} type veth peer name {bridge} netns {namespace}"));
                ip(&format!("-n {switch} link set {end} master {bridge} up"));
                ip(&format!("-n {namespace} addr add {address}/24 dev {bridge}"));
                ip(&format!("-n {namespace} link set {bridge} up"));
            }
        }
        // The tests' own end.
        let own = &network.id;
        ip(&format!("link add {own} type veth peer name tests netns {switch}"));
        ip(&format!("-n {switch} link set tests master clients up"));
        ip(&format!("addr add 10.93.{}.254/24 dev {own}", network.subnet));
        ip(&format!("link set {own} up"));
        network
    }

    /// The namespace of the bridges, in which the links of node 0 are called `peers0` and `clients0`.
    #[must_use]
    pub fn switch(&self) -> String {
        format!("{}sw", self.id)
    }

    /// The namespace of a node, counted from 0.
    #[must_use]
    pub fn namespace(&self, node: usize) -> String {
        format!("{}n{node}", self.id)
    }

    /// Where clients reach a node.
    #[must_use]
    pub fn client_address(&self, node: usize) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 93, self.subnet, host(node)))
    }

    /// Where other nodes reach a node.
    #[must_use]
    pub fn peer_address(&self, node: usize) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 94, 0, host(node)))
    }

    /// Cuts a node off from all other nodes, not from clients.
    pub fn cut_from_peers(&self, node: usize) {
        ip(&format!("-n {} link set peers{node} down", self.switch()));
    }

    /// Lets two nodes not reach each other any more; all others reach both.
    pub fn cut_pair(&self, one: usize, other: usize) {
        self.holes("add", one, other);
    }

    /// Undoes [`Network::cut_pair`].
    pub fn heal_pair(&self, one: usize, other: usize) {
        self.holes("del", one, other);
    }

    fn holes(&self, what: &str, one: usize, other: usize) {
        for (from, to) in [(one, other), (other, one)] {
            ip(&format!("-n {} route {what} blackhole {}/32", self.namespace(from), self.peer_address(to)));
        }
    }

    /// Undoes [`Network::cut_from_peers`].
    pub fn heal(&self, node: usize) {
        ip(&format!("-n {} link set peers{node} up", self.switch()));
    }

    fn take_away(&self) {
        for namespace in (0..self.nodes).map(|node| self.namespace(node)).chain([self.switch()]) {
            // Links go with their namespace. That one of them is not there is no fault here.
            drop(run("ip", &["netns", "delete", &namespace]));
        }
        drop(run("ip", &["link", "delete", &self.id]));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.take_away();
    }
}

fn host(node: usize) -> u8 {
    u8::try_from(node + 1).expect("few nodes")
}

fn ip(arguments: &str) {
    run("ip", &arguments.split(' ').collect::<Vec<_>>()).expect("the network is built as root");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::take_turn;
    use crate::{deadline, tools};
    use std::net::{SocketAddr, TcpStream};
    use std::process::{Child, Command};
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(10);
    const ECHO: &str = "import socket, sys
listener = socket.create_server((sys.argv[1], 7))
while True: listener.accept()[0].close()";

    struct Echo(Child);
    impl Drop for Echo {
        fn drop(&mut self) {
            drop(self.0.kill());
            drop(self.0.wait());
        }
    }

    /// The fault must be a fault, and no more than that: peers are cut, clients are not.
    #[test]
    fn a_cut_node_is_reached_by_clients_and_not_by_peers_until_it_heals() {
        let there = tools::namespaces() && tools::program("python3");
        if !tools::available("a cut of the network", "root, `ip netns` and python3", there) {
            return;
        }
        let _turn = take_turn();
        let network = Network::build(3);
        let listen = |address: IpAddr| {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &network.namespace(0), "python3", "-c", ECHO, &address.to_string()]);
            Echo(command.spawn().unwrap())
        };
        let _listeners = [listen(network.client_address(0)), listen(network.peer_address(0))];
        let client = || {
            let to = SocketAddr::new(network.client_address(0), 7);
            TcpStream::connect_timeout(&to, Duration::from_secs(1)).map_err(|error| error.to_string())
        };
        let peer = |from: usize| {
            let probe = format!("import socket; socket.create_connection(('{}', 7), 1)", network.peer_address(0));
            run("ip", &["netns", "exec", &network.namespace(from), "python3", "-c", &probe])
        };
        deadline::until("clients reach the node", SOON, client);
        deadline::until("peers reach the node", SOON, || peer(1));
        network.cut_from_peers(0);
        assert!(peer(1).is_err(), "peers still reach a node that is cut off");
        client().unwrap();
        network.heal(0);
        deadline::until("peers reach the node again", SOON, || peer(1));
        network.cut_pair(0, 1);
        assert!(peer(1).is_err(), "a peer still reaches a node that it is cut off from");
        peer(2).expect("the others are not cut");
        client().unwrap();
        network.heal_pair(0, 1);
        deadline::until("the peer reaches the node again", SOON, || peer(1));
    }
}
