//! What every source file owes its reader: a head that says what it is for, a size that one can hold in mind, no
//! unsafe code.

use crate::Breaches;

/// A file above this many lines is refused.
pub const LINES_MAX: usize = 700;
/// Above this many lines a file is a question whether two things live in it.
pub const LINES_AIM: usize = 400;
/// A head says what a file is for in no fewer characters than this.
pub const HEAD_CHARACTERS_MIN: usize = 15;

/// One source file: its path from the root, and its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFile {
    /// Path from the workspace's root.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Files that do not open with `//!` and a sentence of substance.
#[must_use]
pub fn breaches_of_heads(files: &[SourceFile]) -> Breaches {
    files
        .iter()
        .filter(|file| head(&file.text).chars().count() < HEAD_CHARACTERS_MIN)
        .map(|file| format!("{}: the first line must start a head (`//! …`) that says what the file is for", file.path))
        .collect()
}

/// The text of the leading `//!` lines.
fn head(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    lines.collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// Files that are too long. When there is one, all files above the aim are listed after it.
#[must_use]
pub fn breaches_of_size(files: &[SourceFile]) -> Breaches {
    let lines = |file: &SourceFile| file.text.lines().count();
    let mut too_long: Vec<_> = files.iter().filter(|file| lines(file) > LINES_MAX).collect();
    if too_long.is_empty() {
        return Breaches::new();
    }
    too_long.sort_by_key(|file| std::cmp::Reverse(lines(file)));
    let mut breaches: Breaches = too_long
        .iter()
        .map(|file| format!("{}: {} lines, at most {LINES_MAX}: split it by what it holds", file.path, lines(file)))
        .collect();
    let mut long: Vec<_> = files.iter().filter(|file| (LINES_AIM + 1..=LINES_MAX).contains(&lines(file))).collect();
    long.sort_by_key(|file| std::cmp::Reverse(lines(file)));
    breaches.extend(long.iter().map(|file| format!("  (also above {LINES_AIM}: {}, {})", file.path, lines(file))));
    breaches
}

/// Roots of crates that do not forbid unsafe code.
#[must_use]
pub fn breaches_of_safety(roots: &[SourceFile]) -> Breaches {
    roots
        .iter()
        .filter(|file| !file.text.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]"))
        .map(|file| format!("{}: #![forbid(unsafe_code)] is missing", file.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_head_must_come_first_and_say_something() {
        let good = file("a.rs", "//! Client ids, and the slice each belongs to.\n\nuse x;\n");
        let late = file("b.rs", "use x;\n//! Client ids, and the slice each belongs to.\n");
        let thin = file("c.rs", "//! Types.\n");
        let none = file("d.rs", "");
        let breaches = breaches_of_heads(&[good, late, thin, none]);
        assert_eq!(breaches.len(), 3, "{breaches:?}");
        assert!(breaches[0].starts_with("b.rs") && breaches[1].starts_with("c.rs") && breaches[2].starts_with("d.rs"));
    }

    #[test]
    fn a_file_above_the_limit_is_refused_and_the_merely_long_ones_are_listed_with_it() {
        let of = |lines: usize| "x\n".repeat(lines);
        let just_right = file("a.rs", &of(LINES_MAX));
        assert_eq!(breaches_of_size(std::slice::from_ref(&just_right)), Breaches::new());
        let breaches = breaches_of_size(&[just_right, file("b.rs", &of(LINES_MAX + 1)), file("c.rs", &of(LINES_AIM))]);
        assert_eq!(breaches.len(), 2, "{breaches:?}");
        assert!(breaches[0].starts_with("b.rs: 701 lines"), "{breaches:?}");
        assert!(breaches[1].contains("a.rs, 700"), "{breaches:?}");
    }

    #[test]
    fn a_root_without_the_ban_on_unsafe_code_is_found() {
        let good = file("a.rs", "//! x\n\n#![forbid(unsafe_code)]\n");
        let softer = file("b.rs", "//! x\n\n#![deny(unsafe_code)]\n");
        assert_eq!(breaches_of_safety(&[good, softer]), ["b.rs: #![forbid(unsafe_code)] is missing"]);
    }
}
