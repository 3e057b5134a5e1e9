//! What is written down: one line of JSON for each operation and each fault, on one monotonic clock of the driving
//! process. What does not belong here: any judgement of it.

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Nanoseconds since the run began.
pub type Nanos = u64;

/// The fault of the line that says from when on all is at rest: nobody connects or ends any more.
pub const QUIET: &str = "quiet";

/// What a client did, or saw done to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// CONNECT up to its CONNACK.
    Connect,
    /// DISCONNECT sent. Begins with the last sign of life of the broker, when there was one.
    Disconnect,
    /// The socket was closed without a word. Begins like `Disconnect`.
    Drop,
    /// The connection was found to be over. Begins with the last question that the broker still answered on it.
    HoldEnd,
    /// A status query.
    Status,
    /// A kick over the management API.
    Kick,
    /// A SUBSCRIBE to all messages up to its SUBACK.
    Subscribe,
    /// A PUBLISH up to its acknowledgement: PUBACK, or PUBREC with QoS 2.
    Publish,
    /// A message that arrived.
    Receive,
}

/// What came of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It happened.
    Ok,
    /// The answer was a refusal. A CONNECT refused after it was sent may still have had an effect for a while.
    Refused,
    /// No answer: it happened, happens later, or never.
    Unknown,
}

/// One operation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// The cell of the run.
    pub cell: String,
    /// Who did it.
    pub worker: u32,
    /// What.
    pub op: Op,
    /// The client id.
    pub key: String,
    /// The node that was talked to.
    pub node: String,
    /// When it began.
    pub start_ns: Nanos,
    /// When its answer was there; `None` when none came.
    pub end_ns: Option<Nanos>,
    /// What came of it.
    pub outcome: Outcome,
    /// The answer of a status query.
    pub online: Option<bool>,
    /// Epoch of the answer.
    pub epoch: Option<u64>,
    /// Partition of the answer.
    pub partition: Option<u32>,
    /// Log index of the answer.
    pub index: Option<u64>,
    /// Number of the connection, unique within the cell.
    pub connection: Option<u64>,
    /// Why a connection was over, or why there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The message that was published, or arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageLine>,
    /// The shared group that a SUBSCRIBE, or an arrival, is of: its members share all messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// A message, as both its ends name it. A publisher publishes at one QoS to one topic, each number once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessageLine {
    /// The client id of the publisher, which has one connection only.
    pub publisher: String,
    /// Its number with this publisher.
    pub number: u64,
    /// The QoS of the packet.
    pub qos: u8,
}

/// One fault and the time it lasted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// The cell of the run.
    pub cell: String,
    /// Its name, or [`QUIET`].
    pub fault: String,
    /// The nodes it was aimed at.
    pub target: String,
    /// From when.
    pub from_ns: Nanos,
    /// Until when.
    pub to_ns: Nanos,
}

/// Collects operations and faults of one cell from many threads.
pub struct Recorder {
    began: Instant,
    operations: Mutex<Vec<Operation>>,
    faults: Mutex<Vec<Fault>>,
}

impl Recorder {
    /// A recorder whose clock began at that moment.
    #[must_use]
    pub fn new(began: Instant) -> Self {
        Recorder { began, operations: Mutex::default(), faults: Mutex::default() }
    }

    /// The present time of the run.
    #[must_use]
    pub fn now(&self) -> Nanos {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Writes an operation down.
    pub fn operation(&self, operation: Operation) {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }

    /// Writes a fault down.
    pub fn fault(&self, fault: Fault) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// Everything so far, in the order of its beginning.
    #[must_use]
    pub fn taken(&self) -> (Vec<Operation>, Vec<Fault>) {
        let mut operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        operations.sort_by_key(|operation| operation.start_ns);
        (operations, self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Appends the lines to the file.
///
/// # Errors
/// What the file system says.
pub fn append<T: Serialize>(path: &Path, lines: &[T]) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::options().create(true).append(true).open(path)?);
    for line in lines {
        serde_json::to_writer(&mut file, line)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

/// Reads the lines of a file.
///
/// # Errors
/// What the file system says, or that a line is none of ours.
pub fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> std::io::Result<Vec<T>> {
    BufReader::new(File::open(path)?).lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_promised_names_in_the_promised_order() {
        let operation = Operation {
            cell: "c".to_owned(),
            worker: 1,
            op: Op::HoldEnd,
            key: "k".to_owned(),
            node: "n1".to_owned(),
            start_ns: 5,
            end_ns: None,
            outcome: Outcome::Unknown,
            online: None,
            epoch: Some(2),
            partition: None,
            index: None,
            connection: Some(3),
            reason: None,
            message: None,
            group: None,
        };
        let line = serde_json::to_string(&operation).unwrap();
        assert_eq!(
            line,
            r#"{"cell":"c","worker":1,"op":"hold_end","key":"k","node":"n1","start_ns":5,"end_ns":null,"outcome":"unknown","online":null,"epoch":2,"partition":null,"index":null,"connection":3}"#
        );
        assert_eq!(serde_json::from_str::<Operation>(&line).unwrap(), operation);
    }
}
