//! The declared layers (`layers.toml`) against the dependencies that cargo reports.

use crate::Breaches;
use crate::workspace::{DependencyKind, PREFIX, Package};
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// The declared table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LayerTable {
    crates: BTreeMap<String, Layer>,
    sealed: Vec<Seal>,
    rule_floors: BTreeSet<i64>,
    rule_libraries: Libraries,
    open: Libraries,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Layer {
    floor: i64,
    uses: BTreeSet<String>,
    uses_in_tests: BTreeSet<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Seal {
    libraries: Vec<String>,
    crates: BTreeSet<String>,
    crates_in_tests: BTreeSet<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Libraries {
    always: BTreeSet<String>,
    in_tests: BTreeSet<String>,
}

impl LayerTable {
    /// Reads the table. Unknown keys are refused, since a misspelt permission would look like a strict rule.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: Table = text.parse().map_err(|e| format!("layers.toml: {e}"))?;
        let mut result = LayerTable::default();
        for (key, value) in &table {
            match (key.as_str(), value) {
                ("crates", Value::Table(crates)) => {
                    for (name, layer) in crates {
                        result.crates.insert(name.clone(), Layer::parse(name, layer)?);
                    }
                }
                ("sealed", Value::Array(seals)) => {
                    for seal in seals {
                        result.sealed.push(Seal::parse(seal)?);
                    }
                }
                ("rules", Value::Table(rules)) => {
                    let floors = rules.get("floors").and_then(Value::as_array).ok_or("rules.floors is no list")?;
                    result.rule_floors = floors.iter().filter_map(Value::as_integer).collect();
                    result.rule_libraries = Libraries::parse("rules", rules, &["floors"])?;
                }
                ("open", Value::Table(open)) => result.open = Libraries::parse("open", open, &[])?,
                _ => return Err(format!("layers.toml: unknown or misshapen key `{key}`")),
            }
        }
        Ok(result)
    }

    /// Every way in which the packages break the table, and every way in which the table breaks its own rule that arrows
    /// run strictly downward.
    #[must_use]
    pub fn breaches(&self, packages: &[Package]) -> Breaches {
        let mut breaches = self.breaches_of_the_table();
        let known: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
        for name in self.crates.keys().filter(|name| !known.contains(name.as_str())) {
            breaches.push(format!("layers.toml declares `{name}`, which is no package of the workspace"));
        }
        for package in packages {
            let Some(layer) = self.crates.get(&package.name) else {
                breaches.push(format!("`{}` stands on no floor: declare it in layers.toml", package.name));
                continue;
            };
            for dependency in &package.dependencies {
                let breach = match dependency.name.strip_prefix(PREFIX) {
                    Some(target) => self.breach_of_arrow(package, layer, target, dependency.kind),
                    None => self.breach_of_library(package, layer, &dependency.name, dependency.kind),
                };
                breaches.extend(breach);
            }
        }
        breaches
    }

    fn breaches_of_the_table(&self) -> Breaches {
        let mut breaches = Breaches::new();
        for (name, layer) in &self.crates {
            for target in layer.uses.iter().chain(&layer.uses_in_tests) {
                match self.crates.get(target) {
                    None => breaches.push(format!("`{name}` may use `{target}`, which stands on no floor")),
                    Some(below) if below.floor >= layer.floor => breaches.push(format!(
                        "the arrow from `{name}` (floor {}) to `{target}` (floor {}) does not run downward",
                        layer.floor, below.floor
                    )),
                    Some(_) => {}
                }
            }
        }
        for seal in &self.sealed {
            for name in seal.crates.iter().chain(&seal.crates_in_tests) {
                if !self.crates.contains_key(name) {
                    breaches.push(format!("the seal of {:?} names `{name}`, which stands on no floor", seal.libraries));
                }
            }
        }
        breaches
    }

    fn breach_of_arrow(&self, package: &Package, layer: &Layer, target: &str, kind: DependencyKind) -> Option<String> {
        let declared = layer.uses.contains(target)
            || (kind == DependencyKind::Tests && layer.uses_in_tests.contains(target))
            || (kind == DependencyKind::Tests && target == package.name);
        let direction = match self.crates.get(target) {
            Some(below) if below.floor > layer.floor => "upward ",
            Some(below) if below.floor == layer.floor => "same-floor ",
            _ => "",
        };
        (!declared).then(|| format!("undeclared {direction}arrow from `{}` to `{target}`", package.name))
    }

    fn breach_of_library(
        &self,
        package: &Package,
        layer: &Layer,
        library: &str,
        kind: DependencyKind,
    ) -> Option<String> {
        let mut sealed = self.sealed.iter().filter(|seal| seal.covers(library)).peekable();
        if sealed.peek().is_some() {
            let allowed = sealed.any(|seal| {
                seal.crates.contains(&package.name)
                    || (kind == DependencyKind::Tests && seal.crates_in_tests.contains(&package.name))
            });
            return (!allowed).then(|| format!("`{library}` is sealed and must not appear in `{}`", package.name));
        }
        if self.rule_floors.contains(&layer.floor) {
            let allowed = self.rule_libraries.allow(library, kind);
            let floor = layer.floor;
            return (!allowed)
                .then(|| format!("`{}` is on floor {floor}, where `{library}` must not appear", package.name));
        }
        let allowed = self.open.allow(library, kind);
        (!allowed)
            .then(|| format!("`{library}`, used by `{}`, is neither sealed nor open in layers.toml", package.name))
    }
}

impl Layer {
    fn parse(name: &str, value: &Value) -> Result<Self, String> {
        let table = value.as_table().ok_or_else(|| format!("layers.toml: crates.{name} is no table"))?;
        refuse_unknown(&format!("crates.{name}"), table, &["floor", "uses", "uses_in_tests"])?;
        let floor = table.get("floor").and_then(Value::as_integer);
        Ok(Layer {
            floor: floor.ok_or_else(|| format!("layers.toml: crates.{name} has no floor"))?,
            uses: names(table, "uses")?,
            uses_in_tests: names(table, "uses_in_tests")?,
        })
    }
}

impl Seal {
    fn parse(value: &Value) -> Result<Self, String> {
        let table = value.as_table().ok_or("layers.toml: a seal is no table")?;
        refuse_unknown("sealed", table, &["libraries", "crates", "crates_in_tests"])?;
        Ok(Seal {
            libraries: names(table, "libraries")?.into_iter().collect(),
            crates: names(table, "crates")?,
            crates_in_tests: names(table, "crates_in_tests")?,
        })
    }

    fn covers(&self, library: &str) -> bool {
        self.libraries.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => library.starts_with(start),
            None => library == pattern,
        })
    }
}

