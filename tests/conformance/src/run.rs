//! Running the table: all statements against a broker, a few at a time, and each against the broker broken for it.

use crate::breakage::Breakage;
use crate::bytes::Version;
use crate::proxy::Proxy;
use crate::statement::{Seen, Statement};
use crate::world::World;
use crate::{Outcome, awaited};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long a test waits for an answer of a broken broker, which it mostly will not get. More than the longest wait
/// that a statement asks for.
pub const PATIENCE_WITH_THE_BROKEN: Duration = Duration::from_millis(2_500);
/// Tests at the same time: most of them wait for most of their time.
const AT_ONCE: usize = 8;

/// How a statement's test ended.
#[derive(Debug)]
pub struct Result {
    /// The statement.
    pub statement: Statement,
    /// The end.
    pub outcome: Outcome,
}

/// Runs these statements' tests with client A and client B at these addresses.
#[must_use]
pub fn all(statements: &[Statement], a: SocketAddr, b: SocketAddr) -> Vec<Result> {
    each(statements, |statement, test, _| {
        let outcome = test(&World::new(a, b, statement.version, PATIENCE));
        Result { statement, outcome }
    })
}

/// Runs these statements' tests against the node broken for each. The outcome is an error where the test noticed
/// nothing.
#[must_use]
pub fn broken(statements: &[Statement], node: SocketAddr) -> Vec<Result> {
    each(statements, |statement, test, breakage| {
        let outcome = match Proxy::start(node, breakage) {
            Err(error) => Err(format!("no broken broker: {error}")),
            Ok(proxy) => {
                let world = World::new(proxy.address, proxy.address, statement.version, PATIENCE_WITH_THE_BROKEN);
                match test(&world) {
                    Ok(()) => Err(format!("holds for a broker that {}", breakage.says())),
                    Err(_) => Ok(()),
                }
            }
        };
        Result { statement, outcome }
    })
}

fn each(
    statements: &[Statement],
    run: impl Fn(Statement, fn(&World) -> Outcome, Breakage) -> Result + Sync,
) -> Vec<Result> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(statement) = statements.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Seen::Test(test, breakage) = statement.seen {
                        let result = run(*statement, test, breakage);
                        results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the broker cannot do this yet.
#[must_use]
pub fn is_awaited(statement: &Statement) -> bool {
    let list = if statement.version == Version::V5 { awaited::V5 } else { awaited::V311 };
    list.contains(&statement.number)
}

/// One line for each result that is an error.
#[must_use]
pub fn failures<'a>(results: impl IntoIterator<Item = &'a Result>) -> Vec<String> {
    let failed = |result: &Result| {
        let sentence = result.outcome.as_ref().err()?;
        Some(format!("{}: {sentence}", result.statement.title()))
    };
    let mut lines: Vec<String> = results.into_iter().filter_map(failed).collect();
    lines.sort();
    lines
}
