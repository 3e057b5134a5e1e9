//! A subscriber of `$events/…` on one node. While its connection lasts it must miss nothing; when its node dies it comes
//! again, to the same node as soon as that is there, and reads over HTTP what it may have missed.

use super::feed::{FeedReader, Position, now};
use super::told::Told;
use rollcall_test_cluster::config::OPERATOR;
use rollcall_test_cluster::deadline;
use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Packet, Version};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

const FILTER: &str = "$events/+";
const TOPICS: [&str; 2] = ["$events/client_connected", "$events/client_disconnected"];
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// At the end: silence for so long after the last event that had to come.
const SILENCE: Duration = Duration::from_secs(1);
/// What was missed must have been read over HTTP within this time.
const FILLED_WITHIN: Duration = Duration::from_secs(120);

/// The end of the storm: clients, one for each partition, that came after all others had gone.
pub(super) struct Finish {
    pub(super) marks: Vec<u32>,
    /// Who has not heard of them by then has lost something.
    pub(super) until: Instant,
}

/// Which of the marks a reader has met so far.
#[derive(Default)]
pub(super) struct Marks {
    missing: Option<Vec<u32>>,
    looked_through: usize,
}

impl Marks {
    /// Whether all are among these events, which only grow from one call to the next.
    pub(super) fn are_all_in(&mut self, events: &[Told], finish: &Finish) -> bool {
        let missing = self.missing.get_or_insert_with(|| finish.marks.clone());
        for told in &events[self.looked_through..] {
            missing.retain(|mark| *mark != told.client);
        }
        self.looked_through = events.len();
        missing.is_empty()
    }
}

/// Everything that one subscriber was told.
pub(super) struct Record {
    /// What came on each of its connections.
    pub(super) lives: Vec<Vec<Told>>,
    /// What it read over HTTP after each but the first began.
    pub(super) fills: Vec<Vec<Told>>,
    /// Whether its last connection was there at the end.
    pub(super) stayed: bool,
}

/// Where a subscriber lives, and where it reads over HTTP.
pub(super) struct Place<'a> {
    pub(super) node: usize,
    pub(super) mqtt: SocketAddr,
    pub(super) http: &'a [SocketAddr],
}

/// A connection that is subscribed, and what came before its SUBACK, which may overtake it.
pub(super) struct Subscribed {
    connection: Connection,
    heard: Vec<Told>,
}

/// Connects and subscribes at QoS 1.
pub(super) fn subscribe(place: &Place<'_>) -> Result<Subscribed, String> {
    let id = format!("listener-{}", place.node);
    let mut connect = Connect::new(Version::V5, &id).keep_alive(0).password(OPERATOR.1);
    connect.username = Some(OPERATOR.0.to_owned());
    let (mut connection, _) = Connection::connect(place.mqtt, &connect).map_err(|refused| format!("{refused:?}"))?;
    let mut heard = Vec::new();
    for packet in connection.subscribe_at(FILTER, 1)? {
        heard.extend(told(&packet)?);
    }
    Ok(Subscribed { connection, heard })
}

/// The event of a client of the storm, if the packet is one.
fn told(packet: &Packet) -> Result<Option<Told>, String> {
    match packet.delivered(Version::V5) {
        Some(message) if TOPICS.contains(&message.topic.as_str()) => Told::read(&message.payload),
        _ => Ok(None),
    }
}

/// Listens to the end of the storm, over as many connections as that takes. `from` is a place before the first one.
pub(super) fn listen<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    place: &'env Place<'env>,
    first: Subscribed,
    from: Position,
    finish: &'env OnceLock<Finish>,
) -> Result<Record, String> {
    let mut record = Record { lives: Vec::new(), fills: Vec::new(), stayed: false };
    let mut fills: Vec<ScopedJoinHandle<'scope, Result<Vec<Told>, String>>> = Vec::new();
    let (mut connection, mut position) = (Some(first), from);
    while !record.stayed && finish.get().is_none_or(|finish| Instant::now() < finish.until) {
        let Some(open) = connection.take() else {
            let before = now(place.http, place.node)?;
            match subscribe(place) {
                Ok(open) => {
                    let from = std::mem::replace(&mut position, before);
                    fills.push(scope.spawn(move || fill(place, &from)));
                    connection = Some(open);
                }
                // It is dead, or not ready yet.
                Err(_) => deadline::pause(),
            }
            continue;
        };
        let (life, stayed) = hear(open, finish)?;
        record.lives.push(life);
        record.stayed = stayed;
    }
    for fill in fills {
        record.fills.push(fill.join().map_err(|_| "reading over HTTP panicked")??);
    }
    Ok(record)
}

/// One connection to its end, and whether that is the end of the storm.
fn hear(subscribed: Subscribed, finish: &OnceLock<Finish>) -> Result<(Vec<Told>, bool), String> {
    let Subscribed { mut connection, heard: mut life } = subscribed;
    let (mut marks, mut last) = (Marks::default(), Instant::now());
    loop {
        match connection.next(LOOK_EVERY) {
            Arrival::Packet(packet) => {
                // If it cannot be acknowledged any more, it was heard all the same; the end of the connection comes next.
                drop(connection.answer(&packet));
                if let Some(told) = told(&packet)? {
                    life.push(told);
                    last = Instant::now();
                }
            }
            Arrival::Closed(_) => return Ok((life, false)),
            Arrival::Silence => {}
        }
        let Some(finish) = finish.get() else { continue };
        if (marks.are_all_in(&life, finish) && last.elapsed() > SILENCE) || Instant::now() > finish.until {
            return Ok((life, true));
        }
    }
}

/// Everything from the place on, up to where it is now.
fn fill(place: &Place<'_>, from: &Position) -> Result<Vec<Told>, String> {
    let to = now(place.http, place.node + 1)?;
    let mut reader = FeedReader::new(place.http, from, None);
    let until = Instant::now() + FILLED_WITHIN;
    reader.read(|reader| reader.has_reached(&to) || Instant::now() > until)?;
    if reader.has_reached(&to) { Ok(reader.events) } else { Err(format!("not filled within {FILLED_WITHIN:?}")) }
}
