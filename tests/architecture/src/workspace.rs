//! The facts: packages, their dependencies and their files, as cargo and git tell them.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// When a dependency is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DependencyKind {
    /// By the crate itself, or by its build script.
    Always,
    /// By its tests, examples and benches only.
    Tests,
}

/// One line of a manifest's dependency tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dependency {
    /// Package name of what is used.
    pub name: String,
    /// When it is used.
    pub kind: DependencyKind,
}

/// One package of the workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Package {
    /// Name without the product's prefix: `presence`, `test-cluster`.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// What it uses, in the order of the manifest.
    pub dependencies: Vec<Dependency>,
    /// Roots of its libraries and programs.
    pub roots: Vec<PathBuf>,
}

/// All package names of the workspace start with this.
pub const PREFIX: &str = "rollcall-";

/// Reads the output of `cargo metadata --no-deps`.
///
/// # Errors
/// A sentence, when the JSON is not of that shape.
pub fn packages_of(metadata: &str) -> Result<Vec<Package>, String> {
    let value: Value = serde_json::from_str(metadata).map_err(|e| format!("cargo metadata is no JSON: {e}"))?;
    let packages = value["packages"].as_array().ok_or("cargo metadata has no packages")?;
    packages.iter().map(package_of).collect()
}

fn package_of(value: &Value) -> Result<Package, String> {
    let text = |field: &Value| field.as_str().map(str::to_owned).ok_or("cargo metadata misses a text".to_owned());
    let full_name = text(&value["name"])?;
    let manifest = PathBuf::from(text(&value["manifest_path"])?);
    let mut dependencies = Vec::new();
    for dependency in value["dependencies"].as_array().ok_or("a package has no dependency list")? {
        let kind = match dependency["kind"].as_str() {
            Some("dev") => DependencyKind::Tests,
            _ => DependencyKind::Always,
        };
        dependencies.push(Dependency { name: text(&dependency["name"])?, kind });
    }
    let mut roots = Vec::new();
    for target in value["targets"].as_array().ok_or("a package has no target list")? {
        let kinds = target["kind"].as_array().ok_or("a target has no kind")?;
        if kinds.iter().any(|k| matches!(k.as_str(), Some("lib" | "bin" | "proc-macro"))) {
            roots.push(PathBuf::from(text(&target["src_path"])?));
        }
    }
    Ok(Package {
        name: full_name.strip_prefix(PREFIX).unwrap_or(&full_name).to_owned(),
        dir: manifest.parent().unwrap_or(Path::new("")).to_owned(),
        dependencies,
        roots,
    })
}

/// The root folder of this workspace.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The packages of this workspace, from cargo itself.
///
/// # Errors
/// A sentence, when cargo cannot be asked.
pub fn packages() -> Result<Vec<Package>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--no-deps"])
        .current_dir(root())
        .output()
        .map_err(|e| format!("cargo metadata did not start: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    packages_of(&String::from_utf8_lossy(&output.stdout))
}

/// All files under the folder whose name ends so, sorted; `target` and hidden folders are left out.
///
/// # Errors
/// A sentence, when a folder cannot be read.
pub fn files_under(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(dir) = waiting.pop() {
        let entries = std::fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        for entry in entries {
            let path = entry.map_err(|e| format!("{}: {e}", dir.display()))?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("").to_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    waiting.push(path);
                }
            } else if path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The path as seen from the workspace's root, with forward slashes.
#[must_use]
pub fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// Reads a file as text.
///
/// # Errors
/// A sentence that names the file.
pub fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}
