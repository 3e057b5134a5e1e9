//! The devices: real MQTT connections, each held by a task of its own until it leaves or its node is gone.

use super::{PASSWORD, USERNAME, node_process::NodeProcess};
use crate::{
    failure::Failure,
    mqtt::{Connect, MqttConnection},
};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinSet, time::Instant};

/// Keep-alive of the devices, in seconds.
const KEEP_ALIVE_S: u16 = 30;
/// How long a device tries to connect; a node that has just formed a cluster may refuse it at first.
const CONNECT_MAX: Duration = Duration::from_secs(20);
/// Pause between two tries.
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// All devices that are connected. Dropping it ends them without a DISCONNECT.
#[derive(Default)]
pub(super) struct Devices {
    tasks: JoinSet<()>,
    leave: BTreeMap<String, oneshot::Sender<()>>,
}

impl Devices {
    /// Connects a device to a node and returns once its CONNACK is there. A device of the same name is displaced.
    pub(super) async fn connect(&mut self, id: &str, node: &NodeProcess) -> Result<(), Failure> {
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, node.ports().mqtt));
        let connect =
            Connect { client_id: id, keep_alive_s: KEEP_ALIVE_S, username: Some(USERNAME), password: Some(PASSWORD) };
        let deadline = Instant::now() + CONNECT_MAX;
        let mut tries = tokio::time::interval(RETRY_EVERY);
        let connection = loop {
            tries.tick().await;
            match MqttConnection::open(target, None, &connect, deadline).await {
                Ok(connection) => break connection,
                Err(error) if Instant::now() >= deadline => {
                    return Err(Failure::new(format!("{id} cannot connect to {}: {error}", node.name())));
                }
                Err(_) => {}
            }
        };
        let (leave, left) = oneshot::channel();
        // Replacing the sender of a displaced connection makes that one leave; its node hangs up on it anyway.
        self.leave.insert(id.to_owned(), leave);
        self.tasks.spawn(async move {
            let leave = async {
                if left.await.is_err() {
                    // Displaced: only the node may end that connection, so that it is seen to do so.
                    std::future::pending::<()>().await;
                }
            };
            connection.hold(leave).await;
        });
        while self.tasks.try_join_next().is_some() {}
        Ok(())
    }

    /// Makes a device leave with a DISCONNECT; returns once that is sent.
    pub(super) fn disconnect(&mut self, id: &str) {
        if let Some(leave) = self.leave.remove(id) {
            // It may have been sent away already.
            let _ = leave.send(());
        }
    }

    /// The node of these devices is gone; their tasks have noticed.
    pub(super) fn forget(&mut self, ids: &[&str]) {
        for id in ids {
            self.leave.remove(*id);
        }
    }
}
