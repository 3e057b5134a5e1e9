//! What the other nodes are told of subscriptions, and SUBSCRIBEs that wait until they know.

use crate::{
    fakes::FakeBoard,
    world::{World, poll, requested},
};
use rollcall_broker::{BrokerConfig, HeldClaim, LaterAnswers, Subscribed};
use rollcall_session::{ReasonCode, RequestedSubscription, SubscribeAnswer, UnsubscribeAnswer};
use rollcall_types::{DisconnectReason, QoS};
use std::{sync::Arc, task::Poll};

fn with_board(config: BrokerConfig) -> (World, Arc<FakeBoard>) {
    let (world, board) = (World::new(config), Arc::new(FakeBoard::default()));
    world.broker.set_routes(board.clone());
    (world, board)
}

fn later(world: &World, held: &HeldClaim, filters: &[&str]) -> LaterAnswers {
    let filters: Vec<_> = filters.iter().map(|filter| (requested(filter), None)).collect();
    match world.broker.subscribe(held.connection(), None, &filters) {
        Subscribed::Later(answers) => answers,
        Subscribed::Now(answers) => panic!("nobody was waited for: {answers:?}"),
    }
}

fn granted(is_new: bool) -> SubscribeAnswer {
    SubscribeAnswer::Granted { qos: QoS::AtMostOnce, is_new }
}

#[tokio::test]
async fn each_coming_and_going_is_told_once() {
    let (world, board) = with_board(BrokerConfig::default());
    let (a, b) = (world.connect("a").await, world.connect("b").await);
    world.subscribe(&a, "x/+");
    world.subscribe(&a, "x/+");
    world.subscribe(&b, "x/+");
    world.subscribe(&a, "$share/g/x");
    world.subscribe(&a, "$share/g/x");
    assert_eq!(board.told(), ["+x/+", "+x/+", "$share/g/x 1"], "two sessions, and one member");
    let filters = ["x/+".to_owned(), "y".to_owned()];
    assert_eq!(
        world.broker.unsubscribe(a.connection(), &filters),
        Ok(vec![UnsubscribeAnswer::Removed, UnsubscribeAnswer::NoneThere])
    );
    assert_eq!(board.told(), ["-x/+"]);
    a.release(DisconnectReason::Normal);
    b.release(DisconnectReason::Normal);
    assert_eq!(board.told(), ["$share/g/x 0", "-x/+"]);
}

#[tokio::test]
async fn a_subscribe_is_answered_when_the_others_know() {
    let (world, board) = with_board(BrokerConfig::default());
    let known = board.others();
    let held = world.connect("c").await;
    let mut answers = later(&world, &held, &["a", "$share/g/b"]);
    assert_eq!(board.told(), ["+a", "$share/g/b 1"]);
    assert!(poll(&mut answers).is_pending());
    let mut again = later(&world, &held, &["a"]);
    assert!(poll(&mut again).is_pending(), "the others need not know of the first one yet");
    known.send_replace(Some(true));
    assert_eq!(poll(&mut answers), Poll::Ready(vec![granted(true), granted(true)]));
    assert_eq!(poll(&mut again), Poll::Ready(vec![granted(false)]));
}

#[tokio::test]
async fn what_was_refused_already_waits_for_nobody() {
    let (world, board) = with_board(BrokerConfig::default());
    let _known = board.others();
    let held = world.connect("c").await;
    let refused = Some(ReasonCode::NotAuthorized);
    let answered = world.broker.subscribe(held.connection(), None, &[(requested("a"), refused)]);
    assert!(
        matches!(answered, Subscribed::Now(answers) if answers == [SubscribeAnswer::Refused(ReasonCode::NotAuthorized)])
    );
    assert_eq!(board.told(), Vec::<String>::new());
}

#[tokio::test]
async fn what_the_others_cannot_be_told_is_refused_and_only_what_was_new_goes() {
    let (world, board) = with_board(BrokerConfig { subscribe_deadline_ms: 50, ..BrokerConfig::default() });
    let held = world.connect("c").await;
    world.subscribe(&held, "before");
    let known = board.others();
    for reason in ["they do not answer", "there is no room to tell them"] {
        let answers = later(&world, &held, &["before", "new"]);
        if reason.starts_with("there") {
            known.send_replace(Some(false));
        }
        let refused = SubscribeAnswer::Refused(ReasonCode::UnspecifiedError);
        assert_eq!(answers.await, [refused, refused], "{reason}");
        assert!(board.told().ends_with(&["+new".to_owned(), "-new".to_owned()]));
    }
    let filters = ["before".to_owned(), "new".to_owned()];
    assert_eq!(
        world.broker.unsubscribe(held.connection(), &filters),
        Ok(vec![UnsubscribeAnswer::Removed, UnsubscribeAnswer::NoneThere])
    );
}

#[tokio::test]
async fn a_subscription_of_a_session_that_is_gone_is_not_taken_back_from_another() {
    let (world, board) = with_board(BrokerConfig::default());
    let known = board.others();
    let first = world.connect_for("c", true, 60).await;
    let answers = later(&world, &first, &["a"]);
    let second = world.connect_for("c", false, 60).await;
    assert!(second.session_present());
    known.send_replace(Some(false));
    answers.await;
    assert_eq!(board.told(), ["+a"], "the session goes on with it");
    let requested = RequestedSubscription { qos: QoS::AtLeastOnce, ..requested("a") };
    known.send_replace(Some(true));
    let Subscribed::Later(again) = world.broker.subscribe(second.connection(), None, &[(requested, None)]) else {
        panic!("nobody was waited for")
    };
    assert_eq!(again.await, [SubscribeAnswer::Granted { qos: QoS::AtLeastOnce, is_new: false }]);
}

#[tokio::test]
async fn members_with_a_connection_are_counted_and_all_of_them_where_none_has_one() {
    let (world, board) = with_board(BrokerConfig::default());
    let (a, b) = (world.connect_for("a", true, 60).await, world.connect_for("b", true, 60).await);
    world.subscribe(&a, "$share/g/x");
    world.subscribe(&a, "plain");
    world.subscribe(&b, "$share/g/x");
    assert_eq!(board.told(), ["$share/g/x 1", "+plain", "$share/g/x 2"]);
    a.release(DisconnectReason::ConnectionLost);
    assert_eq!(board.told(), ["$share/g/x 1"]);
    b.release(DisconnectReason::ConnectionLost);
    assert_eq!(board.told(), ["$share/g/x 2 away"]);
    let back = world.connect_for("a", false, 60).await;
    assert!(back.session_present());
    assert_eq!(board.told(), ["$share/g/x 1"]);
    drop(world.connect("b").await);
    assert_eq!(board.told(), ["$share/g/x 1"], "its session is over");
}
