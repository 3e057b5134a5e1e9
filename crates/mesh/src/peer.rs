//! One peer: the task that keeps a link to it, and the link that is up now.

use crate::{
    dial::{self, DialError},
    limits::{BACKOFF_FIRST, BACKOFF_MAX, DIAL_DEADLINE, LINK_STEADY, MESSAGE_BYTES_MAX},
    link::{Answer, Link},
    local::Local,
};
use parking_lot::{Mutex, RwLock};
use rand::Rng as _;
use rollcall_contracts::CallError;
use rollcall_proto::{FrameBatch, Request, mesh_client::MeshClient};
use rollcall_types::NodeId;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

/// A peer that this node keeps a link to.
pub(crate) struct Peer {
    id: NodeId,
    address: Mutex<String>,
    /// The address is another one: dial now.
    moved: Notify,
    state: RwLock<State>,
    pub(crate) stop: CancellationToken,
}

enum State {
    Up(Arc<Link>),
    /// Why there is no link.
    Down(String),
}

impl Peer {
    pub(crate) fn new(id: NodeId, address: String, stop: CancellationToken) -> Self {
        let state = RwLock::new(State::Down("not dialled yet".to_owned()));
        Peer { id, address: Mutex::new(address), moved: Notify::new(), state, stop }
    }

    pub(crate) fn address(&self) -> String {
        self.address.lock().clone()
    }

    /// Dials there from now on. A link that is up stays: its other end has proved to be this peer.
    pub(crate) fn move_to(&self, address: &str) {
        let mut present = self.address.lock();
        if *present != address {
            address.clone_into(&mut present);
            self.moved.notify_one();
        }
    }

    pub(crate) fn begin(&self, request: Request, deadline: Duration) -> Result<Answer, CallError> {
        let link = match &*self.state.read() {
            State::Up(link) => Arc::clone(link),
            State::Down(why) => return Err(CallError::Unreachable(why.clone())),
        };
        link.begin(request, deadline)
    }

    /// When the peer last answered something on the link that is up.
    pub(crate) fn heard(&self) -> Option<Instant> {
        match &*self.state.read() {
            State::Up(link) => Some(link.heard()),
            State::Down(_) => None,
        }
    }

    /// Keeps a link to the peer until told to stop.
    pub(crate) async fn run(self: Arc<Self>, local: Arc<Local>) {
        let mut identity = local.identity.subscribe();
        let mut pause = BACKOFF_FIRST;
        let mut last_failure = String::new();
        loop {
            let known = identity.wait_for(Option::is_some);
            match self.stop.run_until_cancelled(known).await {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            }
            let opened =
                match self.stop.run_until_cancelled(tokio::time::timeout(DIAL_DEADLINE, self.open(&local))).await {
                    None => break,
                    Some(Ok(opened)) => opened,
                    Some(Err(_)) => {
                        let ms = DIAL_DEADLINE.as_millis();
                        Err(DialError::Unreachable(format!("{} gave no link within {ms} ms", self.address())))
                    }
                };
            match opened {
                Ok((link, answers)) => {
                    tracing::info!(peer = %self.id, node = %local.name, "link up");
                    last_failure.clear();
                    let since = Instant::now();
                    let why = self.hold(&local, &link, answers).await;
                    tracing::info!(peer = %self.id, node = %local.name, %why, "link down");
                    if since.elapsed() >= LINK_STEADY {
                        pause = BACKOFF_FIRST;
                    }
                }
                Err(error) => {
                    let why = error.to_string();
                    if why == last_failure {
                        tracing::debug!(peer = %self.id, %why, "no link");
                    } else {
                        tracing::warn!(peer = %self.id, %why, "no link");
                    }
                    last_failure.clone_from(&why);
                    *self.state.write() = State::Down(why);
                }
            }
            let wait = pause.mul_f64(rand::rng().random_range(0.5..=1.0));
            pause = (pause * 2).min(BACKOFF_MAX);
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = self.moved.notified() => pause = BACKOFF_FIRST,
                () = tokio::time::sleep(wait) => {}
            }
        }
        *self.state.write() = State::Down("this node keeps no link to the peer any more".to_owned());
    }

    async fn open(&self, local: &Local) -> Result<(Arc<Link>, Streaming<FrameBatch>), DialError> {
        let dialled = dial::dial(local, &self.address(), Some(self.id)).await?;
        let mut client = MeshClient::new(dialled.channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (link, batches) = Link::new(local.call_queue_max, Arc::clone(&local.metrics));
        let answers = client.link(batches).await;
        let answers = answers.map_err(|status| DialError::Unreachable(dial::sentence(&status)))?;
        Ok((link, answers.into_inner()))
    }

    /// Serves a link until it breaks; then everything that waits on it is unknown at once.
    async fn hold(&self, local: &Local, link: &Arc<Link>, mut answers: Streaming<FrameBatch>) -> String {
        *self.state.write() = State::Up(Arc::clone(link));
        local.set_connected(self.id, true);
        let mut identity = local.identity.subscribe();
        identity.mark_unchanged();
        let mut stopped = std::pin::pin!(self.stop.cancelled());
        let mut renamed = std::pin::pin!(identity.changed());
        let why = loop {
            let message = tokio::select! {
                biased;
                () = &mut stopped => break "this node has ended it".to_owned(),
                _ = &mut renamed => break "this node has another id now".to_owned(),
                message = answers.message() => message,
            };
            let taken = match message {
                Ok(Some(batch)) => dial::check_version(batch.version).and_then(|()| link.receive(batch)),
                Ok(None) => Err("the peer has ended it".to_owned()),
                Err(status) => Err(dial::sentence(&status)),
            };
            if let Err(why) = taken {
                break why;
            }
        };
        // In this order: who learns of a failed call finds the link down.
        *self.state.write() = State::Down(why.clone());
        local.set_connected(self.id, false);
        link.end(&why);
        local.metrics.breaks.increment(1);
        why
    }
}
