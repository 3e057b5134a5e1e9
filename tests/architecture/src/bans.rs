//! The bans of `clippy.toml`: a crate's own file replaces the root's, so it must repeat it, and the rule crates must
//! forbid everything that could make two replicas differ.

use crate::Breaches;
use std::collections::BTreeSet;
use toml::{Table, Value};

/// What no rule crate may call or name, whatever its replacement.
pub const FORBIDDEN_TO_RULES: &[&str] = &[
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::spawn",
    "std::thread::sleep",
    "std::thread::Builder::spawn",
    "std::env::var",
    "std::env::var_os",
    "std::env::vars",
    "std::env::args",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::hash::RandomState",
    "std::hash::DefaultHasher",
];

/// Bans of one clippy.toml: `path` of each entry, and every other setting as `key = value`.
fn settings_of(text: &str) -> Result<BTreeSet<String>, String> {
    let table: Table = text.parse().map_err(|e| format!("{e}"))?;
    let mut settings = BTreeSet::new();
    for (key, value) in &table {
        if let ("disallowed-methods" | "disallowed-types", Value::Array(list)) = (key.as_str(), value) {
            for entry in list {
                let path = entry.as_str().or_else(|| entry.get("path").and_then(Value::as_str));
                settings.insert(path.ok_or_else(|| format!("an entry of {key} has no path"))?.to_owned());
            }
        } else {
            settings.insert(format!("{key} = {value}"));
        }
    }
    Ok(settings)
}

/// What of the root's settings the crate's own clippy.toml fails to repeat.
#[must_use]
pub fn breaches_of_repetition(place: &str, own: &str, root: &str) -> Breaches {
    match (settings_of(own), settings_of(root)) {
        (Ok(own), Ok(root)) => root
            .difference(&own)
            .map(|setting| format!("{place} replaces the root's clippy.toml and must repeat `{setting}`"))
            .collect(),
        (Err(error), _) => vec![format!("{place}: {error}")],
        (_, Err(error)) => vec![format!("clippy.toml: {error}")],
    }
}

/// What a rule crate's clippy.toml fails to forbid.
#[must_use]
pub fn breaches_of_purity(place: &str, own: &str) -> Breaches {
    match settings_of(own) {
        Ok(own) => FORBIDDEN_TO_RULES
            .iter()
            .filter(|path| !own.contains(**path))
            .map(|path| format!("{place} must forbid `{path}`"))
            .collect(),
        Err(error) => vec![format!("{place}: {error}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str =
        "allow-unwrap-in-tests = true\ndisallowed-methods = [{ path = \"tokio::spawn\", reason = \"x\" }]";

    #[test]
    fn a_file_that_repeats_the_root_passes_and_may_add() {
        let own = "allow-unwrap-in-tests = true\ndisallowed-methods = [\"tokio::spawn\", \"std::env::var\"]";
        assert_eq!(breaches_of_repetition("c", own, ROOT), Breaches::new());
    }

    #[test]
    fn a_ban_or_a_setting_that_is_not_repeated_is_found() {
        let breaches = breaches_of_repetition("c", "allow-unwrap-in-tests = false", ROOT);
        assert_eq!(
            breaches,
            [
                "c replaces the root's clippy.toml and must repeat `allow-unwrap-in-tests = true`",
                "c replaces the root's clippy.toml and must repeat `tokio::spawn`"
            ]
        );
        assert_eq!(breaches_of_repetition("c", "not toml", ROOT).len(), 1);
    }

    #[test]
    fn a_rule_crate_that_may_read_a_clock_is_found() {
        let all: Vec<String> = FORBIDDEN_TO_RULES.iter().map(|path| format!("\"{path}\"")).collect();
        let complete = format!("disallowed-methods = [{}]", all.join(", "));
        assert_eq!(breaches_of_purity("c", &complete), Breaches::new());
        let without_clock = complete.replace("\"std::time::Instant::now\", ", "");
        assert_eq!(breaches_of_purity("c", &without_clock), ["c must forbid `std::time::Instant::now`"]);
    }
}
