//! One filter against one topic, straight from the standard's words. The table is checked against it.

/// Whether a valid filter that is not shared matches a valid topic name (MQTT 5.0, 4.7).
#[must_use]
pub fn filter_matches(filter: &str, topic: &str) -> bool {
    if hides(topic) && filter.starts_with(['+', '#']) {
        return false; // MQTT-4.7.2-1
    }
    let mut topic_levels = topic.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true; // also the parent level itself: "a/#" matches "a"
        }
        match topic_levels.next() {
            Some(topic_level) if level == "+" || level == topic_level => {}
            _ => return false,
        }
    }
    topic_levels.next().is_none()
}

/// Topics beginning with `$` are hidden from filters that begin with a wildcard (MQTT-4.7.2-1).
pub(crate) fn hides(topic: &str) -> bool {
    topic.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard_hold() {
        for (filter, topic, matches) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "a/b", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/x", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("a/#", "ab", false),
            ("A", "a", false),
            ("a", "/a", false),
        ] {
            assert_eq!(filter_matches(filter, topic), matches, "{filter} against {topic}");
        }
    }
}
