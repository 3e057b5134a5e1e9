//! Runs the transcripts: files of paragraphs, each a few lines of input, `----`, and what came of it. All batches and
//! steps of one paragraph are one log entry. What came of it are the outcomes, the new feed entries, and the records
//! that changed. With `UPDATE_TRANSCRIPTS=1` the runner writes what it finds instead of comparing.

use crate::{
    notation::{
        Line, parse, write_entry, write_facts, write_outcome, write_owner, write_record, write_status, write_summary,
    },
    world::World,
};
use rollcall_presence::PartitionState;
use std::{collections::BTreeSet, fmt::Write as _, fs, ops::Bound, path::Path};

const FEED_ENTRIES_MAX: u32 = 1000;
const SEPARATOR: &str = "----";

#[test]
#[allow(clippy::disallowed_methods, reason = "the switch of whoever runs the tests")]
fn every_transcript_tells_what_happens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "transcripts are missing in {}", folder.display());
    let update = std::env::var_os("UPDATE_TRANSCRIPTS").is_some_and(|value| value == "1");
    let mut differing = Vec::new();
    let mut all = String::new();
    for file in files {
        let expected = fs::read_to_string(&file).unwrap();
        let found = run(&expected);
        all.push_str(&found);
        if found != expected {
            if update {
                fs::write(&file, &found).unwrap();
            } else {
                differing.push(format!("{}\n{}", file.display(), first_difference(&expected, &found)));
            }
        }
    }
    assert!(differing.is_empty(), "transcripts differ (UPDATE_TRANSCRIPTS=1 rewrites them):\n{}", differing.join("\n"));
    all_cases_are_named(&all);
}

/// The cases that the transcripts must cover, so that none is lost in an edit.
fn all_cases_are_named(text: &str) {
    for case in [
        "B-012", "B-029", "B-032", "B-049", "B-051", "B-057", "B-062", "B-067", "B-070", "B-074", "B-078", "B-089",
        "B-092",
    ] {
        assert!(text.contains(case), "{case} is in no transcript");
    }
}

fn first_difference(expected: &str, found: &str) -> String {
    let lines = expected.lines().zip(found.lines()).enumerate().find(|(_, (expected, found))| expected != found);
    match lines {
        Some((at, (expected, found))) => format!("line {}: expected {expected:?}\n found {found:?}", at + 1),
        None => format!("lengths differ: {} and {} lines", expected.lines().count(), found.lines().count()),
    }
}

/// The file as it should be.
fn run(text: &str) -> String {
    let limit = text.lines().find_map(|line| line.strip_prefix("# feed entries at most: "));
    let mut world = World::new(limit.map_or(FEED_ENTRIES_MAX, |limit| limit.parse().unwrap()));
    let mut written = Vec::new();
    for paragraph in text.split("\n\n").map(str::trim_end).filter(|paragraph| !paragraph.is_empty()) {
        let input: Vec<&str> = paragraph.lines().take_while(|line| *line != SEPARATOR).collect();
        let commands: Vec<Line> = input.iter().filter(|line| !line.starts_with('#')).map(|line| parse(line)).collect();
        let mut block = input.join("\n");
        if !commands.is_empty() {
            _ = write!(block, "\n{SEPARATOR}");
            for line in execute(&mut world, commands) {
                _ = write!(block, "\n{line}");
            }
        }
        written.push(block);
    }
    written.join("\n\n") + "\n"
}

fn execute(world: &mut World, lines: Vec<Line>) -> Vec<String> {
    let mut batches = Vec::new();
    let mut steps = Vec::new();
    let mut answers = Vec::new();
    for line in lines {
        match line {
            Line::At(ms) => world.now = ms,
            Line::Batch(batch) => batches.push(batch),
            Line::Step(step) => steps.push(step),
            query => answers.extend(answer(world, query)),
        }
    }
    if batches.is_empty() && steps.is_empty() {
        return answers;
    }
    let numbered: Vec<_> = batches.iter().map(|batch| (batch.owner, batch.first.0)).collect();
    let before = world.state.clone();
    let command = world.command(batches, steps);
    let outcomes = world.apply(command);
    for ((owner, first), outcomes) in numbered.into_iter().zip(outcomes) {
        for (number, outcome) in (first..).zip(outcomes) {
            answers.push(format!("{} #{number}: {}", write_owner(owner), write_outcome(&outcome)));
        }
    }
    answers.extend(new_entries(&before, &world.state));
    answers.extend(changed_records(&before, &world.state));
    answers
}

fn new_entries(before: &PartitionState, after: &PartitionState) -> Vec<String> {
    let feed = after.feed();
    match feed.after(before.feed().last_position(), usize::MAX) {
        Ok(entries) => entries.iter().map(|entry| write_entry(entry)).collect(),
        Err(gap) => {
            let kept = feed.after(Some(gap.last_dropped), usize::MAX).unwrap();
            let mut lines = vec![format!("feed lost entries up to {}", gap.last_dropped)];
            lines.extend(kept.iter().map(|entry| write_entry(entry)));
            lines
        }
    }
}

fn changed_records(before: &PartitionState, after: &PartitionState) -> Vec<String> {
    let ids = |state: &PartitionState| -> Vec<String> {
        state.clients_from(Bound::Unbounded).map(|(id, _)| id.to_string()).collect()
    };
    let all: BTreeSet<String> = ids(before).into_iter().chain(ids(after)).collect();
    let changed = all.iter().filter(|id| before.record(id) != after.record(id));
    changed.map(|id| write_record(id, after.record(id))).collect()
}

fn answer(world: &mut World, query: Line) -> Vec<String> {
    let state = &world.state;
    match query {
        Line::Feed(cursor, limit) => match state.feed().after(cursor, limit) {
            Ok(entries) => entries.iter().map(|entry| write_entry(entry)).collect(),
            Err(gap) => vec![format!("gap: {gap}, go on after {}", gap.last_dropped)],
        },
        Line::Status(id) => vec![write_status(state.status(&id))],
        Line::Clients(id, limit) => {
            let page = state.clients_from(Bound::Excluded(&id)).take(limit);
            page.map(|(id, record)| write_record(id.as_str(), Some(record))).collect()
        }
        Line::Claims(owner) => state.claims_of(owner).map(|(id, epoch)| format!("{id} epoch {epoch}")).collect(),
        Line::Facts(id) => vec![state.record(&id).map_or("nothing on record".to_owned(), write_facts)],
        Line::Summary(owners) => write_summary(state, &owners),
        Line::Snapshot => {
            let before = state.clone();
            world.restore();
            vec![if world.state == before { "restored the same state" } else { "restored another state" }.to_owned()]
        }
        Line::At(_) | Line::Batch(_) | Line::Step(_) => Vec::new(),
    }
}
