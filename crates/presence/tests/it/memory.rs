//! What a client costs in memory: at most 300 bytes beside its id and its will.

use crate::world::{World, details, owner};
use rollcall_presence::{Batch, Operation, Record};
use rollcall_types::OperationNumber;
use std::{env, fs, process::Command};

const CLIENTS: u64 = 200_000;
const CLIENTS_PER_ENTRY: u64 = 1000;
const BYTES_PER_CLIENT_MAX: u64 = 300;
const MEASURING: &str = "ROLLCALL_PRESENCE_MEASURES_MEMORY";
const RESULT: &str = "resident bytes per client beside its id: ";

#[test]
fn a_record_stays_small() {
    let bytes = size_of::<Record>();
    println!("bytes of a record: {bytes}");
    assert!(bytes <= 112, "a record takes {bytes} bytes");
}

/// Measured in a process of its own, since the other tests of this binary allocate at the same time.
#[test]
#[cfg(target_os = "linux")]
#[allow(clippy::disallowed_methods, reason = "tells the measuring process from the testing one")]
fn a_client_costs_at_most_300_bytes_beside_its_id() {
    if env::var_os(MEASURING).is_some() {
        println!("{RESULT}{}", measure());
        return;
    }
    let this = "memory::a_client_costs_at_most_300_bytes_beside_its_id";
    let child = Command::new(env::current_exe().unwrap())
        .args([this, "--exact", "--nocapture"])
        .env(MEASURING, "1")
        .output()
        .unwrap();
    let output = String::from_utf8(child.stdout).unwrap();
    let result = output.lines().find_map(|line| line.split_once(RESULT)).expect("the measuring process says nothing");
    let bytes: u64 = result.1.trim().parse().unwrap();
    println!("{RESULT}{bytes}");
    assert!(bytes <= BYTES_PER_CLIENT_MAX, "a client costs {bytes} bytes");
    assert!(bytes > 100, "{bytes} bytes cannot hold a record: the measurement is broken");
}

#[cfg(target_os = "linux")]
fn measure() -> u64 {
    let mut world = World::new(0);
    let before = resident_bytes();
    let mut id_bytes = 0;
    for entry in 0..CLIENTS / CLIENTS_PER_ENTRY {
        let first = entry * CLIENTS_PER_ENTRY;
        let operations = (first..first + CLIENTS_PER_ENTRY).map(|number| {
            // In no order, as ids come in; with an account and an address of usual length.
            let mut claim = details(&format!("VIN{:07}", number.wrapping_mul(7_777_777) % 10_000_000));
            id_bytes += u64::try_from(claim.client_id.as_str().len()).unwrap();
            claim.username = format!("user{}", number % 1000);
            claim.peer = format!("192.168.100.{}:{}", number % 256, 10_000 + number % 50_000);
            Operation::Claim(Box::new(claim))
        });
        let batch = Batch { owner: owner(1, 1), first: OperationNumber(first + 1), operations: operations.collect() };
        world.apply_unchecked(world.command(vec![batch], Vec::new()));
    }
    assert_eq!(world.state.online_count(), CLIENTS);
    (resident_bytes() - before - id_bytes) / CLIENTS
}

#[cfg(target_os = "linux")]
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
