//! `docs/reference/mqtt-conformance.md`, from the table.

use crate::bytes::Version;
use crate::run::is_awaited;
use crate::statement::{Seen, Statement, version_name};
use crate::statements;

/// Where the page is, from the workspace's root.
pub const PAGE: &str = "docs/reference/mqtt-conformance.md";

/// The page.
#[must_use]
pub fn rendered() -> String {
    let mut text = String::from(
        "# MQTT conformance\n\n\
         Generated from the table in `tests/conformance/src/statements/mod.rs`; a test compares. Statements of the \
         standards by their numbers, in words of our own. Each test runs with both of its clients on one node, and with \
         its clients on two nodes. A statement counts as covered only because its test fails for a broker that is broken \
         in the way the last column says; the same run shows that, too.\n\n\
         \"Awaited\": the broker cannot do this yet, and nothing was shown. A statement that is not in the table has no \
         test yet.\n",
    );
    for version in [Version::V311, Version::V5] {
        let rows: Vec<_> = statements::all().into_iter().filter(|statement| statement.version == version).collect();
        let tests = rows.iter().filter(|row| matches!(row.seen, Seen::Test(..)));
        let (waiting, covered): (Vec<&Statement>, Vec<&Statement>) = tests.partition(|row| is_awaited(row));
        text.push_str(&format!(
            "\n## MQTT {}\n\n{} covered, {} awaited, {} not to be seen from outside.\n\n\
             | statement | what it asks for | state | noticed: a broker that … |\n|---|---|---|---|\n",
            version_name(version),
            covered.len(),
            waiting.len(),
            rows.len() - covered.len() - waiting.len(),
        ));
        for row in &rows {
            let (state, noticed) = match row.seen {
                Seen::Test(_, breakage) if is_awaited(row) => ("awaited", breakage.says()),
                Seen::Test(_, breakage) => ("covered", breakage.says()),
                Seen::Not(reason) => ("not seen", reason.to_owned()),
            };
            text.push_str(&format!("| {} | {} | {state} | {noticed} |\n", row.number, row.says));
        }
    }
    text
}
