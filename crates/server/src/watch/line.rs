//! What is printed of an event.

use super::event_source::Event;
use serde::Deserialize;
use serde_json::{Value, json};

/// What is shown of an event's data.
#[derive(Deserialize)]
struct Shown {
    timestamp: u64,
    clientid: String,
    online: bool,
    node: Option<String>,
    reason: Option<String>,
}

/// An event as one JSON object.
pub(super) fn json_line(event: &Event) -> String {
    let data = serde_json::from_str(&event.data).unwrap_or_else(|_| Value::String(event.data.clone()));
    json!({ "id": event.id, "event": event.kind, "data": data }).to_string()
}

/// An event as columns; `None` for one that tells of no client.
pub(super) fn columns(event: &Event) -> Option<String> {
    let shown: Shown = serde_json::from_str(&event.data).ok()?;
    let state = if shown.online { "online" } else { "offline" };
    let line = format!(
        "{}  {:<24}  {state:<7}  {:<8}  {}",
        utc(shown.timestamp),
        printable(&shown.clientid),
        shown.node.as_deref().map_or_else(|| "-".to_owned(), printable),
        shown.reason.as_deref().map_or_else(String::new, printable),
    );
    Some(line.trim_end().to_owned())
}

/// A client chooses its id: nothing of it may steer a terminal.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Milliseconds since 1970 as a date and time of day.
pub(super) fn utc(ms: u64) -> String {
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (mut day, second) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let mut year = 1970;
    // Cluster time begins with a wall clock's; beyond this it was none.
    while year < 9999 {
        let days = if is_leap(year) { 366 } else { 365 };
        if day < days {
            break;
        }
        day -= days;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z", day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_717_651_193_811, "2024-06-06T05:19:53.811Z"),
            (1_798_761_599_000, "2026-12-31T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(ms), text);
        }
    }

    #[test]
    fn an_event_is_a_line_and_an_id_cannot_steer_the_terminal() {
        let data =
            r#"{"clientid":"a\u001b[2Jb","reason":"takeovered","node":null,"timestamp":0,"online":false,"more":1}"#;
        let event = Event { id: Some("AQ".into()), kind: "client_disconnected".into(), data: data.into() };
        let expected = "1970-01-01T00:00:00.000Z  a\\u{1b}[2Jb               offline  -         takeovered";
        assert_eq!(columns(&event).as_deref(), Some(expected));
        let line: Value = serde_json::from_str(&json_line(&event)).unwrap();
        assert_eq!((line["id"].as_str(), line["data"]["more"].as_u64()), (Some("AQ"), Some(1)));
    }
}
