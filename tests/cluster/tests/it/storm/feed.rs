//! Reading the stream of events over HTTP: from place to place, on any node, with or without drops.

use super::told::{PREFIX, Told};
use rollcall_test_cluster::deadline;
use rollcall_test_cluster::event_stream::EventStream;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Any node must begin a stream within this time, elections included.
const BEGINS_WITHIN: Duration = Duration::from_secs(60);

/// A place in every partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Position {
    pub(super) token: String,
    /// For each partition the log index up to which everything lies before it.
    pub(super) through: Vec<u64>,
}

fn through(data: &str) -> Result<Vec<u64>, String> {
    let value: Value = serde_json::from_str(data).map_err(|error| format!("{error} in {data}"))?;
    let indices = value["through"].as_array().ok_or_else(|| format!("no through in {data}"))?;
    indices.iter().map(|index| index.as_u64().ok_or_else(|| format!("an odd index in {data}"))).collect()
}

/// The place behind everything that was committed until now, as any node tells it; `from` is where asking begins.
///
/// # Errors
/// The last refusal, when none answers in time.
pub(super) fn now(nodes: &[SocketAddr], from: usize) -> Result<Position, String> {
    let began = Instant::now();
    let mut turn = from;
    loop {
        let refused = match EventStream::open(nodes[turn % nodes.len()], "", None) {
            Ok(mut stream) => match stream.next_event() {
                Some(first) if first.kind == "position" => {
                    let token = first.id.ok_or("a position without an id")?;
                    return Ok(Position { token, through: through(&first.data)? });
                }
                other => format!("the stream began with {other:?}"),
            },
            Err(refused) => refused,
        };
        if began.elapsed() > BEGINS_WITHIN {
            return Err(refused);
        }
        turn += 1;
        deadline::pause();
    }
}

/// A reader that goes on from one node to the next.
pub(super) struct FeedReader<'a> {
    pub(super) nodes: &'a [SocketAddr],
    /// Where it goes on.
    pub(super) token: String,
    /// After so many events it drops the stream; `None` reads each to its end.
    pub(super) drops_after: Option<usize>,
    pub(super) events: Vec<Told>,
    /// For each partition the log index up to which it has read everything.
    pub(super) through: Vec<u64>,
    pub(super) streams: usize,
}

impl<'a> FeedReader<'a> {
    pub(super) fn new(nodes: &'a [SocketAddr], from: &Position, drops_after: Option<usize>) -> Self {
        let (token, through) = (from.token.clone(), from.through.clone());
        FeedReader { nodes, token, drops_after, events: Vec::new(), through, streams: 0 }
    }

    /// Reads until it is over. `is_over` is asked after each event, and before each stream.
    ///
    /// # Errors
    /// What no stream may tell: a place that is gone, or an event that cannot be read.
    pub(super) fn read(&mut self, mut is_over: impl FnMut(&Self) -> bool) -> Result<(), String> {
        for turn in self.streams.. {
            if is_over(self) {
                return Ok(());
            }
            let query = format!("?prefix={PREFIX}");
            let mut stream = match EventStream::open(self.nodes[turn % self.nodes.len()], &query, Some(&self.token)) {
                Ok(stream) => stream,
                Err(refused) if refused.contains("410") || refused.contains("400") => return Err(refused),
                Err(_) => {
                    deadline::pause();
                    continue;
                }
            };
            self.streams += 1;
            let mut left = self.drops_after.map(|most| 1 + turn * 7 % most);
            while left != Some(0) {
                let Some(event) = stream.next_event() else { break };
                match event.kind.as_str() {
                    "position" => {
                        self.through = through(&event.data)?;
                    }
                    "client_connected" | "client_disconnected" => {
                        let told = Told::read(event.data.as_bytes())?.ok_or("the prefix did not hold")?;
                        self.events.push(told);
                        // More may come of this index.
                        let partition = usize::try_from(told.place.partition).map_err(|error| error.to_string())?;
                        let through = self.through.get_mut(partition).ok_or("a partition that no position named")?;
                        *through = told.place.index.saturating_sub(1).max(*through);
                        left = left.map(|left| left - 1);
                    }
                    "stalled" => {}
                    "end" => {
                        self.token = event.id.ok_or("an end without an id")?;
                        break;
                    }
                    _ => return Err(format!("{event:?}")),
                }
                if let Some(id) = event.id {
                    self.token = id;
                }
                if is_over(self) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether everything before this place was read.
    pub(super) fn has_reached(&self, position: &Position) -> bool {
        self.through.iter().zip(&position.through).all(|(read, wanted)| read >= wanted)
    }
}
