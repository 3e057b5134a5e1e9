//! The members of shared subscriptions on this node, and whose turn it is.

use crate::{client_session::ClientSession, subscriptions::Options};
use rollcall_routing::{Affinity, Strategy};
use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// All groups of this node, by number.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    by_number: HashMap<u64, Group>,
    /// By whole filter, `$share/group/filter`.
    by_name: HashMap<Arc<str>, u64>,
    /// The whole filters of each session, by its number.
    of_session: HashMap<u64, Vec<Arc<str>>>,
    next: u64,
    /// Members of all groups together.
    count: usize,
    strategy: Strategy,
    /// Where chance comes from: clients cannot foresee how it hashes.
    chance: RandomState,
}

/// One group and filter.
#[derive(Debug)]
struct Group {
    name: Arc<str>,
    members: Vec<(Arc<ClientSession>, Options)>,
    turn: AtomicUsize,
}

/// What adding a member came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Joined {
    pub(crate) group: u64,
    /// The group is new: its filter has to be matched from now on.
    pub(crate) is_first: bool,
    /// The session was no member before.
    pub(crate) is_new: bool,
}

impl Groups {
    pub(crate) fn new(strategy: Strategy) -> Self {
        Groups { strategy, ..Groups::default() }
    }

    pub(crate) fn join(&mut self, session: &Arc<ClientSession>, whole: &str, options: Options) -> Joined {
        let (number, is_first) = match self.by_name.get(whole) {
            Some(number) => (*number, false),
            None => {
                self.next += 1;
                self.by_name.insert(Arc::from(whole), self.next);
                (self.next, true)
            }
        };
        let group = self.by_number.entry(number).or_insert_with(|| Group {
            name: Arc::from(whole),
            members: Vec::new(),
            turn: AtomicUsize::new(0),
        });
        let is_new = match group.members.iter_mut().find(|(member, _)| member.number == session.number) {
            Some((_, present)) => {
                *present = options;
                false
            }
            None => {
                group.members.push((session.clone(), options));
                self.of_session.entry(session.number).or_default().push(group.name.clone());
                self.count += 1;
                true
            }
        };
        Joined { group: number, is_first, is_new }
    }

    /// Takes a member out. `None` when it was none; otherwise the group's number if that was the last one.
    pub(crate) fn leave(&mut self, session: u64, whole: &str) -> Option<Option<u64>> {
        let number = *self.by_name.get(whole)?;
        let group = self.by_number.get_mut(&number)?;
        let place = group.members.iter().position(|(member, _)| member.number == session)?;
        group.members.remove(place);
        self.count -= 1;
        if let Some(filters) = self.of_session.get_mut(&session) {
            filters.retain(|present| **present != *whole);
            if filters.is_empty() {
                self.of_session.remove(&session);
            }
        }
        if !group.members.is_empty() {
            return Some(None);
        }
        self.by_number.remove(&number);
        self.by_name.remove(whole);
        Some(Some(number))
    }

    pub(crate) fn filters_of(&self, session: u64) -> &[Arc<str>] {
        self.of_session.get(&session).map_or(&[], Vec::as_slice)
    }

    /// The whole filters of a session, with what each carries.
    pub(crate) fn options_of(&self, session: u64) -> impl Iterator<Item = (&str, &Options)> {
        self.filters_of(session).iter().filter_map(move |whole| {
            let group = self.by_number.get(self.by_name.get(whole)?)?;
            let (_, options) = group.members.iter().find(|(member, _)| member.number == session)?;
            Some((&**whole, options))
        })
    }

    /// The members of one group.
    pub(crate) fn sessions_of(&self, whole: &str) -> impl Iterator<Item = &Arc<ClientSession>> {
        let group = self.by_name.get(whole).and_then(|number| self.by_number.get(number));
        group.into_iter().flat_map(|group| group.members.iter().map(|(member, _)| member))
    }

    /// All members, group by group.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<ClientSession>)> {
        self.by_number.values().flat_map(|group| group.members.iter().map(|(member, _)| (&group.name, member)))
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The whole filter of a group.
    pub(crate) fn name(&self, group: u64) -> Option<&Arc<str>> {
        self.by_number.get(&group).map(|group| &group.name)
    }

    /// The number of a group, by its whole filter.
    pub(crate) fn number(&self, whole: &str) -> Option<u64> {
        self.by_name.get(whole).copied()
    }

    /// The members of a group with a connection, or else all of them, who are away.
    pub(crate) fn members(&self, whole: &str) -> (usize, bool) {
        let Some(group) = self.by_name.get(whole).and_then(|number| self.by_number.get(number)) else {
            return (0, false);
        };
        match group.members.iter().filter(|(member, _)| member.is_held()).count() {
            0 => (group.members.len(), true),
            held => (held, false),
        }
    }

    /// The member that gets all that is about one client, of those with a connection, if any has one. A message that is about none
    /// goes by the strategy.
    pub(crate) fn choose_for(
        &self,
        group: u64,
        about: Option<Affinity>,
        client_hash: u64,
    ) -> Option<&(Arc<ClientSession>, Options)> {
        let Some(of) = about else { return self.choose(group, client_hash, 0) };
        let members = &self.by_number.get(&group)?.members;
        let drawn = |(member, _): &&(Arc<ClientSession>, Options)| of.to(member.client_id.as_str().as_bytes());
        let held = members.iter().filter(|(member, _)| member.is_held()).max_by_key(drawn);
        held.or_else(|| members.iter().max_by_key(drawn))
    }

    /// A member that has a connection, chosen by the strategy; any other when none has. `tried` members could not take
    /// the message before: by the hash of a client the next one is meant, otherwise it is somebody else's turn anyway.
    pub(crate) fn choose(&self, group: u64, client_hash: u64, tried: usize) -> Option<&(Arc<ClientSession>, Options)> {
        let group = self.by_number.get(&group)?;
        let count = group.members.len();
        let turn = || group.turn.fetch_add(1, Ordering::Relaxed);
        let first = match self.strategy {
            Strategy::RoundRobin => turn(),
            Strategy::Random => place(self.chance.hash_one(turn()), count),
            Strategy::HashOfClient => {
                // Among those with a connection alone, as the publisher's node counted them.
                let held = group.members.iter().filter(|(member, _)| member.is_held());
                let among = held.clone().count();
                let chosen = place(client_hash.wrapping_add(u64::try_from(tried).unwrap_or(0)), among);
                if let Some(member) = held.clone().nth(chosen) {
                    return Some(member);
                }
                place(client_hash, count)
            }
        };
        let in_turn = |step: usize| &group.members[first.wrapping_add(step) % count];
        (0..count).map(in_turn).find(|(member, _)| member.is_held()).or_else(|| (count > 0).then(|| in_turn(0)))
    }
}

/// A place among so many.
fn place(number: u64, among: usize) -> usize {
    let among = u64::try_from(among).unwrap_or(u64::MAX).max(1);
    usize::try_from(number % among).unwrap_or(0)
}
