//! The effective configuration, key by key, with where each value came from. Secrets stay hidden.

use super::{KEYS, Kind, Loaded, Origin, environment::variable_name};
use toml::{Table, Value};

/// One key as it is in effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its path, with numbers for places in lists.
    pub path: String,
    /// The value as TOML writes it; `None` when it is not set and has no default.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
}

impl Loaded {
    /// Every key as it is in effect, in the order of the reference.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let table = Table::try_from(&self.config).unwrap_or_default();
        let mut entries = Vec::new();
        for key in KEYS.iter().filter(|key| !key.path.contains("[]")) {
            match (key.kind, value_at(&table, key.path)) {
                (Kind::Tables, Some(Value::Array(list))) if !list.is_empty() => {
                    for (index, entry) in list.iter().enumerate() {
                        self.list_entry(key.path, index, entry, &mut entries);
                    }
                }
                (_, value) => entries.push(self.entry(key.path.to_owned(), value)),
            }
        }
        entries
    }

    fn list_entry(&self, path: &str, index: usize, entry: &Value, entries: &mut Vec<Entry>) {
        let prefix = format!("{path}[].");
        for key in KEYS {
            if let Some(name) = key.path.strip_prefix(&prefix) {
                let place = format!("{path}[{index}].{name}");
                let value = entry.get(name);
                // A secret read from its file is shown as hidden, and where it came from by the file's key.
                entries.push(self.entry(place, value));
            }
        }
    }

    fn entry(&self, path: String, value: Option<&Value>) -> Entry {
        let read_from_file = || self.origins.get(&format!("{path}_file"));
        let within = || {
            let (list, _) = path.split_once('[')?;
            self.origins.get(list)
        };
        let origin =
            self.origins.get(&path).or_else(read_from_file).or_else(within).cloned().unwrap_or(Origin::Default);
        Entry { path, value: value.map(Value::to_string), origin }
    }
}

/// The value at a path without lists.
pub(super) fn value_at<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((first, rest)) => value_at(table.get(first)?.as_table()?, rest),
    }
}

impl super::Key {
    /// The environment variable that sets this key; `N` stands for a place in a list of tables.
    #[must_use]
    pub fn variable(&self) -> String {
        variable_name(self.path)
    }
}
