//! Deliberate faults of the program, each in the one place that its name stands for, so that a run under faults can prove
//! that it would notice them. Compiled in only with the feature `mutants`, which no release has; chosen at start by the
//! environment variable `ROLLCALL_MUTANT`.

use std::sync::OnceLock;

/// Whether this process is to be the mutant of that name.
#[must_use]
pub fn chosen(name: &str) -> bool {
    static MUTANT: OnceLock<Option<String>> = OnceLock::new();
    MUTANT.get_or_init(|| std::env::var("ROLLCALL_MUTANT").ok()).as_deref() == Some(name)
}
