//! Whether what the nodes say is right, judged round by round.
//!
//! An answer that must change may be the old one or the new one until its time is up, but once any node has said the
//! new one, no node may say the old one in a later question. An answer that must not change has to be right every time.
//! Not knowing (503, or a node that is down) is never wrong, only unfinished.

use std::collections::{BTreeMap, BTreeSet};

/// What a node says about a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Online, and the node that holds it.
    Online { node: String },
    /// Offline.
    Offline,
    /// No answer, and why.
    Unknown(String),
}

/// What should be said about a client: the node that holds it, or nobody.
pub(super) type Truth = Option<String>;

/// The clients and where they are, before and after a change.
pub(super) struct Verdict {
    truth: BTreeMap<String, Truth>,
    /// What may still be said about those that are changing.
    before: BTreeMap<String, Truth>,
    /// Those for which some node has said the new truth.
    changed: BTreeSet<String>,
}

impl Verdict {
    /// `before` is what held until now, `truth` what must hold. Changes that were acknowledged before the first
    /// question are in both.
    pub(super) fn new(before: BTreeMap<String, Truth>, truth: BTreeMap<String, Truth>) -> Verdict {
        Verdict { truth, before, changed: BTreeSet::new() }
    }

    /// Takes one answer: true where it is right, false where it is not there yet, an error where it is wrong. Answers
    /// come in the order of their questions, one question at a time.
    pub(super) fn take(&mut self, asked: &str, id: &str, seen: &Seen) -> Result<bool, String> {
        let said: Truth = match seen {
            Seen::Online { node } => Some(node.clone()),
            Seen::Offline => None,
            Seen::Unknown(_) => return Ok(false),
        };
        let truth = self.truth.get(id).cloned().flatten();
        if said == truth {
            self.changed.insert(id.to_owned());
            return Ok(true);
        }
        let before = self.before.get(id).cloned().flatten();
        if said == before && before != truth && !self.changed.contains(id) {
            return Ok(false);
        }
        Err(format!("{asked} says that {id} is {}, but it is {}", shown(&said), shown(&truth)))
    }
}

fn shown(truth: &Truth) -> String {
    match truth {
        Some(node) => format!("online on {node}"),
        None => "offline".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Seen, Truth, Verdict};
    use std::collections::BTreeMap;

    fn map(entries: &[(&str, Option<&str>)]) -> BTreeMap<String, Truth> {
        entries.iter().map(|(id, node)| ((*id).to_owned(), node.map(str::to_owned))).collect()
    }

    fn online(node: &str) -> Seen {
        Seen::Online { node: node.to_owned() }
    }

    #[test]
    fn what_does_not_change_has_to_be_right_every_time() {
        let mut verdict = Verdict::new(map(&[("a", Some("n1"))]), map(&[("a", Some("n1"))]));
        assert_eq!(verdict.take("n2", "a", &online("n1")), Ok(true));
        assert_eq!(verdict.take("n2", "a", &Seen::Unknown("503".to_owned())), Ok(false));
        assert_eq!(
            verdict.take("n2", "a", &Seen::Offline),
            Err("n2 says that a is offline, but it is online on n1".to_owned())
        );
        assert!(verdict.take("n2", "a", &online("n3")).is_err());
    }

    #[test]
    fn a_change_may_take_its_time_but_is_never_taken_back() {
        let mut verdict = Verdict::new(map(&[("a", Some("n3"))]), map(&[("a", None)]));
        assert_eq!(verdict.take("n1", "a", &online("n3")), Ok(false));
        assert!(verdict.take("n1", "a", &online("n2")).is_err());
        assert_eq!(verdict.take("n2", "a", &Seen::Offline), Ok(true));
        assert_eq!(verdict.take("n1", "a", &Seen::Unknown("503".to_owned())), Ok(false));
        assert!(verdict.take("n1", "a", &online("n3")).is_err());
    }

    #[test]
    fn a_client_nobody_has_heard_of_is_offline() {
        let mut verdict = Verdict::new(BTreeMap::new(), BTreeMap::new());
        assert_eq!(verdict.take("n1", "x", &Seen::Offline), Ok(true));
        assert!(verdict.take("n1", "x", &online("n1")).is_err());
    }
}
