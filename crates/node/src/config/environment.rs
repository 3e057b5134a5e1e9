//! Environment variables: `ROLLCALL_<SECTION>__<KEY>`, two underscores between levels, a number for a place in a list
//! of tables (`ROLLCALL_AUTH__BOOTSTRAP_USERS__0__PASSWORD`). They win over the file.
//!
//! Texts are taken as they are; a list is either written as in TOML or separated by commas; a list of tables is
//! written as in TOML. Only the names are looked at here, never the process's environment itself: it comes in as an
//! argument.

use super::{
    Origin, Secret,
    file::Merged,
    keys::{self, KEYS, Key, Kind},
};
use std::path::PathBuf;
use toml::{Table, Value};

const PREFIX: &str = "ROLLCALL_";
const ADMIN_PASSWORD: &str = "ROLLCALL_ADMIN_PASSWORD";
const ADMIN_PASSWORD_FILE: &str = "ROLLCALL_ADMIN_PASSWORD_FILE";
/// Most entries that variables may make in one list of tables.
const LIST_ENTRIES_MAX: usize = 1_000;

/// What the environment says beside keys of the file.
#[derive(Default)]
pub(super) struct Special {
    pub(super) admin_password: Option<Secret>,
    pub(super) admin_password_file: Option<PathBuf>,
}

/// Lays the variables over what the file set, in the order of their names.
pub(super) fn apply(merged: &mut Merged, environment: impl IntoIterator<Item = (String, String)>) -> Special {
    let mut special = Special::default();
    let mut variables: Vec<(String, String)> =
        environment.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    // A whole list comes before its entries, since the longer name sorts behind; entry 10 must come behind entry 2.
    variables.sort_by(|a, b| order(&a.0).cmp(&order(&b.0)));
    for (name, value) in variables {
        match name.as_str() {
            ADMIN_PASSWORD => special.admin_password = Some(Secret::new(value)),
            ADMIN_PASSWORD_FILE => special.admin_password_file = Some(PathBuf::from(value)),
            _ => {
                if let Err(sentence) = set(merged, &name, &value) {
                    merged.problems.push(sentence);
                }
            }
        }
    }
    special
}

fn order(name: &str) -> Vec<(usize, &str)> {
    name.split("__").map(|part| (part.parse::<usize>().unwrap_or(0), part)).collect()
}

/// One step of a path.
#[derive(Clone, Debug)]
enum Step {
    Name(String),
    Place(usize),
}

fn set(merged: &mut Merged, variable: &str, text: &str) -> Result<(), String> {
    let Some(rest) = variable.strip_prefix(PREFIX) else { return Ok(()) };
    if !rest.contains("__") {
        // Container platforms inject ROLLCALL_SERVICE_HOST and the like; only a misspelt key is ours to judge.
        return match KEYS.iter().map(|key| variable_name(key.path)).find(|known| known.replace("__", "_") == variable) {
            Some(known) => Err(format!("the variable {variable} is not read; did you mean {known}?")),
            None => Ok(()),
        };
    }
    let steps: Vec<Step> = rest
        .split("__")
        .map(|part| match part.parse() {
            Ok(place) => Step::Place(place),
            Err(_) => Step::Name(part.to_lowercase()),
        })
        .collect();
    let (mut pattern, mut place) = (String::new(), String::new());
    for step in &steps {
        match step {
            Step::Name(name) => {
                let dot = if pattern.is_empty() { "" } else { "." };
                pattern += &format!("{dot}{name}");
                place += &format!("{dot}{name}");
            }
            Step::Place(index) => {
                pattern += "[]";
                place += &format!("[{index}]");
            }
        }
    }
    let Some(key) = keys::find(&pattern) else {
        let hint = keys::nearest_path(&pattern)
            .map(|known| format!("; did you mean {}?", variable_name(known)))
            .unwrap_or_default();
        return Err(format!("the variable {variable} names no key{hint}"));
    };
    let value = read_value(key, variable, text)?;
    if let Value::Array(entries) = &value
        && key.kind == Kind::Tables
    {
        check_entries(key, variable, entries)?;
        merged.origins.retain(|set, _| !set.starts_with(&format!("{place}[")));
    } else {
        keys::check(key, variable, &value)?;
    }
    insert(&mut merged.table, variable, &steps, value)?;
    merged.origins.insert(place, Origin::Environment(variable.to_owned()));
    Ok(())
}

