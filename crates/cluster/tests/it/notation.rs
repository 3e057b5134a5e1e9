//! Transcripts: text files in which each line that begins with `>` is carried out and followed by what came of it.
//! `UPDATE_TRANSCRIPTS=1` rewrites them.

use rollcall_cluster::DirectoryId;
use std::{env, fs, path::PathBuf};

/// Whether the files are to be rewritten rather than checked.
#[allow(clippy::disallowed_methods, reason = "the switch of whoever runs the tests")]
fn rewriting() -> bool {
    env::var_os("UPDATE_TRANSCRIPTS").is_some()
}

/// Runs every `> line` of the file through `carry_out` and holds the answers against the file.
pub(crate) fn check(file: &str, mut carry_out: impl FnMut(&str) -> String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(file);
    let present = fs::read_to_string(&path).unwrap();
    let mut fresh = String::new();
    let mut in_answer = false;
    for line in present.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            let answer = carry_out(command);
            fresh.push_str(&format!("{line}\n{}\n", answer.trim_end()));
            in_answer = true;
        } else if line.is_empty() || line.starts_with('#') || !in_answer {
            in_answer = false;
            fresh.push_str(&format!("{line}\n"));
        }
    }
    if rewriting() {
        fs::write(&path, &fresh).unwrap();
    } else {
        assert!(fresh == present, "{file} differs from what came of it now:\n{fresh}");
    }
}

/// The value of `key=value` among the words.
pub(crate) fn value<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

/// The number of `key=value` among the words.
pub(crate) fn number<T: std::str::FromStr>(words: &[&str], key: &str, default: T) -> T {
    value(words, key).map_or(default, |text| text.parse().ok().expect("a number"))
}

/// A data directory by number.
pub(crate) fn directory(number: u8) -> DirectoryId {
    DirectoryId([number; 16])
}
