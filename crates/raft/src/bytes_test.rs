//! Bytes as they were written once, in files of hexadecimal digits under `tests/bytes/`: read, and written where they
//! are missing. What they mean is told by the tests that use them. A file is only ever added: with `UPDATE_BYTES=1` a
//! missing one is written, and one that exists is never changed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fmt::Write as _, fs, io::Write as _, path::Path};

/// Bytes on one line of a file.
const BYTES_PER_LINE: usize = 32;

/// As [`stored_in`] of format version 1.
pub(crate) fn stored(name: &str, present: &[(&str, Vec<u8>)]) -> Vec<Vec<u8>> {
    stored_in(1, name, present)
}

/// The bytes of a file, piece by piece. `present` is what this program writes: it goes into the file where there is
/// none, and it names the pieces.
#[allow(clippy::disallowed_methods, reason = "the switch of whoever runs the tests")]
pub(crate) fn stored_in(version: u8, name: &str, present: &[(&str, Vec<u8>)]) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bytes").join(format!("v{version}"));
    let path = folder.join(format!("{name}.hex"));
    if !path.exists() {
        let update = std::env::var_os("UPDATE_BYTES").is_some_and(|value| value == "1");
        assert!(update, "{} is missing; UPDATE_BYTES=1 writes it", path.display());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create_new(&path).unwrap().write_all(print(present).as_bytes()).unwrap();
    }
    let pieces = parse(&fs::read_to_string(&path).unwrap());
    let same = pieces.iter().map(|(what, _)| what.as_str()).eq(present.iter().map(|(what, _)| *what));
    assert!(same, "{name} holds other pieces; files are added, never changed");
    pieces.into_iter().map(|(_, bytes)| bytes).collect()
}

fn print(pieces: &[(&str, Vec<u8>)]) -> String {
    let mut text = String::new();
    for (what, bytes) in pieces {
        writeln!(text, "# {what}").unwrap();
        bytes.chunks(BYTES_PER_LINE).for_each(|line| writeln!(text, "{}", hex(line)).unwrap());
    }
    text
}

fn parse(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut pieces: Vec<(String, Vec<u8>)> = Vec::new();
    for line in text.lines() {
        if let Some(what) = line.strip_prefix("# ") {
            pieces.push((what.to_owned(), Vec::new()));
        } else {
            let bytes = (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap());
            pieces.last_mut().unwrap().1.extend(bytes);
        }
    }
    pieces
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
