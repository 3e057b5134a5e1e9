//! Every statement against one node, across two nodes, and against the broker broken for it: one cluster for all.
//!
//! `ROLLCALL_STATEMENT=MQTT-3.1.0-1` runs one number alone. `ROLLCALL_CONFORMANCE_TARGET=HOST:PORT` looks at another
//! broker instead, to see whether a test asks for more than the standard does.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use rollcall_test_cluster::{Cluster, binary::workspace_root};
use rollcall_test_conformance::run::{self, Result, failures, is_awaited};
use rollcall_test_conformance::statement::{Seen, Statement};
use rollcall_test_conformance::{awaited, page, statements};
use std::collections::BTreeSet;
use std::io::Write;
use std::net::ToSocketAddrs;

fn chosen() -> Vec<Statement> {
    let only = std::env::var("ROLLCALL_STATEMENT").ok();
    let chosen: Vec<Statement> =
        statements::all().into_iter().filter(|row| only.as_ref().is_none_or(|only| only == row.number)).collect();
    assert!(!chosen.is_empty(), "there is no statement {only:?}");
    chosen
}

/// Says it past the test runner's capture.
fn aloud(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

fn report(what: &str, results: &[Result]) -> Vec<String> {
    let (waiting, due): (Vec<&Result>, Vec<&Result>) = results.iter().partition(|result| is_awaited(&result.statement));
    let failed = failures(due.iter().copied());
    aloud(&format!("{what}: {} hold, {} do not, {} awaited", due.len() - failed.len(), failed.len(), waiting.len()));
    failed.into_iter().map(|line| format!("{what}: {line}")).collect()
}

#[test]
fn every_statement_holds_and_every_broken_broker_is_noticed() {
    let rows = chosen();
    let target = std::env::var("ROLLCALL_CONFORMANCE_TARGET").ok();
    let cluster = target.is_none().then(Cluster::of_three);
    let (n1, n2) = match (&cluster, &target) {
        (Some(cluster), _) => (cluster.nodes[0].addresses.mqtt, cluster.nodes[1].addresses.mqtt),
        (None, target) => {
            let found = target.as_deref().unwrap_or_default().to_socket_addrs().unwrap().next().unwrap();
            (found, found)
        }
    };
    let one = run::all(&rows, n1, n1);
    let two = run::all(&rows, n1, n2);
    let holds = |statement: &Statement| {
        [&one, &two].iter().all(|results| {
            let own = |r: &&Result| (r.statement.number, r.statement.version) == (statement.number, statement.version);
            results.iter().find(own).is_some_and(|result| result.outcome.is_ok())
        })
    };
    let holding: Vec<Statement> = rows.iter().copied().filter(|row| holds(row)).collect();
    let broken = run::broken(&holding, n1);
    let mut failed = report("one node", &one);
    failed.extend(report("two nodes", &two));
    failed.extend(failures(&broken).into_iter().map(|line| format!("broken broker: {line}")));
    aloud(&format!("broken brokers: {} tried, all noticed: {}", broken.len(), failures(&broken).is_empty()));
    let early: Vec<String> = holding.iter().filter(|row| is_awaited(row)).map(Statement::title).collect();
    if !early.is_empty() && target.is_none() {
        aloud(&format!("\n*** awaited no more; take them off src/awaited.rs: {} ***\n", early.join(", ")));
        assert!(std::env::var_os("ROLLCALL_CONFORMANCE_STRICT").is_none(), "awaited statements hold: {early:?}");
    }
    assert!(failed.is_empty(), "{} findings:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn the_page_about_conformance_is_what_the_table_says() {
    let path = workspace_root().join(page::PAGE);
    if std::env::var_os("ROLLCALL_TEST_REWRITE").is_some_and(|value| value == "1") {
        std::fs::write(&path, page::rendered()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page::rendered(),
        "{} is out of date; run the tests once with ROLLCALL_TEST_REWRITE=1",
        page::PAGE
    );
}

#[test]
fn the_table_has_each_statement_once_and_awaits_only_what_it_has() {
    let rows = statements::all();
    let mut known = BTreeSet::new();
    for row in &rows {
        assert!(known.insert(row.title()), "{} is there twice", row.title());
        assert!(row.number.starts_with("MQTT-"), "{}", row.number);
    }
    let tested = rows.iter().filter(|row| matches!(row.seen, Seen::Test(..)));
    let awaited_here = tested.filter(|row| is_awaited(row)).count();
    assert_eq!(awaited_here, awaited::V311.len() + awaited::V5.len(), "src/awaited.rs names what has no test");
}
