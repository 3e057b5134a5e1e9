//! The instance's quota: over it, a query costs nothing and says when to come back.

use rollcall_test_cluster::{Cluster, Options, deadline};
use std::time::{Duration, Instant};

const LIMIT: u32 = 60;

#[test]
fn over_quota_a_query_gets_429_with_retry_after_and_the_sum_of_all_nodes_stays_within_the_limit() {
    let cluster = Cluster::start(Options { messages_per_second: LIMIT, ..Options::default() });
    let began = Instant::now();
    let (mut admitted, mut refused) = (0_u32, 0_u32);
    while began.elapsed() < Duration::from_secs(3) {
        for place in 0..3 {
            let response = cluster.status(place, "VIN0000001").unwrap();
            match response.status {
                200 => admitted += 1,
                429 => {
                    refused += 1;
                    let wait: u32 =
                        response.header("retry-after").expect("Retry-After").parse().expect("whole seconds");
                    assert!(wait >= 1, "{response:?}");
                    assert_eq!(response.header("content-type"), Some("application/problem+json"));
                    assert!(response.text().contains("\"code\":\"over_quota\""), "{response:?}");
                }
                _ => panic!("{response:?}"),
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    // What one second may hold above the limit, and the second that began before the first query.
    let most = f64::from(LIMIT) * 1.1 * (seconds + 1.0);
    assert!(f64::from(admitted) <= most, "{admitted} admitted in {seconds:.1} s, at most {most:.0}");
    assert!(refused > 0, "the limit was never reached: {admitted} admitted in {seconds:.1} s");
    deadline::until("answered again", Duration::from_secs(3), || cluster.ask(1, "VIN0000001"));
}
