//! The notation of transcripts: what a line of input means, and how outcomes, transitions and records are written.

use crate::world::{client, details, owner, will};
use rollcall_presence::{
    Batch, FeedEntry, Housekeeping, Operation, Outcome, PartitionState, Record, Refusal, Status, Transition,
};
use rollcall_types::{
    ClusterTime, DisconnectReason, Epoch, FeedPosition, Incarnation, LogIndex, NodeId, OperationNumber, Owner, Protocol,
};
use std::fmt::Write as _;

/// One line of input.
pub(crate) enum Line {
    /// `at 5000`: the cluster time of this command and the next ones.
    At(u64),
    /// `1.1 #1 claim car; kick bus`: a batch of node 1, incarnation 1, from number 1 on.
    Batch(Batch),
    /// `fence 1 up to 2`, `fire 10`, `forget older than 1000 limit 10`.
    Step(Housekeeping),
    /// `feed after 1.0 limit 5`, `feed from the start`.
    Feed(Option<FeedPosition>, usize),
    /// `status car`.
    Status(String),
    /// `clients after car limit 2`.
    Clients(String, usize),
    /// `claims of 1.1`.
    Claims(Owner),
    /// `facts car`: everything on record.
    Facts(String),
    /// `numbers`: counts, hints, fences and last numbers of owners named.
    Summary(Vec<Owner>),
    /// `snapshot`: the state is replaced by what its snapshot restores.
    Snapshot,
}

pub(crate) fn parse(line: &str) -> Line {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["at", ms] => Line::At(number(ms)),
        ["fence", node, "up", "to", incarnation] => {
            Line::Step(Housekeeping::Fence { node: NodeId(number(node)), up_to: Incarnation(number(incarnation)) })
        }
        ["fire", limit] => Line::Step(Housekeeping::FireWills { limit: number(limit) }),
        ["forget", "older", "than", keep_ms, "limit", limit] => {
            Line::Step(Housekeeping::Forget { keep_ms: number(keep_ms), limit: number(limit) })
        }
        ["feed", "from", "the", "start"] => Line::Feed(None, usize::MAX),
        ["feed", "after", position, "limit", limit] => Line::Feed(Some(parse_position(position)), number(limit)),
        ["status", id] => Line::Status((*id).to_owned()),
        ["clients", "after", id, "limit", limit] => Line::Clients((*id).to_owned(), number(limit)),
        ["claims", "of", by] => Line::Claims(parse_owner(by)),
        ["facts", id] => Line::Facts((*id).to_owned()),
        ["summary", owners @ ..] => Line::Summary(owners.iter().map(|by| parse_owner(by)).collect()),
        ["snapshot"] => Line::Snapshot,
        [by, first, ..] if first.starts_with('#') => {
            let operations = line.split_once(first).unwrap().1;
            Line::Batch(Batch {
                owner: parse_owner(by),
                first: OperationNumber(number(&first[1..])),
                operations: operations.split(';').map(parse_operation).collect(),
            })
        }
        _ => panic!("not a line of input: {line}"),
    }
}

fn number<N: std::str::FromStr>(text: &str) -> N {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

fn parse_position(text: &str) -> FeedPosition {
    let (index, ordinal) = text.split_once('.').unwrap();
    FeedPosition { index: LogIndex(number(index)), ordinal: number(ordinal) }
}

fn parse_owner(text: &str) -> Owner {
    let (node, incarnation) = text.split_once('.').unwrap_or_else(|| panic!("not an owner: {text}"));
    owner(number(node), number(incarnation))
}

fn parse_operation(text: &str) -> Operation {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["claim", id, facts @ ..] => parse_claim(id, facts),
        ["release", id, "epoch", epoch, reason] => {
            Operation::Release { client_id: client(id), epoch: Epoch(number(epoch)), reason: parse_reason(reason) }
        }
        ["keep", id, "epoch", epoch, "alive", seconds] => Operation::ChangeKeepAlive {
            client_id: client(id),
            epoch: Epoch(number(epoch)),
            keep_alive_s: number(seconds),
        },
        ["kick", id] => Operation::Kick { client_id: client(id), epoch: None },
        ["kick", id, "epoch", epoch] => Operation::Kick { client_id: client(id), epoch: Some(Epoch(number(epoch))) },
        _ => panic!("not an operation: {text}"),
    }
}

