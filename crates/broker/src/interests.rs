//! Who wants which messages, on this node and on all: pages in the order of filters, put together from those of each
//! node. What nodes tell each other of their routes would not do: it names no members, and a node that has just started
//! knows nothing of the others.

use crate::{
    Broker,
    handover_wire::{InterestHere, MemberHere, Reply, Request},
};
use async_trait::async_trait;
use rollcall_contracts::{
    ControlError, GROUP_MEMBERS_NAMED_MAX, INTERESTS_PER_PAGE_MAX, Interest, InterestAt, InterestPage,
    InterestQuestion, InterestedMember, Interests,
};
use rollcall_routing::split_shared;
use rollcall_types::NodeId;
use std::{collections::BTreeMap, sync::Arc};

/// Bytes of filters and ids at which a node's part of a page ends; it may pass this by its last filter.
const PART_BYTES: usize = 512 * 1024;

impl Broker {
    /// The next filters of this node, and whether there are more.
    pub(crate) fn interests_here(
        &self,
        prefix: &str,
        after: &str,
        most: u32,
        with_members: bool,
    ) -> (Vec<InterestHere>, bool) {
        let most = usize::try_from(most).unwrap_or(usize::MAX).clamp(1, INTERESTS_PER_PAGE_MAX);
        let told = self.subscriptions.told(prefix, after, most + 1);
        let (mut interests, mut bytes, all) = (Vec::new(), 0, told.len());
        for (filter, subscriptions) in told.into_iter().take(most) {
            let members = match with_members && split_shared(&filter).is_some() {
                true => self.members_here(&filter),
                false => Vec::new(),
            };
            bytes += filter.len() + members.iter().map(|member| member.client_id.as_str().len()).sum::<usize>();
            interests.push(InterestHere { filter, subscriptions, members });
            if bytes >= PART_BYTES {
                break;
            }
        }
        let more = interests.len() < all;
        (interests, more)
    }

    fn members_here(&self, whole: &str) -> Vec<MemberHere> {
        let group: Arc<str> = whole.into();
        // Looked at one by one, not under the lock of all subscriptions.
        let member = |session: Arc<crate::client_session::ClientSession>| MemberHere {
            client_id: session.client_id.clone(),
            connected: session.is_held(),
            lag: u32::try_from(session.lag(&group)).unwrap_or(u32::MAX),
        };
        self.subscriptions.members_of(whole, GROUP_MEMBERS_NAMED_MAX).into_iter().map(member).collect()
    }
}

/// Filters put together from several nodes.
#[derive(Default)]
struct Gathered {
    by_filter: BTreeMap<String, Vec<InterestAt>>,
    /// Beyond this not every node has told what it has.
    horizon: Option<String>,
}

impl Gathered {
    fn add(&mut self, node: Option<NodeId>, interests: Vec<InterestHere>, more: bool) {
        if more && let Some(last) = interests.last() {
            let nearer = self.horizon.as_ref().is_none_or(|horizon| last.filter < *horizon);
            if nearer {
                self.horizon = Some(last.filter.clone());
            }
        }
        for InterestHere { filter, subscriptions, members } in interests {
            let members = members.into_iter().map(|member| InterestedMember {
                client_id: member.client_id,
                connected: member.connected,
                lag: usize::try_from(member.lag).unwrap_or(usize::MAX),
            });
            let at = InterestAt { node, subscriptions, members: members.collect() };
            self.by_filter.entry(filter).or_default().push(at);
        }
    }

    fn page(self, limit: usize, silent: Vec<NodeId>) -> InterestPage {
        let Gathered { mut by_filter, horizon } = self;
        let all = by_filter.len();
        if let Some(horizon) = &horizon {
            by_filter.retain(|filter, _| filter <= horizon);
        }
        let interests: Vec<Interest> =
            by_filter.into_iter().take(limit).map(|(filter, at)| Interest { filter, at }).collect();
        let is_cut = interests.len() < all || horizon.is_some();
        let next = interests.last().filter(|_| is_cut).map(|last| last.filter.clone());
        InterestPage { interests, next, silent }
    }
}

#[async_trait]
impl Interests for Broker {
    async fn interests(&self, question: InterestQuestion) -> Result<InterestPage, ControlError> {
        let InterestQuestion { prefix, after, limit, with_members } = question;
        let limit = limit.clamp(1, INTERESTS_PER_PAGE_MAX);
        let most = u32::try_from(limit).unwrap_or(u32::MAX);
        let (mut gathered, mut silent) = (Gathered::default(), Vec::new());
        let (here, more) = self.interests_here(&prefix, &after, most, with_members);
        gathered.add(None, here, more);
        for (node, reply) in self.ask_all(&Request::Interests { prefix, after, most, with_members }).await {
            match reply {
                Some(Reply::Interests { interests, more }) => gathered.add(Some(node), interests, more),
                _ => silent.push(node),
            }
        }
        Ok(gathered.page(limit, silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(filters: &[&str]) -> Vec<InterestHere> {
        let one = |filter: &&str| InterestHere { filter: (*filter).to_owned(), subscriptions: 1, members: Vec::new() };
        filters.iter().map(one).collect()
    }

    fn filters(page: &InterestPage) -> Vec<&str> {
        page.interests.iter().map(|interest| interest.filter.as_str()).collect()
    }

    #[test]
    fn a_page_ends_where_a_node_has_not_told_more() {
        let mut gathered = Gathered::default();
        gathered.add(None, here(&["a", "c"]), true);
        gathered.add(Some(NodeId(2)), here(&["a", "b", "d"]), false);
        let page = gathered.page(10, Vec::new());
        assert_eq!((filters(&page), page.next.as_deref()), (vec!["a", "b", "c"], Some("c")));
        let nodes: Vec<_> = page.interests[0].at.iter().map(|at| at.node).collect();
        assert_eq!(nodes, [None, Some(NodeId(2))]);
    }

    #[test]
    fn the_last_page_goes_on_nowhere_and_a_full_one_behind_its_last() {
        let gathered = |limit| {
            let mut gathered = Gathered::default();
            gathered.add(None, here(&["a", "b"]), false);
            gathered.page(limit, vec![NodeId(3)])
        };
        let last = gathered(2);
        assert_eq!((filters(&last), &last.next, &last.silent), (vec!["a", "b"], &None, &vec![NodeId(3)]));
        let full = gathered(1);
        assert_eq!((filters(&full), full.next.as_deref()), (vec!["a"], Some("a")));
    }
}
