//! Patterns of client ids and user names, and the matching that topic patterns share with them.

use super::variable::{Values, Variable};
use super::{PATTERN_BYTES_MAX, PolicyError};

/// A piece of a pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// These bytes.
    Literal(Box<str>),
    /// The request's value; never read as a pattern, whatever it holds.
    Variable(Variable),
    /// Any characters.
    Star,
    /// Any one character.
    One,
    /// One whole topic level.
    Level,
}

/// What a pattern may hold beside literals and `*`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// Variables.
    Text,
    /// Variables, and `+` as a wildcard, in the pattern and in the text.
    Topic,
    /// `?` for one character; no variables.
    Glob,
}

/// Splits a pattern into its parts. A `#` is not among them: topic patterns take care of theirs before.
pub(super) fn parse(pattern: &str, syntax: Syntax) -> Result<Vec<Part>, PolicyError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(PolicyError::PatternLength);
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let variable = rest.strip_prefix("${").filter(|_| syntax != Syntax::Glob);
        let (part, taken) = if let Some(inside) = variable {
            let unknown = || PolicyError::UnknownVariable(pattern.to_owned());
            let (name, _) = inside.split_once('}').ok_or_else(unknown)?;
            (Part::Variable(Variable::parse(name).ok_or_else(unknown)?), name.len() + "${}".len())
        } else if first == '*' {
            (Part::Star, 1)
        } else if first == '?' && syntax == Syntax::Glob {
            (Part::One, 1)
        } else if first == '+' && syntax == Syntax::Topic {
            let before = &pattern[..pattern.len() - rest.len()];
            let whole = (before.is_empty() || before.ends_with('/')) && (rest.len() == 1 || rest[1..].starts_with('/'));
            if !whole {
                return Err(PolicyError::Wildcard(pattern.to_owned()));
            }
            (Part::Level, 1)
        } else if first == '#' && syntax == Syntax::Topic {
            return Err(PolicyError::Wildcard(pattern.to_owned()));
        } else {
            literal.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        push_literal(&mut parts, &mut literal);
        if part != Part::Star || parts.last() != Some(&Part::Star) {
            parts.push(part);
        }
        rest = &rest[taken..];
    }
    push_literal(&mut parts, &mut literal);
    Ok(parts)
}

fn push_literal(parts: &mut Vec<Part>, literal: &mut String) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal).into()));
    }
}

/// Whether the parts match the whole text, or, where `below` is set, the whole text or a prefix of it that ends before
/// a `/`. Allocates nothing; in the worst case the work is the product of both lengths.
///
/// In a topic filter as text, `+` and `#` stand for all that they match: no literal equals them, only a part that
/// matches as much does.
pub(super) fn matches(parts: &[Part], below: bool, text: &str, values: Values<'_>, syntax: Syntax) -> bool {
    let text = text.as_bytes();
    let (mut part, mut at) = (0, 0);
    // The last star passed: the part behind it, and how far it reaches in the present attempt. Earlier stars need no
    // second attempt, since the parts between two stars are best matched as early as possible.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let rest = text.get(at..).unwrap_or(&[]);
        let step = match parts.get(part) {
            None if rest.is_empty() || (below && rest.starts_with(b"/")) => return true,
            None => None,
            Some(Part::Star) => {
                if part + 1 == parts.len() {
                    return true;
                }
                star = Some((part + 1, at));
                Some(0)
            }
            Some(Part::Level) => level_of(rest),
            Some(Part::Literal(literal)) => rest.starts_with(literal.as_bytes()).then_some(literal.len()),
            Some(Part::One) => one_character(rest),
            Some(Part::Variable(variable)) => values.of(*variable).map(str::as_bytes).and_then(|value| {
                let usable = syntax != Syntax::Topic || !value.iter().any(|b| matches!(b, b'+' | b'#'));
                (usable && rest.starts_with(value)).then_some(value.len())
            }),
        };
        match (step, star) {
            (Some(length), _) => {
                part += 1;
                at += length;
            }
            (None, Some((behind, reach))) if reach < text.len() => {
                star = Some((behind, reach + 1));
                part = behind;
                at = reach + 1;
            }
            (None, _) => return false,
        }
    }
}

/// Length of the level that begins here; a `#` is more than one level.
fn level_of(rest: &[u8]) -> Option<usize> {
    let length = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
    (!rest[..length].contains(&b'#')).then_some(length)
}

/// Length of the character that begins here; the text is UTF-8.
fn one_character(rest: &[u8]) -> Option<usize> {
    let first = rest.first()?;
    Some(match first.leading_ones() {
        0 | 1 => 1,
        bytes => bytes as usize,
    })
}

/// A pattern of client ids or user names: literals, variables and `*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TextPattern {
    parts: Vec<Part>,
}

impl TextPattern {
    pub(super) fn parse(pattern: &str) -> Result<Self, PolicyError> {
        if pattern.is_empty() {
            return Err(PolicyError::PatternLength);
        }
        Ok(TextPattern { parts: parse(pattern, Syntax::Text)? })
    }

    pub(super) fn matches(&self, text: &str, values: Values<'_>) -> bool {
        matches(&self.parts, false, text, values, Syntax::Text)
    }

    /// A pattern without variables, in which `?` stands for one character.
    pub(super) fn glob(pattern: &str) -> Result<Self, PolicyError> {
        if pattern.is_empty() {
            return Err(PolicyError::PatternLength);
        }
        Ok(TextPattern { parts: parse(pattern, Syntax::Glob)? })
    }

    pub(super) fn is_any(&self) -> bool {
        self.parts == [Part::Star]
    }

    /// The one text that it matches, where there is only one.
    pub(super) fn exact(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    pub(super) fn needs_client_id(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Variable(variable) if variable.is_of_client_id()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn matched(pattern: &str, text: &str) -> bool {
        let values = Values { client_id: "c*1", username: "u1", certificate: None };
        TextPattern::parse(pattern).unwrap().matches(text, values)
    }

    #[test]
    fn stars_match_any_characters() {
        assert!(matched("sensor*", "sensor"));
        assert!(matched("sensor*", "sensor/7"));
        assert!(!matched("sensor*", "a-sensor"));
        assert!(matched("*a*b*", "xxaxxbxx"));
        assert!(!matched("*a*b*", "xxbxxaxx"));
        assert!(matched("*ab", "aab"));
        assert!(matched("**", ""));
        assert!(matched("é*ü", "éxxü"));
    }

    #[test]
    fn plus_and_hash_are_plain_characters_in_a_client_id() {
        assert!(matched("+#", "+#"));
        assert!(!matched("+", "x"));
    }

    #[test]
    fn values_are_never_read_as_patterns() {
        assert!(matched("${Username}-*", "u1-7"));
        assert!(matched("${clientId}", "c*1"));
        assert!(!matched("${ClientId}", "cxx1"));
    }

    #[test]
    fn unknown_variables_are_refused() {
        for pattern in ["${Nobody}", "${ClientId", "${clientId.substring(x)}"] {
            assert_eq!(TextPattern::parse(pattern), Err(PolicyError::UnknownVariable(pattern.to_owned())));
        }
        assert!(TextPattern::parse("$x{}").is_ok());
    }
}
