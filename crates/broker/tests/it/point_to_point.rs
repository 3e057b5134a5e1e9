//! Messages for one client, with no subscription.

use crate::{
    fakes::FakeOwners,
    world::{World, deliveries, id, message},
};
use rollcall_contracts::{CallError, StatusAnswer, StatusError};
use rollcall_session::PublishVerdict;
use rollcall_types::{Epoch, LogIndex, NodeName, PartitionId};
use std::sync::Arc;

fn status(online: bool, epoch: u64, node: &str) -> StatusAnswer {
    StatusAnswer {
        online,
        partition: PartitionId(0),
        index: LogIndex(9),
        epoch: Some(Epoch(epoch)),
        node: online.then(|| NodeName(node.to_owned())),
    }
}

#[tokio::test]
async fn a_client_here_gets_it_by_its_present_connection_and_nobody_else_does() {
    let world = World::default();
    let (a, b) = (world.connect("a").await, world.connect("b").await);
    world.subscribe(&b, "#");
    let to_a = message("first/p2p/a");
    let epoch = a.connection().epoch();
    *world.store.status.lock().unwrap() = Some(Ok(status(true, epoch.0, "here")));
    let verdict = world.broker.publish(b.connection(), &to_a).verdict().await;
    assert_eq!(verdict, PublishVerdict::Accepted { matched: true });
    let got = deliveries(a.connection());
    assert_eq!((got.len(), got[0].message.topic.as_str(), got[0].retain), (1, "first/p2p/a", false));
    assert_eq!(deliveries(b.connection()).len(), 0);
    assert!(world.peers.published.lock().unwrap().is_empty());
    assert!(!world.broker.deliver_to_client(&id("a"), Epoch(epoch.0 + 1), &to_a), "a later connection is elsewhere");
}

#[tokio::test]
async fn a_client_elsewhere_gets_it_through_its_node_and_one_that_is_offline_not_at_all() {
    let world = World::default();
    let b = world.connect("b").await;
    let owners = Arc::new(FakeOwners::default());
    world.broker.set_owner_links(owners.clone());
    let to_far = message("x/p2p/far/away");
    *world.store.status.lock().unwrap() = Some(Ok(status(true, 40, "n2")));
    let verdict = world.broker.publish(b.connection(), &to_far).verdict().await;
    assert_eq!(verdict, PublishVerdict::Accepted { matched: true });
    assert_eq!(*owners.sent.lock().unwrap(), [("n2".to_owned(), "far/away".to_owned(), Epoch(40))]);
    let unavailable = |may_have_happened| PublishVerdict::Unavailable { may_have_happened };
    for (answer, expected) in [
        (Ok(false), PublishVerdict::NoReceiver),
        (Err(CallError::Full), unavailable(false)),
        (Err(CallError::Unknown("cut".to_owned())), unavailable(true)),
    ] {
        *owners.answer.lock().unwrap() = Some(answer);
        assert_eq!(world.broker.publish(b.connection(), &to_far).verdict().await, expected);
    }
    *world.store.status.lock().unwrap() = Some(Ok(status(false, 40, "")));
    assert_eq!(world.broker.publish(b.connection(), &to_far).verdict().await, PublishVerdict::NoReceiver);
    *world.store.status.lock().unwrap() = Some(Err(StatusError::NotReady));
    assert_eq!(world.broker.publish(b.connection(), &to_far).verdict().await, unavailable(false));
    let forbidden = world.broker.publish(b.connection(), &message("forbidden/p2p/b")).verdict().await;
    assert_eq!(forbidden, PublishVerdict::NotAuthorized, "as any publish");
    assert_eq!(owners.sent.lock().unwrap().len(), 4);
}
