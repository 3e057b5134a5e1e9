//! What many filters cost: memory of this process, and the time of a match, which is only printed.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![cfg(target_os = "linux")]

use rollcall_routing::SubscriptionTable;

const FILTERS: u64 = 250_000;
/// So that a million filters take at most 250 MB.
const BYTES_A_FILTER_MAX: u64 = 250;

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("pages") * 4096
}

fn filter(i: u64) -> String {
    match i % 4 {
        0 => format!("fleet/{i:06}/+/state"),
        1 => format!("fleet/{i:06}/#"),
        _ => format!("fleet/{i:06}/state"),
    }
}

#[test]
fn a_filter_of_a_session_of_its_own_costs_at_most_250_bytes() {
    let before = resident_bytes();
    let mut table = SubscriptionTable::<u64, u64>::with_seed(7);
    for i in 0..FILTERS {
        table.add(i, &filter(i), i);
    }
    let bytes = (resident_bytes() - before) / FILTERS;
    #[allow(clippy::disallowed_methods)] // a figure for people, not a rule
    let began = std::time::Instant::now();
    let mut found = 0_u64;
    for i in 0..FILTERS {
        table.for_each_match(&format!("fleet/{i:06}/state"), |_, _| found += 1);
    }
    #[allow(clippy::disallowed_methods)]
    let each = began.elapsed().as_nanos() / u128::from(FILTERS);
    println!("{bytes} bytes a filter, {each} ns a match, among {FILTERS} filters");
    assert_eq!(found, FILTERS / 4 * 3);
    assert!(bytes <= BYTES_A_FILTER_MAX, "{bytes} bytes a filter");
}
