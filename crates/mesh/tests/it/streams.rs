//! The ordered stream of a pair: none lost, none doubled, none out of order, whatever happens to the link.

use crate::{
    nodes::{Hello, WITHIN, until, within},
    wire::{Mode, Wire},
};
use bytes::Bytes;
use rollcall_contracts::{PeerCall, PeerHandler};
use rollcall_mesh::{
    IncomingStreams, Mesh, MeshConfig, NotQueued, OutgoingStreams, StreamOpening, StreamTarget, Taken,
};
use rollcall_proto::Kind;
use rollcall_types::{NodeId, NodeName};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

pub(crate) const PEER: NodeId = NodeId(2);

/// Notes what it takes, and says something to every tenth.
#[derive(Default)]
pub(crate) struct Notes {
    taken: Mutex<Vec<Bytes>>,
    pub(crate) count: AtomicUsize,
    /// Items that slow consumers have, and what they ask for.
    slow: Mutex<BTreeMap<Bytes, Duration>>,
}

impl StreamTarget for Notes {
    fn take(&self, _from: NodeId, item: Bytes) -> Taken {
        let answer = said(&item);
        let asks = self.slow.lock().unwrap().get(&item).copied();
        self.taken.lock().unwrap().push(item);
        self.count.fetch_add(1, Ordering::SeqCst);
        match asks {
            Some(wait) => Taken::Slowly(wait),
            None if answer.is_empty() => Taken::Yes,
            None => Taken::Answered(answer),
        }
    }
}

/// What is answered to an item.
pub(crate) fn said(item: &Bytes) -> Bytes {
    let number = item.get(..8).map(|bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
    if number.is_some_and(|number| number % 10 == 0) { item.slice(..8) } else { Bytes::new() }
}

impl Notes {
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let taken = self.taken.lock().unwrap();
        taken
            .iter()
            .filter(|item| item.len() >= 8)
            .map(|item| u64::from_be_bytes(item[..8].try_into().unwrap()))
            .collect()
    }

    pub(crate) fn openings(&self) -> usize {
        self.taken.lock().unwrap().iter().filter(|item| *item == "opening").count()
    }
}

/// Answers the calls of streams.
#[derive(Default)]
pub(crate) struct Answers {
    streams: Mutex<Option<Arc<IncomingStreams>>>,
}

impl Answers {
    pub(crate) fn begin(&self, notes: &Arc<Notes>) {
        *self.streams.lock().unwrap() = Some(Arc::new(IncomingStreams::new(notes.clone())));
    }
}

#[async_trait::async_trait]
impl PeerHandler for Answers {
    async fn handle(&self, call: PeerCall) -> Result<Bytes, String> {
        assert_eq!(call.kind, Kind::Stream as u32);
        let streams = self.streams.lock().unwrap().clone();
        streams.ok_or("this node is starting")?.answer(call.from, call.payload)
    }
}

pub(crate) struct Opens;

impl StreamOpening for Opens {
    fn opening(&self, _to: NodeId) -> Vec<Bytes> {
        vec![Bytes::from_static(b"opening")]
    }
}

pub(crate) fn mesh(id: u64) -> (Arc<Mesh>, Arc<Answers>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = MeshConfig::new(listener, address, "lab".to_owned(), NodeName(format!("n{id}")));
    let answers = Arc::new(Answers::default());
    let mesh = Mesh::start(config, answers.clone(), Arc::new(Hello("hello"))).unwrap();
    mesh.identify(NodeId(id), "c1".to_owned());
    (Arc::new(mesh), answers)
}

struct Pair {
    streams: Arc<OutgoingStreams>,
    notes: Arc<Notes>,
    answers: Arc<Answers>,
    wire: Wire,
    _meshes: [Arc<Mesh>; 2],
}

async fn pair() -> Pair {
    let ((near, _), (far, answers)) = (mesh(1), mesh(2));
    let notes = Arc::new(Notes::default());
    answers.begin(&notes);
    let wire = Wire::to(far.local_addr()).await;
    near.set_peers(BTreeMap::from([(PEER, wire.address.to_string())]));
    let streams = Arc::new(OutgoingStreams::new(near.clone(), Arc::new(Opens)));
    streams.set_peers(&BTreeSet::from([PEER]));
    Pair { streams, notes, answers, wire, _meshes: [near, far] }
}