impl Libraries {
    fn parse(key: &str, table: &Table, also: &[&str]) -> Result<Self, String> {
        refuse_unknown(key, table, &[also, &["libraries", "libraries_in_tests"]].concat())?;
        Ok(Libraries { always: names(table, "libraries")?, in_tests: names(table, "libraries_in_tests")? })
    }

    fn allow(&self, library: &str, kind: DependencyKind) -> bool {
        self.always.contains(library) || (kind == DependencyKind::Tests && self.in_tests.contains(library))
    }
}

fn names(table: &Table, key: &str) -> Result<BTreeSet<String>, String> {
    let Some(value) = table.get(key) else { return Ok(BTreeSet::new()) };
    let list = value.as_array().ok_or_else(|| format!("layers.toml: `{key}` is no list"))?;
    list.iter()
        .map(|name| name.as_str().map(str::to_owned).ok_or_else(|| format!("layers.toml: `{key}` holds no names")))
        .collect()
}

fn refuse_unknown(place: &str, table: &Table, known: &[&str]) -> Result<(), String> {
    match table.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("layers.toml: unknown key `{key}` in {place}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Dependency, packages_of};

    const TABLE: &str = r#"
        [crates.types]
        floor = 0
        [crates.presence]
        floor = 1
        uses = ["types"]
        [crates.session]
        floor = 1
        uses = ["types"]
        [crates.storage]
        floor = 3
        uses = ["types"]
        uses_in_tests = ["presence"]
        [rules]
        floors = [0, 1]
        libraries = ["serde"]
        libraries_in_tests = ["proptest"]
        [[sealed]]
        libraries = ["sled", "ntex-*"]
        crates = ["storage"]
        [open]
        libraries = ["tokio"]
    "#;

    fn package(name: &str, uses: &[(&str, DependencyKind)]) -> Package {
        let dependencies = uses.iter().map(|(n, kind)| Dependency { name: (*n).to_owned(), kind: *kind }).collect();
        Package { name: name.to_owned(), dir: "".into(), dependencies, roots: Vec::new() }
    }

    /// The four packages of `TABLE`, with the dependencies of one replaced.
    fn breaches_with(table: &str, name: &str, uses: &[(&str, DependencyKind)]) -> Breaches {
        let packages: Vec<Package> = ["types", "presence", "session", "storage"]
            .iter()
            .map(|n| package(n, if *n == name { uses } else { &[] }))
            .collect();
        LayerTable::parse(table).unwrap().breaches(&packages)
    }

    use DependencyKind::{Always, Tests};

    #[test]
    fn declared_arrows_pass() {
        let uses = [("rollcall-types", Always), ("rollcall-presence", Tests), ("sled", Always), ("tokio", Always)];
        assert_eq!(breaches_with(TABLE, "storage", &uses), Breaches::new());
    }

    #[test]
    fn an_undeclared_arrow_fails() {
        let breaches = breaches_with(TABLE, "storage", &[("rollcall-session", Always)]);
        assert_eq!(breaches, ["undeclared arrow from `storage` to `session`"]);
    }

    #[test]
    fn an_arrow_for_tests_does_not_allow_the_same_arrow_in_the_crate_itself() {
        let breaches = breaches_with(TABLE, "storage", &[("rollcall-presence", Always)]);
        assert_eq!(breaches, ["undeclared arrow from `storage` to `presence`"]);
    }

    #[test]
    fn an_upward_arrow_fails() {
        let breaches = breaches_with(TABLE, "presence", &[("rollcall-storage", Always)]);
        assert_eq!(breaches, ["undeclared upward arrow from `presence` to `storage`"]);
    }

    #[test]
    fn a_same_floor_arrow_fails_even_in_tests() {
        let breaches = breaches_with(TABLE, "presence", &[("rollcall-session", Tests)]);
        assert_eq!(breaches, ["undeclared same-floor arrow from `presence` to `session`"]);
    }

    #[test]
    fn declaring_an_upward_or_same_floor_arrow_does_not_make_it_right() {
        let upward =
            TABLE.replace("[crates.presence]", "[crates.presence]\nuses_in_tests = [\"storage\", \"session\"]");
        let breaches = breaches_with(&upward, "presence", &[]);
        assert_eq!(breaches.len(), 2, "{breaches:?}");
        assert!(breaches.iter().all(|b| b.contains("does not run downward")), "{breaches:?}");
    }

    #[test]
    fn sealed_libraries_fail_elsewhere_and_patterns_cover_their_family() {
        assert_eq!(breaches_with(TABLE, "storage", &[("ntex-mqtt", Always)]), Breaches::new());
        assert_eq!(
            breaches_with(TABLE, "session", &[("sled", Tests)]),
            ["`sled` is sealed and must not appear in `session`"]
        );
        assert_eq!(
            breaches_with(TABLE, "session", &[("ntex-io", Always)]),
            ["`ntex-io` is sealed and must not appear in `session`"]
        );
    }

    #[test]
    fn the_rule_floors_take_only_their_few_libraries() {
        assert_eq!(breaches_with(TABLE, "presence", &[("serde", Always), ("proptest", Tests)]), Breaches::new());
        assert_eq!(
            breaches_with(TABLE, "types", &[("tokio", Always)]),
            ["`types` is on floor 0, where `tokio` must not appear"]
        );
        assert_eq!(
            breaches_with(TABLE, "presence", &[("proptest", Always)]),
            ["`presence` is on floor 1, where `proptest` must not appear"]
        );
    }

    #[test]
    fn a_library_that_nobody_declared_fails() {
        assert_eq!(
            breaches_with(TABLE, "storage", &[("left-pad", Always)]),
            ["`left-pad`, used by `storage`, is neither sealed nor open in layers.toml"]
        );
    }

    #[test]
    fn packages_and_table_must_name_each_other() {
        let table = LayerTable::parse(TABLE).unwrap();
        let packages = ["types", "presence", "session", "stranger"].map(|n| package(n, &[]));
        assert_eq!(
            table.breaches(&packages),
            [
                "layers.toml declares `storage`, which is no package of the workspace",
                "`stranger` stands on no floor: declare it in layers.toml"
            ]
        );
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(LayerTable::parse("[crates.types]\nfloor = 0\nuse = []").is_err());
        assert!(LayerTable::parse("[crates.types]\nuses = []").is_err());
        assert!(LayerTable::parse("[[seals]]\nlibraries = []").is_err());
        assert!(LayerTable::parse("[open]\nlibrary = []").is_err());
        assert!(LayerTable::parse("[crates.types]\nfloor = 0\nuses = [1]").is_err());
    }

    #[test]
    fn metadata_is_read_with_kinds_and_renamed_dependencies() {
        let packages = packages_of(
            r#"{"packages": [{"name": "rollcall-raft", "manifest_path": "/w/crates/raft/Cargo.toml",
                "targets": [{"kind": ["lib"], "src_path": "/w/crates/raft/src/lib.rs"},
                            {"kind": ["test"], "src_path": "/w/crates/raft/tests/it.rs"}],
                "dependencies": [{"name": "openraft", "rename": "consensus", "kind": null},
                                 {"name": "protox", "kind": "build"}, {"name": "tempfile", "kind": "dev"}]}]}"#,
        )
        .unwrap();
        let expected = [("openraft", Always), ("protox", Always), ("tempfile", Tests)];
        assert_eq!(packages[0].dependencies, package("raft", &expected).dependencies);
        assert_eq!(packages[0].name, "raft");
        assert_eq!(packages[0].roots.len(), 1);
        assert!(packages_of("{}").is_err());
    }
}
