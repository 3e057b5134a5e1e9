//! The cases (`B-` and three digits): what each asks of Rollcall, and the files whose tests cover it.
//!
//! `docs/reference/cases.md` holds the table. Its sentences are kept by hand; its last column is written from the
//! sources, so that the page cannot claim a test that is gone.

use crate::Breaches;
use crate::sources::SourceFile;
use std::collections::{BTreeMap, BTreeSet};

/// Where the table stands, from the root.
pub const PAGE: &str = "docs/reference/cases.md";

const HEADER: &str = "| id | what Rollcall must do | tests |\n|---|---|---|\n";
const NO_SENTENCE: &str = "?";

/// The case ids in the text: `B-` and three digits, or `b_` and three digits and `_` where a test's name carries it.
#[must_use]
pub fn ids_in(text: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for (start, end) in [("B-", ""), ("b_", "_")] {
        for (at, _) in text.match_indices(start) {
            let before = text[..at].chars().next_back();
            let rest = &text[at + start.len()..];
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let stands_alone = !before.is_some_and(|c| c.is_alphanumeric() || (start == "B-" && c == '-'));
            if digits.len() == 3 && stands_alone && rest[3..].starts_with(end) {
                ids.insert(format!("B-{digits}"));
            }
        }
    }
    ids
}

/// Which files carry which case in their tests.
#[must_use]
pub fn files_by_case(files: &[SourceFile]) -> BTreeMap<String, BTreeSet<String>> {
    let mut cases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        for id in ids_in(tests_of(file)) {
            cases.entry(id).or_default().insert(file.path.clone());
        }
    }
    cases
}

/// The part of the file that is tests: all of a file of tests, else what follows `#[cfg(test)]`. A comment in other code
/// says why it is so, but covers nothing.
fn tests_of(file: &SourceFile) -> &str {
    let in_tests = file.path.starts_with("tests/") || file.path.contains("/tests/") || file.path.ends_with("tests.rs");
    let start = if in_tests { Some(0) } else { file.text.find("#[cfg(test)]") };
    start.and_then(|start| file.text.get(start..)).unwrap_or("")
}

/// The sentences of the page's table, by id.
fn sentences_of(page: &str) -> BTreeMap<String, String> {
    page.lines()
        .filter(|line| line.starts_with("| B-"))
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
        })
        .collect()
}

/// The page as it must be: what stands before the table as it was, then a row for each case that has a sentence or a
/// test.
#[must_use]
pub fn rendered(page: &str, cases: &BTreeMap<String, BTreeSet<String>>) -> String {
    let introduction = page.split_once("| id |").map_or(page, |(introduction, _)| introduction);
    let mut sentences = sentences_of(page);
    for id in cases.keys() {
        sentences.entry(id.clone()).or_insert_with(|| NO_SENTENCE.to_owned());
    }
    let mut text = format!("{}\n\n{HEADER}", introduction.trim_end());
    for (id, sentence) in &sentences {
        let files = cases.get(id).map_or_else(
            || "none yet".to_owned(),
            |files| files.iter().map(|file| format!("`{file}`")).collect::<Vec<_>>().join(", "),
        );
        text.push_str(&format!("| {id} | {sentence} | {files} |\n"));
    }
    text
}

/// What is wrong with the page.
#[must_use]
pub fn breaches(page: &str, cases: &BTreeMap<String, BTreeSet<String>>) -> Breaches {
    let mut breaches = Breaches::new();
    let sentences = sentences_of(page);
    for id in cases.keys() {
        if sentences.get(id).is_none_or(|sentence| sentence == NO_SENTENCE || sentence.is_empty()) {
            breaches.push(format!("{PAGE} does not say what {id} asks; a test carries it"));
        }
    }
    if page != rendered(page, cases) {
        breaches.push(format!("{PAGE} is not what the sources give: run `cargo xtask fix`"));
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: &str) -> String {
        format!("{}-{number}", 'B')
    }

    fn cases_of(text: &str) -> BTreeMap<String, BTreeSet<String>> {
        files_by_case(&[SourceFile { path: "crates/x/tests/y.rs".to_owned(), text: text.to_owned() }])
    }

    #[test]
    fn ids_are_found_in_comments_and_in_names_of_tests() {
        let text = format!("// {} and {}.\nfn b_{}_the_loser_hears_it() {{}}", id("067"), id("078"), "062");
        assert_eq!(ids_in(&text), [id("062"), id("067"), id("078")].into());
        let others = format!("AB-123 {}4 sub_{}_x 8-bit B-12 B-1234", id("567"), "123");
        assert_eq!(ids_in(&others), BTreeSet::new());
    }

    #[test]
    fn a_comment_in_code_covers_nothing() {
        let text = format!("// {}\nfn f() {{}}\n#[cfg(test)]\nmod tests {{ // {}\n}}", id("062"), id("078"));
        let found = files_by_case(&[SourceFile { path: "crates/x/src/y.rs".to_owned(), text }]);
        assert_eq!(found.keys().collect::<Vec<_>>(), [&id("078")]);
    }

    #[test]
    fn a_case_without_a_sentence_is_found_and_a_complete_page_passes() {
        let cases = cases_of(&id("062"));
        let page = rendered("# Cases\n", &cases);
        assert_eq!(
            breaches(&page, &cases),
            [format!("{PAGE} does not say what {} asks; a test carries it", id("062"))]
        );
        let told = page.replace("| ? |", "| One owner. |");
        assert_eq!(breaches(&told, &cases), Breaches::new());
    }

    #[test]
    fn a_page_that_claims_a_test_that_is_gone_is_found() {
        let page = rendered("# Cases\n", &cases_of(&id("062"))).replace("| ? |", "| One owner. |");
        let now = cases_of("nothing");
        assert_eq!(breaches(&page, &now), [format!("{PAGE} is not what the sources give: run `cargo xtask fix`")]);
        assert!(rendered(&page, &now).contains("| One owner. | none yet |"));
    }
}
