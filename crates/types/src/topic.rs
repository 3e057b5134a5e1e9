//! The grammar of topic names and topic filters (MQTT 5.0, 4.7 and 4.8.2; MQTT 3.1.1, 4.7).
//!
//! What does not belong here: matching (that is `routing`), limits that an operator sets, permissions.

/// The longest topic name or filter MQTT can carry: a two-byte length (MQTT-1.5.4, MQTT-4.7.3-3).
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// What a shared subscription's filter begins with (MQTT 5.0, 4.8.2).
pub const SHARE_PREFIX: &str = "$share/";

/// Why a text is no topic name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// MQTT-4.7.3-1: at least one character.
    #[error("the topic name is empty")]
    Empty,
    /// MQTT-4.7.3-3.
    #[error("the topic name is longer than 65535 bytes")]
    TooLong,
    /// MQTT-4.7.3-2.
    #[error("the topic name contains the null character U+0000")]
    Null,
    /// MQTT-3.3.2-2.
    #[error("the topic name contains a wildcard")]
    Wildcard,
}

/// Why a text is no topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicFilterError {
    /// MQTT-4.7.3-1: at least one character.
    #[error("the topic filter is empty")]
    Empty,
    /// MQTT-4.7.3-3.
    #[error("the topic filter is longer than 65535 bytes")]
    TooLong,
    /// MQTT-4.7.3-2.
    #[error("the topic filter contains the null character U+0000")]
    Null,
    /// MQTT-4.7.1-1: `#` must be the last character.
    #[error("the wildcard # is not at the end of the topic filter")]
    HashNotLast,
    /// MQTT-4.7.1-1: `#` must stand alone or follow a `/`.
    #[error("the wildcard # shares its level with other characters")]
    HashNotAlone,
    /// MQTT-4.7.1-2: `+` must occupy an entire level.
    #[error("the wildcard + shares its level with other characters")]
    PlusNotAlone,
    /// MQTT-4.8.2-1: `$share/` needs a name of at least one character.
    #[error("the name of the shared subscription is empty")]
    ShareNameEmpty,
    /// MQTT-4.8.2-2: the name must not contain a wildcard, and a `/` and a filter follow it.
    #[error("the name of the shared subscription contains a wildcard")]
    ShareNameWildcard,
    /// MQTT-4.8.2-2: the name is followed by `/` and a topic filter.
    #[error("the shared subscription has no topic filter")]
    ShareFilterMissing,
}

/// Checks a topic name of a PUBLISH or a will.
///
/// # Errors
/// When it is empty, too long, or contains U+0000 or a wildcard.
pub fn check_topic_name(name: &str) -> Result<(), TopicNameError> {
    if name.is_empty() {
        return Err(TopicNameError::Empty);
    }
    if name.len() > TOPIC_BYTES_MAX {
        return Err(TopicNameError::TooLong);
    }
    for byte in name.bytes() {
        match byte {
            0 => return Err(TopicNameError::Null),
            b'+' | b'#' => return Err(TopicNameError::Wildcard),
            _ => {}
        }
    }
    Ok(())
}

/// Checks a topic filter of a SUBSCRIBE or UNSUBSCRIBE, shared ones (`$share/name/filter`) included.
///
/// # Errors
/// When it is no topic filter by the standard's grammar.
pub fn check_topic_filter(filter: &str) -> Result<(), TopicFilterError> {
    if filter.is_empty() {
        return Err(TopicFilterError::Empty);
    }
    if filter.len() > TOPIC_BYTES_MAX {
        return Err(TopicFilterError::TooLong);
    }
    if filter.as_bytes().contains(&0) {
        return Err(TopicFilterError::Null);
    }
    let Some(shared) = filter.strip_prefix(SHARE_PREFIX) else {
        return check_levels(filter);
    };
    let (name, rest) = match shared.split_once('/') {
        Some((name, rest)) => (name, Some(rest)),
        None => (shared, None),
    };
    if name.is_empty() {
        return Err(TopicFilterError::ShareNameEmpty);
    }
    if name.contains(['+', '#']) {
        return Err(TopicFilterError::ShareNameWildcard);
    }
    match rest {
        None | Some("") => Err(TopicFilterError::ShareFilterMissing),
        Some(rest) => check_levels(rest),
    }
}

/// Splits `$share/name/filter` into name and filter; `None` for a filter that is not shared.
#[must_use]
pub fn split_shared(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix(SHARE_PREFIX)?.split_once('/')
}

/// The number of levels of a topic name or filter: one more than its slashes.
#[must_use]
pub fn topic_levels(topic: &str) -> usize {
    topic.bytes().filter(|byte| *byte == b'/').count() + 1
}

fn check_levels(filter: &str) -> Result<(), TopicFilterError> {
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') {
            if level.len() > 1 {
                return Err(TopicFilterError::HashNotAlone);
            }
            if levels.peek().is_some() {
                return Err(TopicFilterError::HashNotLast);
            }
        }
        if level.contains('+') && level.len() > 1 {
            return Err(TopicFilterError::PlusNotAlone);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names_are_checked_with_the_exact_reason() {
        for good in ["a", "/", "a/b", "//", "$SYS/x", "a b", "😀", &"t".repeat(65_535)] {
            assert_eq!(check_topic_name(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", TopicNameError::Empty),
            ("a\0", TopicNameError::Null),
            ("a/+", TopicNameError::Wildcard),
            ("a#", TopicNameError::Wildcard),
        ] {
            assert_eq!(check_topic_name(bad), Err(why), "{bad}");
        }
        assert_eq!(check_topic_name(&"t".repeat(65_536)), Err(TopicNameError::TooLong));
    }

    #[test]
    fn topic_filters_are_checked_with_the_exact_reason() {
        for good in
            ["#", "+", "/", "a/#", "a/+/b", "+/+", "/+", "+/#", "$SYS/#", "$share/g/a/+", "$share/g/#", "$share", "//"]
        {
            assert_eq!(check_topic_filter(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", TopicFilterError::Empty),
            ("a\0", TopicFilterError::Null),
            ("#/a", TopicFilterError::HashNotLast),
            ("a#", TopicFilterError::HashNotAlone),
            ("a/b#", TopicFilterError::HashNotAlone),
            ("##", TopicFilterError::HashNotAlone),
            ("a+", TopicFilterError::PlusNotAlone),
            ("a/+b/c", TopicFilterError::PlusNotAlone),
            ("++", TopicFilterError::PlusNotAlone),
            ("$share//a", TopicFilterError::ShareNameEmpty),
            ("$share/", TopicFilterError::ShareNameEmpty),
            ("$share/g", TopicFilterError::ShareFilterMissing),
            ("$share/g/", TopicFilterError::ShareFilterMissing),
            ("$share/g+/a", TopicFilterError::ShareNameWildcard),
            ("$share/#/a", TopicFilterError::ShareNameWildcard),
            ("$share/g/a#", TopicFilterError::HashNotAlone),
        ] {
            assert_eq!(check_topic_filter(bad), Err(why), "{bad}");
        }
        assert_eq!(check_topic_filter(&"t".repeat(65_536)), Err(TopicFilterError::TooLong));
    }

    #[test]
    fn shared_filters_are_split_and_levels_counted() {
        assert_eq!(split_shared("$share/g/a/b"), Some(("g", "a/b")));
        assert_eq!(split_shared("$shared/g/a"), None);
        assert_eq!(split_shared("a"), None);
        assert_eq!(topic_levels("a"), 1);
        assert_eq!(topic_levels("/a/"), 3);
    }
}
