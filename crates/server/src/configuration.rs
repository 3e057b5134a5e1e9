//! `rollcall config`, and the way every verb gets at the configuration.

use crate::{
    cli::{CheckArguments, ShowArguments},
    failure::Failure,
    output,
};
use rollcall_node::config::{Config, Loaded};
use serde_json::json;
use std::path::Path;

/// Reads file and environment.
pub(crate) fn load(path: Option<&Path>) -> Result<Loaded, Failure> {
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => variables.push((name, value)),
            Err(_) if name.starts_with("ROLLCALL_") => {
                return Err(Failure::new(format!("the variable {name} is not UTF-8")));
            }
            Err(_) => {}
        }
    }
    Config::load(path, variables).map_err(|error| Failure::of(error.sentences()))
}

/// `rollcall config check FILE`: the file as a node started here would read it.
pub(crate) fn check(arguments: &CheckArguments) -> Result<(), Failure> {
    let loaded = load(Some(&arguments.file))?;
    for warning in &loaded.warnings {
        output::complain(format_args!("warning: {warning}"));
    }
    output::line(format_args!("{} is valid", arguments.file.display()))
}

/// `rollcall config show`: every key, its value, and where the value came from.
pub(crate) fn show(arguments: &ShowArguments) -> Result<(), Failure> {
    let loaded = load(arguments.config.as_deref())?;
    let entries = loaded.entries();
    if arguments.json {
        let listed: Vec<_> = entries
            .iter()
            .map(|entry| json!({ "key": entry.path, "value": entry.value, "origin": entry.origin.to_string() }))
            .collect();
        return output::line(json!(listed));
    }
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            let value = entry.value.clone().unwrap_or_else(|| "-".to_owned());
            vec![entry.path.clone(), value, entry.origin.to_string()]
        })
        .collect();
    output::print(output::table(&["key", "value", "from"], &rows, &mut Vec::new(), true))
}
