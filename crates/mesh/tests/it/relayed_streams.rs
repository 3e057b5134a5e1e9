//! Streams whose ways change: none lost, none doubled, none out of order, and nothing taken for acknowledged that is not.

use crate::{
    nodes::{until, within},
    streams::{Answers, Notes, Opens, PEER, item, mesh, said},
    wire::{Mode, Wire},
};
use rollcall_mesh::{Mesh, NotQueued, OutgoingStreams, Sent};
use rollcall_types::NodeId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

/// Node 1 with a stream to node 2, and node 3 that both reach.
struct Trio {
    near: Arc<Mesh>,
    common: Arc<Mesh>,
    streams: Arc<OutgoingStreams>,
    notes: Arc<Notes>,
    /// From 1 to 2.
    wire: Wire,
    /// From 3 to 2.
    common_wire: Wire,
    _far: (Arc<Mesh>, Arc<Answers>),
}

async fn trio() -> Trio {
    let ((near, _), (far, answers), (common, _)) = (mesh(1), mesh(2), mesh(3));
    let notes = Arc::new(Notes::default());
    answers.begin(&notes);
    let (wire, common_wire) = (Wire::to(far.local_addr()).await, Wire::to(far.local_addr()).await);
    let address = |mesh: &Arc<Mesh>| mesh.local_addr().to_string();
    near.set_peers(BTreeMap::from([(PEER, wire.address.to_string()), (NodeId(3), address(&common))]));
    common.set_peers(BTreeMap::from([(PEER, common_wire.address.to_string()), (NodeId(1), address(&near))]));
    far.set_peers(BTreeMap::from([(NodeId(1), address(&near)), (NodeId(3), address(&common))]));
    let streams = Arc::new(OutgoingStreams::new(near.clone(), Arc::new(Opens)));
    streams.set_peers(&BTreeSet::from([PEER]));
    Trio { near, common, streams, notes, wire, common_wire, _far: (far, answers) }
}

impl Trio {
    async fn is_relayed(&self, relayed: bool) {
        until(|| self.near.relayed().contains_key(&PEER) == relayed).await;
    }

    /// Waits until so many more have come than now.
    async fn moves(&self, by: usize) {
        let now = self.notes.count.load(Ordering::SeqCst);
        until(|| self.notes.count.load(Ordering::SeqCst) >= now + by).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_goes_over_the_common_node_and_back_again_loses_and_doubles_nothing() {
    let trio = trio().await;
    let (sent, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (streams, counted, ends) = (trio.streams.clone(), sent.clone(), over.clone());
    let mut sending: JoinSet<Vec<Sent>> = JoinSet::new();
    sending.spawn(async move {
        let (mut waiting, mut pace) = (vec![], tokio::time::interval(Duration::from_millis(2)));
        while !ends.load(Ordering::SeqCst) {
            for _ in 0..50 {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                waiting.push(streams.send(PEER, item(number)).await.unwrap());
            }
            pace.tick().await;
        }
        waiting
    });
    trio.moves(500).await;
    for _ in 0..3 {
        trio.wire.set(Mode::Cut);
        trio.is_relayed(true).await;
        trio.moves(500).await;
        trio.wire.set(Mode::Pass);
        trio.is_relayed(false).await;
        trio.moves(500).await;
    }
    over.store(true, Ordering::SeqCst);
    let waiting = within(sending.join_next()).await.unwrap().unwrap();
    for (number, sent) in (0..).zip(waiting) {
        assert_eq!(within(sent.answer()).await, Some(said(&item(number))), "{number}");
    }
    assert_eq!(trio.notes.numbers(), (0..sent.load(Ordering::SeqCst)).collect::<Vec<_>>());
    assert_eq!(trio.notes.openings(), 1, "it was one stream all the time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_counts_as_taken_while_no_way_is_left_and_everything_is_taken_once_there_is_one() {
    let trio = trio().await;
    assert!(within(trio.streams.send(PEER, item(1)).await.unwrap().taken()).await);
    trio.wire.set(Mode::Cut);
    trio.is_relayed(true).await;
    assert!(within(trio.streams.send(PEER, item(2)).await.unwrap().taken()).await);
    // What the common node has taken, nobody has: it hangs there.
    trio.common_wire.set(Mode::Stall);
    let mut hanging = std::pin::pin!(trio.streams.send(PEER, item(3)).await.unwrap().answer());
    trio.is_relayed(false).await;
    assert!(futures_util::poll!(hanging.as_mut()).is_pending());
    trio.common.shutdown().await;
    let mut held = vec![];
    let large = bytes::Bytes::from(vec![0; 1024 * 1024]);
    while let Ok(one) = trio.streams.try_send(PEER, large.clone()) {
        held.push(one);
        assert!(held.len() < 65, "the queue has an end");
    }
    assert_eq!(trio.streams.try_send_untold(PEER, large).err(), Some(NotQueued::Full));
    assert!(futures_util::poll!(hanging.as_mut()).is_pending());
    trio.wire.set(Mode::Pass);
    assert!(within(hanging).await.is_some());
    for one in held {
        assert!(within(one.taken()).await);
    }
    assert_eq!(trio.notes.numbers().into_iter().filter(|number| *number > 0).collect::<Vec<_>>(), [1, 2, 3]);
}
