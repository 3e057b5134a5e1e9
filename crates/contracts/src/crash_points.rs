//! Named points in the program at which a process can be made to die at once, so that a run under faults meets the states
//! between two steps that no kill from outside would hit. Compiled in only with the feature `mutants`, which no release
//! has; chosen at start by the environment variable `ROLLCALL_CRASH_AT`, as `name:passes`.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// The point that was chosen.
struct Chosen {
    name: String,
    /// The pass at which the process dies, from 1.
    pass: u64,
    passed: AtomicU64,
}

fn chosen() -> Option<&'static Chosen> {
    static CHOSEN: OnceLock<Option<Chosen>> = OnceLock::new();
    let read = || parse(&std::env::var("ROLLCALL_CRASH_AT").ok()?);
    CHOSEN.get_or_init(read).as_ref()
}

fn parse(text: &str) -> Option<Chosen> {
    let (name, pass) = text.split_once(':')?;
    Some(Chosen { name: name.to_owned(), pass: pass.parse().ok()?, passed: AtomicU64::new(0) })
}

/// Whether this process is to die somewhere.
#[must_use]
pub fn is_chosen() -> bool {
    chosen().is_some()
}

/// The process passes a point: if it is the chosen one and often enough, nothing of the process runs after this.
pub fn pass(name: &str) {
    let Some(chosen) = chosen().filter(|chosen| chosen.name == name) else { return };
    if chosen.passed.fetch_add(1, Ordering::SeqCst) + 1 == chosen.pass {
        std::process::abort();
    }
}
