//! How a simulated process calls its peers and answers them: what the mesh does in a real node.

use crate::network::{Body, Network, Packet};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rollcall_contracts::{CallError, PeerCall, PeerLinks};
use rollcall_proto::Kind;
use rollcall_raft::Replication;
use rollcall_types::NodeId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    sync::{mpsc::Receiver, oneshot},
    task::JoinSet,
    time::timeout,
};

/// A snapshot's connection that says nothing for so long is given up; the mesh learns it from its keep-alive.
const SNAPSHOT_SILENCE: Duration = Duration::from_secs(2);

/// The calls of one process.
pub(crate) struct Links {
    me: NodeId,
    network: Network,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    last: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Result<Bytes, CallError>>>,
    /// Peers of which the last call brought no answer.
    silent: BTreeSet<NodeId>,
}

impl Links {
    /// `calls_from` must be greater than any number that an earlier process of the node used.
    pub(crate) fn new(me: NodeId, network: Network, calls_from: u64) -> Self {
        Links { me, network, pending: Mutex::new(Pending { last: calls_from, ..Pending::default() }) }
    }

    async fn ask(&self, to: NodeId, body: Body, deadline: Duration) -> Result<Bytes, CallError> {
        let (reply, answer) = oneshot::channel();
        let call = {
            let mut pending = self.pending.lock();
            pending.last += 1;
            let call = pending.last;
            pending.waiting.insert(call, reply);
            call
        };
        self.network.send(Packet { from: self.me, to, call, body });
        let answer = timeout(deadline, answer).await;
        let mut pending = self.pending.lock();
        pending.waiting.remove(&call);
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(CallError::Unknown("no answer in time".to_owned())),
        };
        match answer {
            Ok(_) | Err(CallError::Refused(_)) => pending.silent.remove(&to),
            Err(_) => pending.silent.insert(to),
        };
        answer
    }

    fn answered(&self, call: u64, answer: Result<Bytes, CallError>) {
        if let Some(waiter) = self.pending.lock().waiting.remove(&call) {
            let _ = waiter.send(answer);
        }
    }

    /// Takes what arrives, for as long as the process lives.
    pub(crate) async fn serve(
        self: Arc<Self>,
        mut inbox: Receiver<Packet>,
        replication: Arc<OnceLock<Arc<Replication>>>,
    ) {
        let mut work = JoinSet::new();
        loop {
            let Packet { from, call, body, .. } = tokio::select! {
                biased;
                packet = inbox.recv() => match packet {
                    Some(packet) => packet,
                    None => return,
                },
                Some(_) = work.join_next() => continue,
            };
            if let Body::Answer(answer) = body {
                self.answered(call, answer);
                continue;
            }
            let Some(replication) = replication.get().cloned() else {
                self.answer(from, call, Err("the node is starting".to_owned()));
                continue;
            };
            let links = Arc::clone(&self);
            work.spawn(async move {
                if let Some(answer) = handle(&replication, from, body).await {
                    links.answer(from, call, answer);
                }
            });
        }
    }

    fn answer(&self, to: NodeId, call: u64, answer: Result<Bytes, String>) {
        let body = Body::Answer(answer.map_err(CallError::Refused));
        self.network.send(Packet { from: self.me, to, call, body });
    }
}

/// `None` when the caller has given up meanwhile: the mesh drops the work then.
async fn handle(replication: &Replication, from: NodeId, body: Body) -> Option<Result<Bytes, String>> {
    let within = |deadline_ms: u32| Duration::from_millis(u64::from(deadline_ms));
    match body {
        Body::Call { kind, group, payload, deadline_ms } => {
            let known = i32::try_from(kind).ok().and_then(|kind| Kind::try_from(kind).ok());
            let call = PeerCall { from, kind, group, payload, deadline_ms };
            match known {
                Some(kind) => timeout(within(deadline_ms), replication.answer_peer(kind, call)).await.ok(),
                None => Some(Err(format!("there is no kind {kind}"))),
            }
        }
        Body::Snapshot { group, head, data, deadline_ms } => {
            timeout(within(deadline_ms), replication.answer_snapshot(group, &head, data)).await.ok()
        }
        Body::Answer(_) => None,
    }
}

#[async_trait]
impl PeerLinks for Links {
    async fn call(
        &self,
        to: NodeId,
        kind: u32,
        group: u32,
        _lane: u32,
        payload: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        let deadline_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        self.ask(to, Body::Call { kind, group, payload, deadline_ms }, deadline).await
    }

    async fn send_snapshot(
        &self,
        to: NodeId,
        group: u32,
        head: Bytes,
        data: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        let deadline_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        self.ask(to, Body::Snapshot { group, head, data, deadline_ms }, deadline.min(SNAPSHOT_SILENCE)).await
    }

    fn is_reached(&self, peer: NodeId) -> bool {
        !self.pending.lock().silent.contains(&peer)
    }
}
