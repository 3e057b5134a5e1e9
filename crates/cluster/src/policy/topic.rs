//! Topic patterns: does one cover all that a topic or filter stands for, or does it at least touch it?

use super::PolicyError;
use super::pattern::{self, Part, Syntax};
use super::variable::Values;

/// A resource of a policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TopicPattern {
    parts: Vec<Part>,
    /// The pattern ended in `/#` or `/*`: the level above and everything below match too.
    below: bool,
}

impl TopicPattern {
    pub(super) fn parse(resource: &str) -> Result<Self, PolicyError> {
        if resource.is_empty() {
            return Err(PolicyError::PatternLength);
        }
        if resource == "#" {
            return Ok(TopicPattern { parts: vec![Part::Star], below: false });
        }
        let (above, below) = match resource.strip_suffix("/#").or_else(|| resource.strip_suffix("/*")) {
            Some(above) => (above, true),
            None => (resource, false),
        };
        Ok(TopicPattern { parts: pattern::parse(above, Syntax::Topic)?, below })
    }

    /// The first level of all topics it matches, where there is only one.
    pub(super) fn first_level(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Literal(text), rest @ ..] => match text.split_once('/') {
                Some((first, _)) => Some(first),
                None if rest.is_empty() => Some(text),
                None => None,
            },
            _ => None,
        }
    }

    /// Whether every topic that this topic or filter stands for matches. What begins with `$` is covered only by a
    /// pattern that spells out its beginning: neither by a wildcard nor by a value that a client chose. Of a pattern
    /// with a `+` behind a `*` the answer may be no where yes would be right too.
    pub(super) fn covers(&self, filter: &str, values: Values<'_>) -> bool {
        if filter.starts_with('$') && matches!(self.parts.first(), Some(Part::Star | Part::Level | Part::Variable(_))) {
            return false;
        }
        let matches = |text: &str| pattern::matches(&self.parts, self.below, text, values, Syntax::Topic);
        match filter {
            // Every topic has a first level, if only an empty one.
            "#" => matches("+") && matches("+/#"),
            "/#" => matches("/+") && matches("/+/#"),
            // A filter `a/#` also stands for the topic `a`.
            _ => matches(filter) && filter.strip_suffix("/#").is_none_or(matches),
        }
    }

    /// Whether a topic exists that both this pattern and the topic or filter stand for.
    pub(super) fn touches(&self, filter: &str, values: Values<'_>) -> bool {
        if filter.bytes().any(|b| matches!(b, b'+' | b'#')) {
            Reading::of(self, values).is_some_and(|reading| reading.touches(filter))
        } else {
            pattern::matches(&self.parts, self.below, filter, values, Syntax::Topic)
        }
    }
}

/// One step of a pattern read as an automaton.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Byte(u8),
    AnyRun,
    LevelRun,
}

/// A pattern being read along a filter with wildcards: which positions may have been reached. Subscriptions with
/// wildcards that meet a denying rule are rare enough to allocate here.
struct Reading {
    steps: Vec<Step>,
    below: bool,
    /// One for each step, one for the end, one for "below the end".
    reached: Vec<bool>,
}

impl Reading {
    /// `None` where a variable has no value: such a pattern matches nothing.
    fn of(pattern: &TopicPattern, values: Values<'_>) -> Option<Self> {
        let mut steps = Vec::new();
        for part in &pattern.parts {
            match part {
                Part::Literal(text) => steps.extend(text.bytes().map(Step::Byte)),
                Part::Variable(variable) => steps.extend(values.of(*variable)?.bytes().map(Step::Byte)),
                // A topic pattern has none of single characters.
                Part::Star | Part::One => steps.push(Step::AnyRun),
                Part::Level => steps.push(Step::LevelRun),
            }
        }
        let mut reached = vec![false; steps.len() + 2];
        reached[0] = true;
        let mut reading = Reading { steps, below: pattern.below, reached };
        reading.skip_empty_runs();
        Some(reading)
    }

    fn touches(mut self, filter: &str) -> bool {
        // Topics cannot hold wildcard characters, so that a value with one makes the pattern match nothing.
        if self.steps.iter().any(|step| matches!(step, Step::Byte(b'+' | b'#'))) {
            return false;
        }
        // A filter that begins with a wildcard stands for no topic that begins with `$` (MQTT-4.7.2-1).
        if !filter.starts_with('$') && self.steps.first() == Some(&Step::Byte(b'$')) {
            return false;
        }
        if filter == "#" {
            return true;
        }
        // Of one level alone the pattern would leave only the empty topic, which is none (MQTT-4.7.3-1).
        if filter == "+" && self.steps.is_empty() {
            return false;
        }
        let (above, everything_below) = match filter.strip_suffix("/#") {
            Some(above) => (above, true),
            None => (filter, false),
        };
        for (place, level) in above.split('/').enumerate() {
            if place > 0 {
                self.read(b'/');
            }
            if level == "+" {
                self.read_any_level();
            } else {
                level.bytes().for_each(|byte| self.read(byte));
            }
        }
        if self.at_end() {
            return true;
        }
        if everything_below {
            // Every position can still reach the end by some topic.
            self.read(b'/');
            return self.reached.contains(&true);
        }
        false
    }

