//! One client event as a reader was told it, over MQTT or HTTP, in so few bytes that a million of them fit in memory. What
//! does not belong here: whether a row of events makes sense.

use serde_json::Value;

/// What the ids of all clients of the storm begin with; their number follows.
pub(crate) const PREFIX: &str = "storm-";

/// The place of an event in a partition's log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub(super) partition: u32,
    pub(super) index: u64,
    pub(super) ordinal: u32,
}

/// Whether a connection began or ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Connected,
    Disconnected,
}

/// One event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Told {
    pub(super) client: u32,
    pub(super) change: Change,
    pub(super) epoch: u64,
    pub(super) prev_epoch: Option<u64>,
    pub(super) place: Place,
    /// A survivor speaks for a dead node.
    pub(super) synthetic: bool,
}

/// The id of a client of the storm.
pub(crate) fn client_id(client: u32) -> String {
    format!("{PREFIX}{client}")
}

impl Told {
    /// Reads the JSON of an event; `None` for one of a client that is not of the storm.
    ///
    /// # Errors
    /// What is missing or odd.
    pub(super) fn read(json: &[u8]) -> Result<Option<Told>, String> {
        let wrong = |what: &str| format!("{what} in {}", String::from_utf8_lossy(json));
        let value: Value = serde_json::from_slice(json).map_err(|error| wrong(&error.to_string()))?;
        let text = |field: &str| value[field].as_str().ok_or_else(|| wrong(&format!("no {field}")));
        let number = |field: &str| value[field].as_u64().ok_or_else(|| wrong(&format!("no {field}")));
        let flag = |field: &str| value[field].as_bool().ok_or_else(|| wrong(&format!("no {field}")));
        let Some(client) = text("clientid")?.strip_prefix(PREFIX).and_then(|number| number.parse().ok()) else {
            return Ok(None);
        };
        let change = match text("event")? {
            "client.connected" => Change::Connected,
            "client.disconnected" => Change::Disconnected,
            _ => return Err(wrong("another event")),
        };
        let prev_epoch = match value.get("prev_epoch") {
            Some(Value::Null) => None,
            Some(prev) => Some(prev.as_u64().ok_or_else(|| wrong("an odd prev_epoch"))?),
            None => return Err(wrong("no prev_epoch")),
        };
        let small = |field: &str| u32::try_from(number(field)?).map_err(|_| wrong(&format!("an odd {field}")));
        let place = Place { partition: small("partition")?, index: number("index")?, ordinal: small("ordinal")? };
        let synthetic = flag("synthetic")?;
        Ok(Some(Told { client, change, epoch: number("epoch")?, prev_epoch, place, synthetic }))
    }
}

#[test]
fn an_event_is_read_with_all_that_is_judged_and_an_incomplete_one_is_refused() {
    let whole = r#"{"event":"client.disconnected","clientid":"storm-7","epoch":9,"prev_epoch":4,"partition":2,"index":70,
                    "ordinal":3,"online":false,"synthetic":true}"#;
    let place = Place { partition: 2, index: 70, ordinal: 3 };
    let told = Told { client: 7, change: Change::Disconnected, epoch: 9, prev_epoch: Some(4), place, synthetic: true };
    assert_eq!(Told::read(whole.as_bytes()), Ok(Some(told)));
    let first = whole.replace("\"prev_epoch\":4", "\"prev_epoch\":null");
    assert_eq!(Told::read(first.as_bytes()), Ok(Some(Told { prev_epoch: None, ..told })));
    assert_eq!(Told::read(whole.replace("storm-7", "watcher").as_bytes()), Ok(None));
    for field in ["event", "epoch", "prev_epoch", "partition", "index", "ordinal", "synthetic"] {
        let without = whole.replace(&format!("\"{field}\""), "\"other\"");
        assert!(Told::read(without.as_bytes()).is_err(), "{without}");
    }
}
