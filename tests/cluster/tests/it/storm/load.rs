//! The storm itself: clients that reconnect in a tight loop, each worker going through its share of them. What does not
//! belong here: who watches, and which nodes die meanwhile.

use super::told::client_id;
use rollcall_test_cluster::mqtt::{Connect, Connection, Version};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// Clients that one worker goes through.
const SHARE: u32 = 40;
const WORKERS_MIN: u32 = 8;
/// Connects under way at the same time: each waits for a quorum, and they share its rounds.
const WORKERS_MAX: u32 = 96;

/// What the workers are told, and tell.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) over: AtomicBool,
    /// Connects whose CONNACK came.
    pub(crate) connects: AtomicU64,
}

/// How many workers go through so many clients.
pub(crate) fn workers(clients: u32) -> u32 {
    (clients / SHARE).clamp(WORKERS_MIN, WORKERS_MAX).min(clients)
}

/// The choices of one worker: the same each time, and different from those of the others.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        // Steele and Vigna's splitmix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % sides as u64).unwrap_or(0)
    }
}

/// Goes through every `step`-th client from `first` on, again and again: one that is away comes; one that is here leaves
/// with a word, leaves without one, or is taken over from elsewhere. What is still open at the end is dropped.
pub(crate) fn reconnect(nodes: &[SocketAddr], (first, step): (u32, u32), clients: u32, progress: &Progress) {
    let mut dice = Dice(u64::from(first));
    let mine = (first..clients).step_by(usize::try_from(step).unwrap_or(1));
    let mut mine: Vec<(u32, Option<Connection>)> = mine.map(|client| (client, None)).collect();
    while !mine.is_empty() {
        for (client, connection) in &mut mine {
            if progress.over.load(SeqCst) {
                return;
            }
            match (connection.take(), dice.below(4)) {
                (Some(open), 0) => drop(open.disconnect()),
                (Some(open), 1) => drop(open),
                (displaced, _) => {
                    let to = nodes[dice.below(nodes.len())];
                    let connect = Connect::new(Version::V5, &client_id(*client));
                    // A node that is dead, or has no quorum, refuses; the client's turn comes again.
                    if let Ok((open, _)) = Connection::connect(to, &connect) {
                        progress.connects.fetch_add(1, SeqCst);
                        *connection = Some(open);
                    } else {
                        *connection = displaced;
                    }
                }
            }
        }
    }
}
