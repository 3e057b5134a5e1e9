//! Sessions without a connection live in a store of whoever runs the broker: what the broker asks of it, and what clients
//! see when it cannot answer.

use crate::world::{World, message_at, topics};
use async_trait::async_trait;
use bytes::Bytes;
use rollcall_broker::{
    Broker, BrokerConfig, DetachedSession, MemorySessions, NotKept, SessionStore, SessionsUnavailable,
};
use rollcall_contracts::{CallError, DeliveryTarget, SessionLinks};
use rollcall_session::{ConnectRefusal, ConnectRequest, ReasonCode};
use rollcall_types::{BootTime, ClientId, DisconnectReason, NodeId, QoS};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Notes what is asked of it; may be out of order, or full.
#[derive(Default)]
struct Watched {
    sessions: MemorySessions,
    asked: Mutex<Vec<&'static str>>,
    is_unavailable: AtomicBool,
    is_full: AtomicBool,
}

impl Watched {
    fn note(&self, what: &'static str) {
        self.asked.lock().unwrap().push(what);
    }

    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[async_trait]
impl SessionStore for Watched {
    fn keep(&self, session: &DetachedSession, until: BootTime) -> Result<Option<DetachedSession>, NotKept> {
        self.note("keep");
        if self.is_full.load(Ordering::SeqCst) { Err(NotKept) } else { self.sessions.keep(session, until) }
    }

    async fn find(&self, client_id: &ClientId) -> Result<Option<DetachedSession>, SessionsUnavailable> {
        self.note("find");
        if self.is_unavailable.load(Ordering::SeqCst) {
            return Err(SessionsUnavailable);
        }
        self.sessions.find(client_id).await
    }

    fn remove(&self, session: &DetachedSession) {
        self.note("remove");
        self.sessions.remove(session);
    }

    fn discard(&self, client_id: &ClientId) -> Option<DetachedSession> {
        self.note("discard");
        self.sessions.discard(client_id)
    }

    fn take_due(&self, now: BootTime, most: usize) -> Vec<DetachedSession> {
        self.note("take due");
        self.sessions.take_due(now, most)
    }

    fn count(&self) -> usize {
        self.sessions.count()
    }
}

fn watched() -> (World, Arc<Watched>) {
    let sessions = Arc::new(Watched::default());
    (World::with_sessions(BrokerConfig::default(), sessions.clone()), sessions)
}

/// A CONNECT that wants to go on with its session.
async fn refused(world: &World, client: &str) -> ConnectRefusal {
    let request = ConnectRequest { clean_start: false, session_expiry_s: 60, ..crate::world::request(client) };
    world.broker.connect(request, crate::world::peer()).await.unwrap_err()
}

#[tokio::test]
async fn a_session_is_in_the_store_exactly_while_no_connection_holds_it() {
    let (world, sessions) = watched();
    let held = world.connect_for("a", true, 60).await;
    assert_eq!((sessions.asked(), sessions.count()), (vec!["find", "discard"], 0), "whose it is, and away with it");
    held.release(DisconnectReason::ConnectionLost);
    assert_eq!((sessions.asked(), sessions.count()), (vec!["keep"], 1));
    let held = world.connect_for("a", false, 60).await;
    assert_eq!((sessions.asked(), sessions.count()), (vec!["find", "remove"], 0));
    // The one that holds it is displaced: it never gets into the store.
    let next = world.connect_for("a", false, 60).await;
    assert!(next.session_present());
    assert_eq!((sessions.asked(), sessions.count()), (vec!["remove"], 0));
    held.release(DisconnectReason::Takeovered);
    assert_eq!(sessions.asked(), [""; 0]);
    next.release(DisconnectReason::ConnectionLost);
    assert_eq!((sessions.asked(), sessions.count()), (vec!["keep"], 1));
    world.lease.pass(60_000);
    world.broker.sweep_sessions();
    assert_eq!((sessions.asked(), sessions.count()), (vec!["take due"], 0));
    // One that ends with its connection.
    world.connect_for("a", true, 0).await.release(DisconnectReason::Normal);
    assert_eq!((sessions.asked(), sessions.count()), (vec!["find", "discard", "remove"], 0));
}

#[tokio::test]
async fn a_client_whose_session_cannot_be_read_is_refused_and_not_given_an_empty_one() {
    let (world, sessions) = watched();
    let held = world.connect_for("a", true, 60).await;
    world.subscribe_at(&held, "t", QoS::AtLeastOnce);
    held.release(DisconnectReason::ConnectionLost);
    world.broker.deliver_local(message_at("t", QoS::AtLeastOnce));
    sessions.is_unavailable.store(true, Ordering::SeqCst);
    let claims = world.store.asked();
    let refusal = refused(&world, "a").await;
    assert_eq!(refusal, ConnectRefusal::SessionsUnavailable);
    assert_eq!(refusal.reason_code(), Some(ReasonCode::ServerUnavailable));
    assert_eq!(world.store.asked(), claims, "nothing is claimed");
    drop(world.connect_for("b", true, 60).await);
    sessions.is_unavailable.store(false, Ordering::SeqCst);
    let back = world.connect_for("a", false, 60).await;
    assert!(back.session_present());
    assert_eq!(topics(back.connection()), ["t"]);
}

#[tokio::test]
async fn a_session_that_cannot_be_kept_ends_with_its_connection() {
    let (world, sessions) = watched();
    let held = world.connect_for("a", true, 60).await;
    world.subscribe_at(&held, "t", QoS::AtLeastOnce);
    sessions.is_full.store(true, Ordering::SeqCst);
    held.release(DisconnectReason::ConnectionLost);
    let other = world.connect("w").await;
    let verdict = world.publish(other.connection(), &message_at("t", QoS::AtLeastOnce));
    assert_eq!(verdict, rollcall_session::PublishVerdict::Accepted { matched: false });
    assert!(!world.connect_for("a", false, 60).await.session_present());
}

struct To(Arc<Broker>);

#[async_trait]
impl SessionLinks for To {
    fn others(&self) -> Vec<NodeId> {
        vec![NodeId(1)]
    }

    async fn ask(&self, _: NodeId, request: Bytes, _: Duration) -> Result<Bytes, CallError> {
        self.0.answer_handover(&request).await.map_err(CallError::Refused)
    }

    async fn flush(&self, _: NodeId) {}
}

#[tokio::test]
async fn a_session_that_another_node_cannot_read_is_not_replaced_by_an_empty_one_either() {
    let (old, sessions) = watched();
    let new = World::default();
    let held = old.connect_for("c", true, 60).await;
    old.subscribe_at(&held, "t", QoS::AtLeastOnce);
    new.store.elsewhere.lock().unwrap().insert(crate::world::id("c"), held.connection().epoch());
    new.store.skip_epochs(100);
    new.broker.set_session_links(Arc::new(To(old.broker.clone())));
    held.release(DisconnectReason::ConnectionLost);
    old.broker.deliver_local(message_at("t", QoS::AtLeastOnce));
    sessions.is_unavailable.store(true, Ordering::SeqCst);
    assert_eq!(refused(&new, "c").await, ConnectRefusal::SessionsUnavailable);
    assert_eq!(new.store.released().len(), 1, "its claim is over");
    assert_eq!(sessions.count(), 1);
    sessions.is_unavailable.store(false, Ordering::SeqCst);
    let moved = new.connect_for("c", false, 60).await;
    assert!(moved.session_present());
    assert_eq!(topics(moved.connection()), ["t"]);
    assert_eq!((sessions.count(), new.broker.sessions_kept()), (0, 0));
}
