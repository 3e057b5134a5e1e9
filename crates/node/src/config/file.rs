//! The configuration file: read whole, parsed, and every key in it known and of its kind.

use super::{
    ConfigError, FILE_BYTES_MAX, Origin,
    keys::{self, Kind},
};
use std::{collections::BTreeMap, fs, io::Read, path::Path};
use toml::{Table, Value};

/// What was set so far, by the file and then by the environment.
#[derive(Default)]
pub(super) struct Merged {
    /// The values.
    pub(super) table: Table,
    /// Where each came from.
    pub(super) origins: BTreeMap<String, Origin>,
    /// What is wrong with them, a sentence each.
    pub(super) problems: Vec<String>,
}

/// Reads a configuration file.
pub(super) fn read(path: &Path) -> Result<Merged, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let read =
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(unreadable(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    let table = text.parse::<Table>().map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
        ConfigError::Syntax { path: path.to_owned(), line, reason: error.message().to_owned() }
    })?;
    let mut walk = Walk { origin: Origin::File(path.to_owned()), origins: BTreeMap::new(), problems: Vec::new() };
    walk.table("", "", &table);
    Ok(Merged { table, origins: walk.origins, problems: walk.problems })
}

struct Walk {
    origin: Origin,
    origins: BTreeMap<String, Origin>,
    problems: Vec<String>,
}

impl Walk {
    /// `pattern` is the path with `[]` for places in lists, `place` the same with numbers.
    fn table(&mut self, pattern: &str, place: &str, table: &Table) {
        for (name, value) in table {
            let join = |prefix: &str| if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            self.value(&join(pattern), &join(place), value);
        }
    }

    fn value(&mut self, pattern: &str, place: &str, value: &Value) {
        match (keys::find(pattern), value) {
            (Some(key), Value::Array(items)) if key.kind == Kind::Tables && items.iter().all(Value::is_table) => {
                for (index, item) in items.iter().enumerate() {
                    if let Value::Table(table) = item {
                        self.table(&format!("{pattern}[]"), &format!("{place}[{index}]"), table);
                    }
                }
            }
            (Some(key), value) => match keys::check(key, place, value) {
                Ok(()) => {
                    self.origins.insert(place.to_owned(), self.origin.clone());
                }
                Err(sentence) => self.refuse(&sentence),
            },
            (None, Value::Table(table)) if keys::is_table(pattern) => self.table(pattern, place, table),
            (None, _) if keys::is_table(pattern) => self.refuse(&format!("{place} must be a table")),
            (None, _) => {
                let hint =
                    keys::nearest_path(pattern).map(|known| format!("; did you mean {known}?")).unwrap_or_default();
                self.refuse(&format!("there is no key {place}{hint}"));
            }
        }
    }

    fn refuse(&mut self, sentence: &str) {
        self.problems.push(format!("{}: {sentence}", self.origin));
    }
}
