//! Who of several gets all that is about one client: the same one whoever asks, as long as they are the same several, and
//! when one comes or goes, only what it gets or got moves (rendezvous hashing).

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Seed of the hash of a client id.
const SEED: u64 = 0;

/// What all nodes make of a client id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Affinity(u64);

impl Affinity {
    /// Of this client.
    #[must_use]
    pub fn of(client_id: &str) -> Affinity {
        Affinity(xxh3_64_with_seed(client_id.as_bytes(), SEED))
    }

    /// How much this candidate is drawn to it: the one with the greatest number gets it.
    #[must_use]
    pub fn to(self, candidate: &[u8]) -> u64 {
        xxh3_64_with_seed(candidate, self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn keeper(client: &str, candidates: &[&'static str]) -> &'static str {
        let affinity = Affinity::of(client);
        candidates.iter().copied().max_by_key(|candidate| affinity.to(candidate.as_bytes())).unwrap_or_default()
    }

    #[test]
    fn clients_are_spread_and_only_those_of_the_one_who_leaves_move() {
        let mut shares: BTreeMap<&str, u32> = BTreeMap::new();
        for client in (0..3000).map(|n| format!("client-{n}")) {
            let before = keeper(&client, &["a", "b", "c"]);
            *shares.entry(before).or_default() += 1;
            let after = keeper(&client, &["c", "a"]);
            assert!(before == "b" || before == after, "{client} moved from {before} to {after}");
        }
        assert!(shares.values().all(|share| (800..1200).contains(share)), "{shares:?}");
    }

    #[test]
    fn the_choice_is_the_same_in_every_release() {
        // Two releases serve one cluster side by side.
        assert_eq!(Affinity::of("car").to(b"member"), 13_723_009_188_449_768_900);
    }
}