    fn end(&self) -> usize {
        self.steps.len()
    }

    fn at_end(&self) -> bool {
        self.reached[self.end()] || self.reached[self.end() + 1]
    }

    /// A run may be empty.
    fn skip_empty_runs(&mut self) {
        for (place, step) in self.steps.iter().enumerate() {
            if self.reached[place] && matches!(step, Step::AnyRun | Step::LevelRun) {
                self.reached[place + 1] = true;
            }
        }
    }

    fn read(&mut self, byte: u8) {
        let mut next = vec![false; self.reached.len()];
        for (place, step) in self.steps.iter().enumerate().filter(|(place, _)| self.reached[*place]) {
            match step {
                Step::Byte(expected) if *expected == byte => next[place + 1] = true,
                Step::AnyRun => next[place] = true,
                Step::LevelRun if byte != b'/' => next[place] = true,
                _ => {}
            }
        }
        let end = self.end();
        next[end + 1] = self.reached[end + 1] || (self.below && self.reached[end] && byte == b'/');
        self.reached = next;
        self.skip_empty_runs();
    }

    /// Reads any number of any characters but `/`. Positions only move forward, so that one pass reaches all.
    fn read_any_level(&mut self) {
        for place in 0..self.steps.len() {
            let passes = !matches!(self.steps[place], Step::Byte(b'/'));
            if self.reached[place] && passes {
                self.reached[place + 1] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const VALUES: Values<'static> = Values { client_id: "VIN1", username: "u1", certificate: None };

    fn covers(resource: &str, filter: &str) -> bool {
        TopicPattern::parse(resource).unwrap().covers(filter, VALUES)
    }

    fn touches(resource: &str, filter: &str) -> bool {
        TopicPattern::parse(resource).unwrap().touches(filter, VALUES)
    }

    #[test]
    fn a_resource_covers_a_filter_only_when_it_covers_every_topic_of_it() {
        assert!(covers("home/room1/*", "home/room1/#"));
        assert!(covers("home/room1/*", "home/room1/+/x"));
        assert!(!covers("home/room1/*", "home/#"));
        assert!(!covers("home/room1/*", "home/+/x"));
        assert!(covers("home/+", "home/+"));
        assert!(!covers("home/+", "home/#"));
        assert!(covers("#", "a/b/#"));
        assert!(covers("*", "+/b"));
        assert!(!covers("a/*/#", "a/#"), "the filter also stands for the topic a");
        assert!(covers("home/${ClientId}/#", "home/VIN1/#"));
        assert!(!covers("home/${ClientId}/#", "home/VIN2/#"));
    }

    #[test]
    fn what_begins_with_a_dollar_must_be_spelt_out() {
        assert!(!covers("*", "$SYS/x"));
        assert!(!covers("#", "$events/#"));
        assert!(!covers("+/x", "$SYS/x"));
        assert!(covers("$events/#", "$events/client_connected"));
        assert!(covers("$events/*", "$events/#"));
        let any = Values { client_id: "$SYS", username: "", certificate: None };
        assert!(!TopicPattern::parse("${ClientId}/#").unwrap().covers("$SYS/#", any));
    }

    #[test]
    fn a_client_id_with_a_wildcard_opens_nothing() {
        let plus = Values { client_id: "+", username: "#", certificate: None };
        assert!(!TopicPattern::parse("home/${ClientId}").unwrap().covers("home/+", plus));
        assert!(!TopicPattern::parse("home/${Username}").unwrap().covers("home/#", plus));
    }

    #[test]
    fn a_filter_touches_a_resource_when_one_topic_belongs_to_both() {
        assert!(touches("secret/*", "#"));
        assert!(touches("secret/*", "+/x"));
        assert!(touches("*/secret", "home/+"));
        assert!(!touches("*/secret", "home/+/temp"));
        assert!(touches("a/b", "a/b/#"));
        assert!(!touches("a/bc", "a/b/#"));
        assert!(!touches("$SYS/*", "#"));
        assert!(touches("$SYS/*", "$SYS/+"));
        assert!(touches("*", "$SYS/x"));
        assert!(touches("a/#", "+"));
        assert!(!touches("/*", "+"), "the empty topic is none");
        assert!(touches("/*", "+/+"));
    }

    #[test]
    fn misplaced_wildcards_are_refused() {
        for resource in ["a+", "a/+b", "a/#/b", "a#", "#a", "*+"] {
            assert_eq!(TopicPattern::parse(resource), Err(PolicyError::Wildcard(resource.to_owned())), "{resource}");
        }
    }
}
