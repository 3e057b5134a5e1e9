//! Pages that name files: each name must still stand for something.

use crate::Breaches;

/// Endings that make a name in backticks the name of a file.
const FILE_ENDINGS: &[&str] = &[".rs", ".toml", ".md", ".proto"];
/// Beginnings that make a name in backticks the name of a folder or file of the repository.
const FOLDERS: &[&str] = &["crates/", "tests/", "docs/", "proto/", "helm/", "deploy/", ".ci/"];

/// Names of files and folders in the page, as they stand in backticks (from the root) or as targets of relative links
/// (from the page's folder, here made to start at the root).
#[must_use]
pub fn names_in(page: &str, text: &str) -> Vec<String> {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut names = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        if in_block {
            continue;
        }
        names.extend(line.split('`').skip(1).step_by(2).filter(|word| is_name(word)).map(str::to_owned));
        for link in line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let target = link.split('#').next().unwrap_or("");
            if !target.is_empty() && !target.contains("://") {
                names.push(joined(folder, target));
            }
        }
    }
    names
}

fn is_name(word: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || "*{}<>$|…".contains(c);
    if word.contains(odd) || word.contains("::") {
        return false;
    }
    FILE_ENDINGS.iter().any(|ending| word.len() > ending.len() && word.ends_with(ending))
        || FOLDERS.iter().any(|start| word.starts_with(start))
}

/// The link's target from the root, with `..` taken away.
fn joined(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Names in the page that stand for nothing.
#[must_use]
pub fn breaches(page: &str, text: &str, exists: impl Fn(&str) -> bool) -> Breaches {
    names_in(page, text)
        .into_iter()
        .filter(|name| !exists(name))
        .map(|name| format!("{page} names `{name}`, which does not exist (names in backticks start at the root)"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_backticks_and_links_are_found_and_examples_in_blocks_are_not() {
        let text = "See `crates/raft/` and `crates/raft/src/group.rs`, [glossary](glossary.md#node), [out](../../README.md),\n\
                    [web](https://example.org/x.md), `apply(command)`, `raft::group`, `*.rs`.\n```text\n`gone.rs`\n```\n";
        assert_eq!(
            names_in("docs/internals/architecture.md", text),
            ["crates/raft/", "crates/raft/src/group.rs", "docs/internals/glossary.md", "README.md"]
        );
    }

    #[test]
    fn a_name_that_stands_for_nothing_is_found() {
        let found = breaches("docs/a.md", "`crates/x/src/y.rs` and `deny.toml`", |name| name == "deny.toml");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("crates/x/src/y.rs"));
    }
}
