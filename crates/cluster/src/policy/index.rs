//! Which rules a request can match at all: those of its action that name its user, its client or the first level of its
//! topic, and those that name none of them exactly. In the order of evaluation, so that the first match stays the first.

use super::Action;
use super::rule::Rule;
use std::collections::BTreeMap;

/// Places of rules by what they name exactly, for each action.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Index {
    of_action: [OfAction; 3],
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct OfAction {
    all: Vec<u32>,
    by_username: BTreeMap<Box<str>, Vec<u32>>,
    by_client_id: BTreeMap<Box<str>, Vec<u32>>,
    by_level: BTreeMap<Box<str>, Vec<u32>>,
    /// Those in none of the three.
    others: Vec<u32>,
    /// Those that name no user exactly.
    of_any_user: Vec<u32>,
}

impl Index {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut index = Index::default();
        for (place, rule) in (0_u32..).zip(rules) {
            for action in [Action::Connect, Action::Pub, Action::Sub] {
                if rule.actions[action as usize] {
                    index.of_action[action as usize].add(place, rule, action);
                }
            }
        }
        index
    }

    /// Places of the rules that may match, in order. Allocates nothing.
    pub(super) fn candidates(&self, action: Action, username: &str, client_id: &str, topic: &str) -> Candidates<'_> {
        let of = &self.of_action[action as usize];
        let level = topic.split('/').next().unwrap_or(topic);
        // A filter that begins with a wildcard touches rules of every first level.
        if matches!(level, "+" | "#") {
            return Candidates { lists: [&of.all, &[], &[], &[]] };
        }
        Candidates {
            lists: [
                of.by_username.get(username).map_or(&[], Vec::as_slice),
                of.by_client_id.get(client_id).map_or(&[], Vec::as_slice),
                of.by_level.get(level).map_or(&[], Vec::as_slice),
                &of.others,
            ],
        }
    }

    /// The same for an account that connects as whichever client.
    pub(super) fn candidates_of_account(&self, username: &str) -> Candidates<'_> {
        let of = &self.of_action[Action::Connect as usize];
        let named = of.by_username.get(username).map_or(&[][..], Vec::as_slice);
        Candidates { lists: [named, &of.of_any_user, &[], &[]] }
    }
}

impl OfAction {
    fn add(&mut self, place: u32, rule: &Rule, action: Action) {
        self.all.push(place);
        if let Some(username) = rule.username.as_ref().and_then(|pattern| pattern.exact()) {
            return self.by_username.entry(username.into()).or_default().push(place);
        }
        self.of_any_user.push(place);
        if let Some(client_id) = rule.client_id.as_ref().and_then(|pattern| pattern.exact()) {
            return self.by_client_id.entry(client_id.into()).or_default().push(place);
        }
        let levels: Option<Vec<&str>> = rule.resources.iter().map(|resource| resource.first_level()).collect();
        match levels {
            Some(levels) if action != Action::Connect && !levels.is_empty() => {
                for level in levels {
                    let list = self.by_level.entry(level.into()).or_default();
                    if list.last() != Some(&place) {
                        list.push(place);
                    }
                }
            }
            _ => self.others.push(place),
        }
    }
}

/// Sorted lists of places, read as one.
pub(super) struct Candidates<'a> {
    lists: [&'a [u32]; 4],
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let next = self.lists.iter().filter_map(|list| list.first()).min().copied()?;
        for list in &mut self.lists {
            if let [first, rest @ ..] = *list
                && *first == next
            {
                *list = rest;
            }
        }
        usize::try_from(next).ok()
    }
}
