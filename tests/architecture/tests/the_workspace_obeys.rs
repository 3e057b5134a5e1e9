//! The real workspace against every rule of this package. `ROLLCALL_TEST_REWRITE=1` rewrites the generated pages instead of
//! comparing them; `cargo xtask fix` sets it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use rollcall_test_architecture::layers::LayerTable;
use rollcall_test_architecture::sources::SourceFile;
use rollcall_test_architecture::workspace::{self, from_root, root};
use rollcall_test_architecture::{Breaches, bans, cases, examples, machine_names, pages, sources};
use std::path::{Path, PathBuf};
use std::process::Command;

fn assert_none(breaches: Breaches) {
    assert!(breaches.is_empty(), "{} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

fn load(path: &Path) -> SourceFile {
    SourceFile { path: from_root(path), text: workspace::read(path).unwrap() }
}

fn sources_under(folders: &[&str], endings: &[&str]) -> Vec<SourceFile> {
    let files: Vec<SourceFile> = folders
        .iter()
        .flat_map(|folder| workspace::files_under(&root().join(folder), endings).unwrap())
        .map(|path| load(&path))
        .collect();
    assert!(files.len() > 20, "the sources were not found");
    files
}

/// Every file that git knows, or that it would take in.
fn project_files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    names.split('\0').filter(|name| !name.is_empty()).map(|name| root().join(name)).filter(|p| p.is_file()).collect()
}

#[test]
fn dependencies_follow_the_declared_layers() {
    let table = LayerTable::parse(&workspace::read(&root().join("tests/architecture/layers.toml")).unwrap()).unwrap();
    let packages = workspace::packages().unwrap();
    assert!(packages.len() > 15, "cargo reported too few packages");
    assert_none(table.breaches(&packages));
}

#[test]
fn every_crate_forbids_unsafe_code() {
    let roots: Vec<SourceFile> =
        workspace::packages().unwrap().iter().flat_map(|package| &package.roots).map(|path| load(path)).collect();
    assert!(roots.len() > 15, "cargo reported too few crate roots");
    assert_none(sources::breaches_of_safety(&roots));
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    assert_none(sources::breaches_of_heads(&sources_under(&["crates", "tests"], &["rs"])));
}

#[test]
fn no_code_file_is_longer_than_one_can_hold_in_mind() {
    let code: Vec<SourceFile> = sources_under(&["crates", "tests"], &["rs"])
        .into_iter()
        .filter(|file| !file.path.contains("/tests/"))
        .collect();
    assert_none(sources::breaches_of_size(&code));
}

#[test]
fn rule_crates_forbid_what_could_make_replicas_differ() {
    let root_bans = workspace::read(&root().join("clippy.toml")).unwrap();
    let mut breaches = Breaches::new();
    for name in ["types", "presence", "session", "routing", "cluster", "quota"] {
        let place = format!("crates/{name}/clippy.toml");
        match workspace::read(&root().join(&place)) {
            Ok(own) => {
                breaches.extend(bans::breaches_of_repetition(&place, &own, &root_bans));
                breaches.extend(bans::breaches_of_purity(&place, &own));
            }
            Err(error) => breaches.push(error),
        }
    }
    assert_none(breaches);
}

#[test]
fn every_clippy_file_repeats_the_bans_of_the_root() {
    let root_bans = workspace::read(&root().join("clippy.toml")).unwrap();
    let own_files = project_files().into_iter().filter(|path| path.ends_with("clippy.toml"));
    let breaches = own_files.map(|path| (from_root(&path), workspace::read(&path).unwrap()));
    assert_none(breaches.flat_map(|(place, own)| bans::breaches_of_repetition(&place, &own, &root_bans)).collect());
}

#[test]
fn pages_name_only_files_that_exist() {
    let mut names = workspace::files_under(&root().join("docs"), &["md"]).unwrap();
    names.extend(
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "helm/rollcall/README.md"].map(|name| root().join(name)),
    );
    assert!(names.len() > 8, "the pages were not found");
    let breaches = names.iter().map(|path| load(path));
    assert_none(breaches.flat_map(|p| pages::breaches(&p.path, &p.text, |name| root().join(name).exists())).collect());
}

#[test]
fn pages_show_every_example_as_it_is_run() {
    let pages = workspace::files_under(&root().join("docs"), &["md"]).unwrap();
    let pages: Vec<SourceFile> = pages.iter().map(|path| load(path)).collect();
    let shown: Vec<String> = pages.iter().flat_map(|page| examples::blocks(&page.text)).map(|(name, _)| name).collect();
    let files = workspace::files_under(&root().join("docs/examples"), &["py", "sh", "go"]).unwrap();
    assert!(files.len() >= 3, "the examples were not found");
    let mut breaches: Breaches = files
        .iter()
        .map(|path| from_root(path))
        .filter(|name| !shown.contains(name))
        .map(|name| format!("{name} is an example that no page shows"))
        .collect();
    let read = |name: &str| std::fs::read_to_string(root().join(name)).ok();
    breaches.extend(pages.iter().flat_map(|page| examples::breaches(&page.path, &page.text, read)));
    assert_none(breaches);
}

#[test]
fn the_project_names_no_machine() {
    let files = project_files();
    assert!(files.len() > 50, "the project's files were not found");
    let mut breaches = Breaches::new();
    for path in files {
        if let Ok(text) = std::fs::read_to_string(&path) {
            breaches.extend(machine_names::breaches(&from_root(&path), &text));
        }
    }
    assert_none(breaches);
}

#[test]
fn every_case_that_a_test_carries_stands_in_the_table_with_its_files() {
    let cases = cases::files_by_case(&sources_under(&["crates", "tests"], &["rs", "txt", "py"]));
    let path = root().join(cases::PAGE);
    let page = workspace::read(&path).unwrap();
    if std::env::var_os("ROLLCALL_TEST_REWRITE").is_some_and(|value| value == "1") {
        std::fs::write(&path, cases::rendered(&page, &cases)).unwrap();
    }
    assert_none(cases::breaches(&workspace::read(&path).unwrap(), &cases));
}