/// `claim car user=ann bound clean v311 expiry=60 keep_alive=30 will=bye+5` (the will's topic and its delay).
fn parse_claim(id: &str, facts: &[&str]) -> Operation {
    let mut claim = details(id);
    for fact in facts {
        match fact.split_once('=').unwrap_or((fact, "")) {
            ("user", name) => claim.username = name.to_owned(),
            ("bound", _) => claim.bind_account = true,
            ("clean", _) => claim.clean_start = true,
            ("v31", _) => claim.protocol = Protocol::V31,
            ("v311", _) => claim.protocol = Protocol::V311,
            ("expiry", "never") => claim.session_expiry_s = u32::MAX,
            ("expiry", seconds) => claim.session_expiry_s = number(seconds),
            ("keep_alive", seconds) => claim.keep_alive_s = number(seconds),
            ("will", text) => {
                let (topic, delay) = text.split_once('+').unwrap_or((text, "0"));
                claim.will = Some(will(topic, number(delay)));
            }
            _ => panic!("not a fact of a claim: {fact}"),
        }
    }
    Operation::Claim(Box::new(claim))
}

fn parse_reason(name: &str) -> DisconnectReason {
    use DisconnectReason as R;
    let known = [
        (R::Normal, "normal"),
        (R::NormalWithWill, "normal-with-will"),
        (R::KeepaliveTimeout, "keepalive_timeout"),
        (R::ConnectionLost, "connection_lost"),
        (R::ServerShutdown, "server_shutdown"),
    ];
    known.iter().find(|(_, known)| *known == name).unwrap_or_else(|| panic!("not a reason: {name}")).0
}

pub(crate) fn write_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Claimed { epoch, displaced: None } => format!("claimed under epoch {epoch}"),
        Outcome::Claimed { epoch, displaced: Some(old) } => {
            format!("claimed under epoch {epoch}, displacing epoch {} of {}", old.epoch, write_owner(old.owner))
        }
        Outcome::ClaimedAndGone => "claimed and gone".to_owned(),
        Outcome::Ended { owner, epoch } => format!("ended epoch {epoch} of {}", write_owner(*owner)),
        Outcome::Changed => "changed".to_owned(),
        Outcome::NotCurrent => "not current".to_owned(),
        Outcome::Refused(Refusal::Fenced) => "refused: fenced".to_owned(),
        Outcome::Refused(Refusal::OtherAccount) => "refused: other account".to_owned(),
        Outcome::Refused(Refusal::Gap { expected }) => format!("refused: gap, expected #{expected}"),
    }
}

pub(crate) fn write_owner(owner: Owner) -> String {
    format!("{}.{}", owner.node, owner.incarnation)
}

pub(crate) fn write_entry(entry: &FeedEntry) -> String {
    let what = match &entry.transition {
        Transition::Connected => "connected".to_owned(),
        Transition::Disconnected(reason) => format!("disconnected {}", reason.name()),
        Transition::WillDue(will) => format!("will due {}", will.message.topic),
    };
    let by = write_owner(entry.owner);
    format!("feed {} at {}: {} epoch {} of {by} {what}", entry.position, entry.at.0, entry.client_id, entry.epoch)
}

pub(crate) fn write_record(client_id: &str, record: Option<&Record>) -> String {
    let Some(record) = record else { return format!("{client_id}: forgotten") };
    let mut text = format!("{client_id}: epoch {} of {}", record.epoch(), write_owner(record.owner()));
    match record.offline() {
        None => text.push_str(", online"),
        Some(offline) => _ = write!(text, ", offline since {} {}", offline.at.0, offline.reason.name()),
    }
    match record.will_due() {
        Some(due) => _ = write!(text, ", will due {}", due.0),
        None if record.has_will() => text.push_str(", with will"),
        None => {}
    }
    text
}

pub(crate) fn write_facts(record: &Record) -> String {
    format!(
        "user {:?}, peer {}, level {}, keep-alive {} s, session expiry {} s, clean start {}, connected at {}",
        record.username(),
        record.peer(),
        record.protocol().level(),
        record.keep_alive_s(),
        record.session_expiry_s(),
        record.clean_start(),
        record.connected_at().0,
    )
}

pub(crate) fn write_status(status: Status) -> String {
    let epoch = status.epoch.map_or("none".to_owned(), |epoch| epoch.to_string());
    let node = status.node.map_or(String::new(), |node| format!(" on node {node}"));
    format!("{}{node}, epoch {epoch}", if status.online { "online" } else { "offline" })
}

pub(crate) fn write_summary(state: &PartitionState, owners: &[Owner]) -> Vec<String> {
    let time = |time: Option<ClusterTime>| time.map_or("none".to_owned(), |time| time.0.to_string());
    let mut lines = vec![format!(
        "time {}, {} online of {}, {} wills wait, next due {}, oldest offline {}",
        state.time().0,
        state.online_count(),
        state.record_count(),
        state.wills_waiting(),
        time(state.next_will_due()),
        time(state.oldest_offline()),
    )];
    for by in owners {
        let fenced = state.fenced_up_to(by.node).map_or("none".to_owned(), |fenced| fenced.to_string());
        let last = state.last_applied_number(*by);
        lines.push(format!("{}: last number {last}, fenced up to {fenced}", write_owner(*by)));
    }
    lines
}
