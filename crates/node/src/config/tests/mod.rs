//! Tests of the configuration: loading, overriding, refusing, and the generated example and reference.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod loading;
mod reference;
mod refusals;

use super::{Config, ConfigError, Loaded};
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

/// A directory of its own for one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rollcall-config-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let scratch = Scratch::new();
    let path = scratch.file("rollcall.toml", text);
    Config::load(Some(&path), variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// The sentences of a refusal.
fn refused(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    load(text, variables).expect_err("must be refused").sentences()
}