pub(crate) fn item(number: u64) -> Bytes {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(100, 0);
    bytes.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_cut_again_and_again_loses_and_doubles_nothing() {
    const ITEMS: u64 = 30_000;
    let pair = pair().await;
    let streams = pair.streams.clone();
    let mut sending = JoinSet::new();
    sending.spawn(async move {
        let mut sent = vec![];
        for number in 0..ITEMS {
            sent.push(streams.send(PEER, item(number)).await.unwrap());
            if number % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        sent
    });
    for cut in 1..=5_usize {
        until(|| pair.notes.count.load(Ordering::SeqCst) >= cut * 3000).await;
        pair.wire.set(Mode::Cut);
        tokio::time::sleep(Duration::from_millis(20)).await;
        pair.wire.set(Mode::Pass);
    }
    for (number, sent) in (0..).zip(within(sending.join_next()).await.unwrap().unwrap()) {
        assert_eq!(within(sent.answer()).await, Some(said(&item(number))), "{number}");
    }
    assert_eq!(pair.notes.numbers(), (0..ITEMS).collect::<Vec<_>>());
    assert_eq!(pair.notes.openings(), 1, "it was one stream all the time");
    assert_eq!(pair.streams.backlog(PEER), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_has_started_since_is_told_the_opening_first() {
    let pair = pair().await;
    assert!(within(pair.streams.send(PEER, item(0)).await.unwrap().taken()).await);
    let fresh = Arc::new(Notes::default());
    pair.answers.begin(&fresh);
    for number in 1..10 {
        assert!(within(pair.streams.send(PEER, item(number)).await.unwrap().taken()).await);
    }
    assert_eq!(fresh.taken.lock().unwrap()[0], "opening");
    assert_eq!(fresh.openings(), 1);
    assert_eq!(fresh.numbers(), (1..10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_takes_nothing_makes_senders_wait_until_its_stream_ends() {
    let pair = pair().await;
    pair.wire.set(Mode::Stall);
    let large = Bytes::from(vec![0; 1024 * 1024]);
    let mut sent = vec![];
    while let Ok(one) = pair.streams.try_send(PEER, large.clone()) {
        sent.push(one);
    }
    assert_eq!(sent.len(), 64, "64 MiB");
    assert_eq!(pair.streams.try_send_untold(PEER, item(0)).err(), Some(NotQueued::Full));
    let waiting = pair.streams.send(PEER, item(1));
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending(), "the sender waits");
    pair.streams.set_peers(&BTreeSet::new());
    assert_eq!(within(waiting).await.err(), Some(NotQueued::Gone));
    assert!(!within(sent.pop().unwrap().taken()).await);
    assert_eq!(pair.streams.try_send_untold(PEER, item(0)).err(), Some(NotQueued::Gone));
    within(pair.streams.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_items_arrive_in_order_however_fast_they_are_sent() {
    const ITEMS: u64 = 200_000;
    let pair = pair().await;
    let since = Instant::now();
    let mut last = None;
    for number in 0..ITEMS {
        last = Some(pair.streams.send(PEER, item(number)).await.unwrap());
    }
    assert!(within(last.unwrap().taken()).await);
    println!("{:.0} items/s of 100 bytes", f64::from(u32::try_from(ITEMS).unwrap()) / since.elapsed().as_secs_f64());
    assert_eq!(pair.notes.numbers(), (0..ITEMS).collect::<Vec<_>>());

    // At 20 000 a second: how long one takes until it is acknowledged. Printed, not judged.
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let mut waits = JoinSet::new();
    for _ in 0..1000 {
        tick.tick().await;
        for _ in 0..20 {
            let sent = pair.streams.send(PEER, item(0)).await.unwrap();
            let since = Instant::now();
            waits.spawn(async move { (sent.taken().await, since.elapsed()) });
        }
    }
    let mut times: Vec<Duration> = vec![];
    while let Some(done) = tokio::time::timeout(WITHIN, waits.join_next()).await.unwrap() {
        let (taken, time) = done.unwrap();
        assert!(taken);
        times.push(time);
    }
    times.sort();
    println!("at 20 000/s: median {:?}, p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100]);
}

#[tokio::test]
async fn what_a_slow_consumer_has_counts_as_taken_later_and_holds_up_nothing() {
    const ASKED: Duration = Duration::from_millis(200);
    let pair = pair().await;
    *pair.notes.slow.lock().unwrap() = BTreeMap::from([(item(1), ASKED), (item(2), Duration::MAX)]);
    let begun = Instant::now();
    let mut sent = vec![];
    for number in 0..4 {
        sent.push(pair.streams.send(PEER, item(number)).await.unwrap());
    }
    let mut sent = sent.into_iter();
    let [first, slow, slowest, behind] = std::array::from_fn(|_| sent.next().unwrap());
    assert!(within(first.taken()).await && within(behind.taken()).await);
    let others = begun.elapsed();
    assert_eq!(pair.streams.backlog(PEER), 0, "their room is free");
    let mut slow = std::pin::pin!(slow.taken());
    assert!(outcome_now(slow.as_mut()).is_none(), "it is waited for, {others:?} after it was sent");
    assert!(within(slow).await && begun.elapsed() >= ASKED);
    let asked = begun.elapsed();
    assert!(within(slowest.taken()).await && begun.elapsed() >= Duration::from_millis(500));
    assert!(begun.elapsed() - asked < WITHIN / 2, "no peer can ask for more than the bound");
}

/// The outcome, where there is one at once.
fn outcome_now<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(outcome) => Some(outcome),
        std::task::Poll::Pending => None,
    }
}
