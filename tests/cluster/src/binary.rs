//! The program under test: where it is, and building it where it is not yet.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The root folder of the workspace.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The `rollcall` program: `ROLLCALL_BIN`, or the one beside this test program's folder, built if it is missing.
pub fn rollcall() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| match std::env::var_os("ROLLCALL_BIN") {
        Some(path) => PathBuf::from(path),
        None => beside_this_test(),
    })
}

fn beside_this_test() -> PathBuf {
    // target/<profile>/deps/scenarios-<hash>, or target/<profile>/<program>
    let this = std::env::current_exe().expect("the path of this test program");
    let folder = this.parent().expect("a program lies in a folder");
    let profile_dir = if folder.ends_with("deps") { folder.parent().expect("deps lies in a folder") } else { folder };
    let path = profile_dir.join("rollcall");
    if !path.is_file() {
        build(profile_dir);
        assert!(path.is_file(), "cargo built, but {} is not there", path.display());
    }
    warn_if_older_than_the_sources(&path);
    path
}

fn build(profile_dir: &Path) {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root()).args(["build", "--package", "rollcall-server", "--bin", "rollcall"]);
    if profile_dir.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo starts");
    assert!(status.success(), "building rollcall failed");
}

fn warn_if_older_than_the_sources(program: &Path) {
    let changed = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    let newest = newest_under(&workspace_root().join("crates"), &changed);
    if let (Some(program_at), Some(newest)) = (changed(program), newest)
        && program_at < newest
    {
        eprintln!("note: {} is older than the sources; `cargo xtask cluster` builds it first", program.display());
    }
}

fn newest_under(folder: &Path, changed: &dyn Fn(&Path) -> Option<SystemTime>) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .filter_map(|entry| match entry.path() {
            path if path.is_dir() => newest_under(&path, changed),
            path if path.extension().is_some_and(|ending| ending == "rs") => changed(&path),
            _ => None,
        })
        .max()
}
