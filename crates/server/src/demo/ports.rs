//! Free ports for the demo's nodes: the familiar ones where they are free, any others where not.

use crate::failure::Failure;
use std::net::{Ipv4Addr, TcpListener};

/// The ports of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodePorts {
    pub(super) mqtt: u16,
    pub(super) http: u16,
    pub(super) admin: u16,
    pub(super) mesh: u16,
}

/// The ports that node 0 would like; the others follow.
const WANTED: NodePorts = NodePorts { mqtt: 1881, http: 8080, admin: 8190, mesh: 7401 };

/// Ports that are free now, all different.
pub(super) fn choose(nodes: usize) -> Result<Vec<NodePorts>, Failure> {
    // All are held until the last is found, so that none is found twice.
    let mut held = Vec::new();
    let mut pick = |wanted: u16, offset: usize| -> Result<u16, Failure> {
        let wanted = u16::try_from(offset).ok().and_then(|offset| wanted.checked_add(offset)).unwrap_or(0);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .map_err(|error| Failure::io("no free port on 127.0.0.1", &error))?;
        let port = listener.local_addr().map_err(|error| Failure::io("a port has no number", &error))?.port();
        held.push(listener);
        Ok(port)
    };
    (0..nodes)
        .map(|node| {
            Ok(NodePorts {
                mqtt: pick(WANTED.mqtt, node)?,
                http: pick(WANTED.http, node)?,
                admin: pick(WANTED.admin, node)?,
                mesh: pick(WANTED.mesh, node)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::choose;
    use std::{collections::BTreeSet, net::TcpListener};

    #[test]
    fn all_ports_differ_and_a_taken_one_is_avoided() {
        // Whether or not 8080 was free, it is taken now.
        let taken = TcpListener::bind("127.0.0.1:8080");
        let ports = choose(3).unwrap();
        let all: BTreeSet<u16> = ports.iter().flat_map(|node| [node.mqtt, node.http, node.admin, node.mesh]).collect();
        assert_eq!(all.len(), 12);
        assert!(!all.contains(&8080));
        assert!(all.iter().all(|port| *port != 0));
        drop(taken);
    }
}
