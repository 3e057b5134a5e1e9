//! Topics as keys of an ordered map, in which every topic stands directly before the topics below it.
//!
//! The separator is U+0000, which no topic contains and which sorts before every other character. With `/` itself the
//! topic `a!b` would stand between `a` and `a/b`, and a subtree would not be one range.

/// What stands for `/`.
pub(crate) const SEPARATOR: char = '\0';

/// The key of a topic.
pub(crate) fn key_of(topic: &str) -> Box<str> {
    topic.replace('/', "\0").into_boxed_str()
}

/// The topic of a key.
pub(crate) fn topic_of(key: &str) -> String {
    key.replace(SEPARATOR, "/")
}

/// The least key that stands behind the topic `prefix` and everything below it.
pub(crate) fn behind_subtree(prefix: &str) -> String {
    format!("{prefix}\u{1}")
}

/// The least key behind this one.
pub(crate) fn behind(key: &str) -> String {
    format!("{key}{SEPARATOR}")
}
