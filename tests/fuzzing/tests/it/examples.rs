//! Inputs to begin with.

use std::path::Path;

/// Rows of decisions: nothing, the same again and again, and ascending ones.
pub(crate) fn rows() -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        vec![0; 60],
        vec![1; 120],
        (0..200).collect(),
        (0..250).map(|byte: u8| byte.wrapping_mul(7)).collect(),
    ]
}

/// What a crate keeps as bytes that were stored or sent once: every piece of every file.
pub(crate) fn kept(of_crate: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let folder = root.join("crates").join(of_crate).join("tests/bytes");
    let mut pieces = Vec::new();
    for version in std::fs::read_dir(&folder).unwrap() {
        for file in std::fs::read_dir(version.unwrap().path()).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            // Each piece has a line that names it, and lines of digits.
            for piece in text.split("# ").skip(1) {
                let digits: String = piece.lines().skip(1).collect();
                let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
                pieces.push((0..digits.len()).step_by(2).map(byte).collect());
            }
        }
    }
    assert!(!pieces.is_empty(), "no bytes in {}", folder.display());
    pieces.sort();
    pieces
}
