//! `rollcall status`: asks one node about clients, a batch at a time, and prints what it says. A client that nobody
//! could answer for makes the exit code 1; being offline does not.

mod question;

use crate::{cli::StatusArguments, failure::Failure, http::basic, output};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use question::{Answer, NoAnswer, Questioner};
use serde_json::json;
use std::{
    io::{self, BufRead, IsTerminal},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Ids asked about and printed together.
const BATCH_IDS: usize = 512;
/// From so many ids on, a progress bar is worth its line.
const PROGRESS_IDS_MIN: usize = 64;
/// What stands for standard input among the ids.
const STDIN: &str = "-";

type Outcome = Result<Answer, NoAnswer>;

/// Asks about all ids, in their order.
pub(crate) fn run(arguments: &StatusArguments) -> Result<(), Failure> {
    let authorization =
        arguments.account.user.as_ref().map(|user| basic(user, arguments.account.password.as_deref().unwrap_or("")));
    let questioner = Questioner::new(&arguments.url, authorization, arguments.retries, arguments.timeout_ms)?;
    let progress = progress(arguments);
    let mut printer = Printer { json: arguments.json, widths: Vec::new(), begun: false };
    let mut failed = 0_u64;
    let mut batch = Vec::with_capacity(BATCH_IDS);
    let mut finish = |batch: &mut Vec<String>| -> Result<(), Failure> {
        let outcomes = ask_all(&questioner, batch, usize::from(arguments.concurrency), &progress);
        failed += outcomes.iter().filter(|outcome| outcome.is_err()).count() as u64;
        let printed = progress.suspend(|| printer.print(batch, &outcomes));
        batch.clear();
        printed
    };
    for id in ids(&arguments.ids) {
        batch.push(id?);
        if batch.len() == BATCH_IDS {
            finish(&mut batch)?;
        }
    }
    if !batch.is_empty() {
        finish(&mut batch)?;
    }
    progress.finish_and_clear();
    match failed {
        0 => Ok(()),
        1 => Err(Failure::new("one client has no answer")),
        many => Err(Failure::new(format!("{many} clients have no answer"))),
    }
}

/// The ids of the command line, with the lines of standard input where `-` stands. Empty lines are skipped.
fn ids(arguments: &[String]) -> impl Iterator<Item = Result<String, Failure>> {
    arguments.iter().flat_map(|argument| -> Box<dyn Iterator<Item = Result<String, Failure>>> {
        if argument != STDIN {
            return Box::new(std::iter::once(Ok(argument.clone())));
        }
        let lines = io::stdin().lock().lines();
        Box::new(lines.filter(|line| !matches!(line, Ok(line) if line.trim_end_matches('\r').is_empty())).map(|line| {
            line.map(|line| line.trim_end_matches('\r').to_owned())
                .map_err(|error| Failure::io("cannot read ids from standard input", &error))
        }))
    })
}

fn progress(arguments: &StatusArguments) -> ProgressBar {
    let from_stdin = arguments.ids.iter().any(|id| id == STDIN);
    let total = (!from_stdin).then_some(arguments.ids.len() as u64);
    // Where the table itself appears on the terminal, it is the progress.
    let wanted = (from_stdin || arguments.ids.len() >= PROGRESS_IDS_MIN) && !io::stdout().is_terminal();
    let target = if wanted { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let template = match total {
        Some(_) => "{bar:40} {pos}/{len} asked, {per_sec}, {eta} left",
        None => "{spinner} {pos} asked, {per_sec}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(total, target).with_style(style)
}

/// Asks about a batch from several threads; the outcomes come back in the order of the ids.
fn ask_all(questioner: &Questioner, ids: &[String], concurrency: usize, progress: &ProgressBar) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::with_capacity(ids.len()));
    thread::scope(|scope| {
        for _ in 0..concurrency.min(ids.len()) {
            scope.spawn(|| {
                while let Some((place, id)) = {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    ids.get(place).map(|id| (place, id))
                } {
                    let outcome = questioner.ask(id);
                    progress.inc(1);
                    outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((place, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    outcomes.sort_by_key(|(place, _)| *place);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

struct Printer {
    json: bool,
    widths: Vec<usize>,
    begun: bool,
}

impl Printer {
    fn print(&mut self, ids: &[String], outcomes: &[Outcome]) -> Result<(), Failure> {
        if self.json {
            let lines: String =
                ids.iter().zip(outcomes).map(|(id, outcome)| format!("{}\n", as_json(id, outcome))).collect();
            return output::print(lines);
        }
        let rows: Vec<Vec<String>> = ids.iter().zip(outcomes).map(|(id, outcome)| as_row(id, outcome)).collect();
        let header = ["client id", "status", "node", "epoch"];
        let text = output::table(&header, &rows, &mut self.widths, !self.begun);
        self.begun = true;
        output::print(text)
    }
}

fn as_row(id: &str, outcome: &Outcome) -> Vec<String> {
    // An id may hold anything; a terminal must not obey it.
    let shown: String = id.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    match outcome {
        Ok(answer) => vec![
            shown,
            if answer.online { "online" } else { "offline" }.to_owned(),
            answer.node.clone().unwrap_or_else(|| "-".to_owned()),
            answer.epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string()),
        ],
        Err(no_answer) => vec![shown, format!("unknown: {no_answer}")],
    }
}

fn as_json(id: &str, outcome: &Outcome) -> serde_json::Value {
    match outcome {
        Ok(answer) => json!({
            "client_id": id,
            "online": answer.online,
            "node": answer.node,
            "epoch": answer.epoch,
            "partition": answer.partition,
            "index": answer.index,
        }),
        Err(no_answer) => json!({
            "client_id": id,
            "online": null,
            "error": no_answer.to_string(),
            "status": no_answer.status(),
            "code": no_answer.code(),
        }),
    }
}
