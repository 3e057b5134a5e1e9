//! Many small calls: all answered rightly; how fast is printed, not judged.

use crate::nodes::{ECHO, WITHIN, pair};
use bytes::Bytes;
use rollcall_types::NodeId;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

const PEER: NodeId = NodeId(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_calls_are_each_answered_with_their_own_payload() {
    const ALONE: u32 = 5_000;
    const TOGETHER: u32 = 100_000;
    const UNDER_WAY: usize = 1024;
    let (first, _second) = pair(|_| {}).await;
    let mut times: Vec<Duration> = Vec::new();
    for number in 0..ALONE {
        let payload = Bytes::copy_from_slice(&number.to_be_bytes());
        let since = Instant::now();
        assert_eq!(first.mesh.call(PEER, ECHO, 0, 0, payload.clone(), WITHIN).await, Ok(payload));
        times.push(since.elapsed());
    }
    times.sort();
    println!("one at a time: median {:?}, p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100]);
    for lane in [0, 1] {
        let since = Instant::now();
        let mut under_way = VecDeque::new();
        for number in 0..TOGETHER {
            let payload = Bytes::copy_from_slice(&number.to_be_bytes());
            under_way.push_back((number, first.mesh.begin_call(PEER, ECHO, 0, lane, payload, WITHIN).unwrap()));
            if under_way.len() == UNDER_WAY {
                let (expected, answer) = under_way.pop_front().unwrap();
                assert_eq!(answer.wait().await.unwrap().as_ref(), expected.to_be_bytes());
            }
        }
        for (expected, answer) in under_way {
            assert_eq!(answer.wait().await.unwrap().as_ref(), expected.to_be_bytes());
        }
        let per_second = f64::from(TOGETHER) / since.elapsed().as_secs_f64();
        println!("{UNDER_WAY} at a time, lane {lane}: {per_second:.0} calls/s");
    }
}
