//! How a report is shown: as JSON or as text. What does not belong here: what any of them says.

use crate::{failure::Failure, output};
use serde::Serialize;

/// Prints the report as asked for.
pub(super) fn show<R: Serialize>(report: &R, json: bool, text: impl FnOnce(&R) -> String) -> Result<(), Failure> {
    if !json {
        return output::print(text(report));
    }
    let json = serde_json::to_string_pretty(report)
        .map_err(|error| Failure::new(format!("cannot write the report: {error}")))?;
    output::line(json)
}
