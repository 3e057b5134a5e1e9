//! Shared subscriptions: which member of a group gets a message (MQTT 5.0, 4.8.2).
//!
//! The choice is made twice with the same rule. The publisher's node chooses a node among those with members, each as
//! likely as it has members, those without a connection where no others are left; that node chooses one of its own. When
//! the chosen one goes before it has taken charge, the choice is made again without it: [`Group::choose`] takes those that
//! were tried. What does not belong here: queues, links, and who is told.

use crate::Affinity;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};
use xxhash_rust::xxh3::xxh3_64;

/// Members beyond this one that a node has of a group make it no more likely to be the keeper of a client.
const SEATS_MAX: u32 = 64;

/// How a member is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strategy {
    /// One after the other.
    #[default]
    RoundRobin,
    /// By chance.
    Random,
    /// By the publishing client: the same one as long as the members are the same.
    HashOfClient,
}

/// What [`Strategy::HashOfClient`] goes by. Nodes tell it to each other, so it is the same on all of them.
#[must_use]
pub fn hash_of_client(client_id: &str) -> u64 {
    xxh3_64(client_id.as_bytes())
}

/// What a choice may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// A random number, for [`Strategy::Random`].
    pub random: u64,
    /// A hash of the publisher's client id, for [`Strategy::HashOfClient`].
    pub client_hash: u64,
}

/// One group as one node sees it. `M` names a member: a node with some members, or a session.
#[derive(Debug)]
pub struct Group<M> {
    members: BTreeMap<M, Member>,
    /// Round robin's place. Whoever chooses needs no other right than to read.
    turn: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Member {
    weight: u32,
    away: bool,
}

impl<M> Default for Group<M> {
    fn default() -> Self {
        Group { members: BTreeMap::new(), turn: AtomicU64::new(0) }
    }
}

impl<M: Clone> Clone for Group<M> {
    fn clone(&self) -> Self {
        Group { members: self.members.clone(), turn: AtomicU64::new(self.turn.load(Ordering::Relaxed)) }
    }
}

impl<M: Ord + Clone> Group<M> {
    /// Sets how many members this one stands for; with 0 it goes.
    pub fn set(&mut self, member: M, weight: u32) {
        self.set_all(member, weight, false);
    }

    /// The same for members none of which has a connection: they are chosen where no others are left.
    pub fn set_away(&mut self, member: M, weight: u32) {
        self.set_all(member, weight, true);
    }

    fn set_all(&mut self, member: M, weight: u32, away: bool) {
        if weight == 0 {
            self.members.remove(&member);
        } else {
            let member = self.members.entry(member).or_default();
            (member.weight, member.away) = (weight, away);
        }
    }

    /// No member at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether it has this member.
    #[must_use]
    pub fn has(&self, member: &M) -> bool {
        self.members.contains_key(member)
    }

    /// Members in all.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.members.values().map(|member| u64::from(member.weight)).sum()
    }

    /// The member that gets all that is about one client, of those with a connection, if any has one; `None` when there is
    /// none at all. `name` is what every node calls the member: each of them chooses alike while it knows of the same ones.
    pub fn keeper(&self, of: Affinity, name: impl Fn(&M) -> u64) -> Option<M> {
        let all_away = self.members.values().all(|state| state.away);
        let eligible = self.members.iter().filter(|(_, state)| all_away || !state.away);
        let drawn = |(member, state): &(&M, &Member)| {
            let seats = (0..state.weight.min(SEATS_MAX)).map(|seat| {
                let mut candidate = [0; 12];
                candidate[..8].copy_from_slice(&name(member).to_le_bytes());
                candidate[8..].copy_from_slice(&seat.to_le_bytes());
                of.to(&candidate)
            });
            seats.max()
        };
        eligible.max_by_key(drawn).map(|(member, _)| member.clone())
    }

    /// One member that was not tried for this message yet, one with a connection first; `None` when there is none.
    pub fn choose(&self, strategy: Strategy, draw: Draw, tried: &BTreeSet<M>) -> Option<M> {
        self.choose_ranked(strategy, draw, tried, M::clone)
    }

    /// The same where whoever else chooses calls the members by other names: by the hash of a client all choose alike if
    /// `rank` is the same to all.
    pub fn choose_ranked<K: Ord>(
        &self,
        strategy: Strategy,
        draw: Draw,
        tried: &BTreeSet<M>,
        rank: impl Fn(&M) -> K,
    ) -> Option<M> {
        let untried = || self.members.iter().filter(|(member, _)| !tried.contains(*member));
        let all_away = untried().all(|(_, state)| state.away);
        let eligible = || untried().filter(|(_, state)| all_away || !state.away);
        let weight: u64 = eligible().map(|(_, state)| u64::from(state.weight)).sum();
        if weight == 0 {
            return None;
        }
        let mut place = match strategy {
            Strategy::RoundRobin => self.turn.fetch_add(1, Ordering::Relaxed) % weight,
            Strategy::Random => draw.random % weight,
            Strategy::HashOfClient => draw.client_hash % weight,
        };
        let mut serves = |(member, state): (&M, &Member)| {
            if place < u64::from(state.weight) {
                return Some(member.clone());
            }
            place -= u64::from(state.weight);
            None
        };
        if strategy == Strategy::HashOfClient {
            let mut ranked: Vec<_> = eligible().collect();
            ranked.sort_by_key(|(member, _)| rank(member));
            return ranked.into_iter().find_map(serves);
        }
        eligible().find_map(&mut serves)
    }
}
