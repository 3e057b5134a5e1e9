//! Seeds that once failed, kept with a sentence each in `tests/simulation/seeds/kept.txt`.

/// The file: a seed, a space and a sentence in each line; `#` begins a comment.
const KEPT: &str = include_str!("../seeds/kept.txt");

/// The kept seeds with their sentences.
///
/// # Errors
/// The line that is none.
pub fn seeds() -> Result<Vec<(u64, &'static str)>, String> {
    let lines = KEPT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (seed, sentence) = line.split_once(' ').ok_or_else(|| format!("no sentence: {line}"))?;
            let seed = seed.parse().map_err(|_| format!("no seed: {line}"))?;
            Ok((seed, sentence))
        })
        .collect()
}
