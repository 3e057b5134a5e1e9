//! `rollcall clients` and `rollcall kick`.

use super::{
    Api,
    arguments::{ClientsArguments, KickArguments},
};
use crate::{failure::Failure, http::encode_segment, output};
use serde::Deserialize;
use serde_json::Value;

/// Clients asked for at once.
const PAGE: u64 = 1000;
const HEADER: [&str; 6] = ["client", "state", "node", "account", "protocol", "since"];

#[derive(Deserialize)]
struct Page {
    clients: Vec<Value>,
    cursor: Option<String>,
}

/// Prints the clients page by page, as they come.
pub(crate) fn list(arguments: &ClientsArguments) -> Result<(), Failure> {
    let api = Api::new(&arguments.api)?;
    let mut filters = String::new();
    let texts = [("prefix", &arguments.prefix), ("node", &arguments.node), ("username", &arguments.username)];
    for (name, value) in texts {
        if let Some(value) = value {
            filters.push_str(&format!("&{name}={}", encode_segment(value)));
        }
    }
    if let Some(online) = arguments.online {
        filters.push_str(&format!("&online={online}"));
    }
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    let (mut cursor, mut widths, mut with_header) = (String::new(), Vec::new(), true);
    while left > 0 {
        let page: Page = api.read(&format!("clients?limit={}{filters}{cursor}", PAGE.min(left)))?;
        left -= u64::try_from(page.clients.len()).unwrap_or(u64::MAX).min(left);
        if arguments.json {
            for client in &page.clients {
                output::line(client)?;
            }
        } else {
            let rows: Vec<Vec<String>> = page.clients.iter().map(row).collect();
            output::print(output::table(&HEADER, &rows, &mut widths, with_header))?;
            with_header = false;
        }
        match page.cursor {
            Some(next) => cursor = format!("&cursor={}", encode_segment(&next)),
            None => break,
        }
    }
    Ok(())
}

fn row(client: &Value) -> Vec<String> {
    let text = |name: &str| match &client[name] {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let protocol = match client["protocol_version"].as_u64() {
        Some(3) => "3.1".to_owned(),
        Some(4) => "3.1.1".to_owned(),
        Some(level) => level.to_string(),
        None => "-".to_owned(),
    };
    let state = if client["online"] == true { "online" } else { "offline" };
    vec![text("client_id"), state.to_owned(), text("node"), text("username"), protocol, text("since")]
}

/// Ends a connection.
pub(crate) fn kick(arguments: &KickArguments) -> Result<(), Failure> {
    let and_session = if arguments.delete_session { "?delete_session=true" } else { "" };
    Api::new(&arguments.api)?.delete(&format!("clients/{}{and_session}", encode_segment(&arguments.id)))?;
    let what =
        if arguments.delete_session { "its connection and its session are over" } else { "its connection is over" };
    output::print(format!("{}: {what}\n", arguments.id))
}