/// The name of the variable that sets a key; `N` stands for a place in a list.
pub(super) fn variable_name(path: &str) -> String {
    format!("{PREFIX}{}", path.replace("[]", ".N").replace('.', "__").to_uppercase())
}

fn read_value(key: &Key, variable: &str, text: &str) -> Result<Value, String> {
    let as_toml = || {
        format!("value = {text}")
            .parse::<Table>()
            .ok()
            .and_then(|mut table| table.remove("value"))
            .ok_or_else(|| format!("{variable} is not a list as TOML writes it"))
    };
    match key.kind {
        Kind::Text | Kind::Secret | Kind::Path | Kind::Choice(_) | Kind::Address | Kind::Listener => {
            Ok(Value::String(text.to_owned()))
        }
        Kind::Integer(_) => text
            .trim()
            .replace('_', "")
            .parse()
            .map(Value::Integer)
            .map_err(|_| format!("{variable} must be a whole number, not {text:?}")),
        Kind::Boolean => match text.trim() {
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            _ => Err(format!("{variable} must be true or false, not {text:?}")),
        },
        Kind::ChoiceList(_) | Kind::TextList if !text.trim_start().starts_with('[') => Ok(Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.into()))
                .collect(),
        )),
        Kind::IntegerList(_) if !text.trim_start().starts_with('[') => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| item.parse().map(Value::Integer))
            .collect::<Result<Vec<Value>, _>>()
            .map(Value::Array)
            .map_err(|_| format!("{variable} must be whole numbers separated by commas, not {text:?}")),
        Kind::ChoiceList(_) | Kind::TextList | Kind::IntegerList(_) | Kind::Tables => as_toml(),
    }
}

/// The keys of tables that a variable holds whole.
fn check_entries(key: &Key, variable: &str, entries: &[Value]) -> Result<(), String> {
    for (index, entry) in entries.iter().enumerate() {
        let place = format!("{variable}[{index}]");
        let Value::Table(table) = entry else { return Err(format!("{place} must be a table")) };
        for (name, value) in table {
            let pattern = format!("{}[].{name}", key.path);
            match keys::find(&pattern) {
                Some(known) => keys::check(known, &format!("{place}.{name}"), value)?,
                None => {
                    let hint = keys::nearest_path(&pattern)
                        .map(|known| format!("; did you mean {known}?"))
                        .unwrap_or_default();
                    return Err(format!("there is no key {place}.{name}{hint}"));
                }
            }
        }
    }
    Ok(())
}

fn insert(table: &mut Table, variable: &str, steps: &[Step], value: Value) -> Result<(), String> {
    let mismatch = || format!("{variable} does not fit what the file sets there");
    match steps {
        [Step::Name(name)] => {
            table.insert(name.clone(), value);
            Ok(())
        }
        [Step::Name(name), Step::Place(index), rest @ ..] => {
            let list = table.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
            let list = list.as_array_mut().ok_or_else(mismatch)?;
            if *index > list.len() || *index >= LIST_ENTRIES_MAX {
                return Err(format!("{variable} leaves a gap: the next entry of that list is {}", list.len()));
            }
            if *index == list.len() {
                list.push(Value::Table(Table::new()));
            }
            insert(list[*index].as_table_mut().ok_or_else(mismatch)?, variable, rest, value)
        }
        [Step::Name(name), rest @ ..] => {
            let inner = table.entry(name.clone()).or_insert_with(|| Value::Table(Table::new()));
            insert(inner.as_table_mut().ok_or_else(mismatch)?, variable, rest, value)
        }
        _ => Err(mismatch()),
    }
}
