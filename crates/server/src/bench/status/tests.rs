//! Against servers of the test's own.

use super::measure;
use crate::{
    cli::{BenchCommand, BenchStatusArguments, Cli, Command},
    in_test_server::{InTestServer, serve},
};
use clap::Parser;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    time::sleep,
};

fn arguments(server: &InTestServer, more: &str) -> BenchStatusArguments {
    let url = format!("http://{}", server.address);
    let line = format!("rollcall bench status --url {url} {more}");
    match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
        Command::Bench(BenchCommand::Status(arguments)) => arguments,
        _ => unreachable!(),
    }
}

/// Answers each request; `answer` sees the request line and may wait.
async fn http_server<F, Answer>(answer: F) -> InTestServer
where
    F: Fn(String) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future<Output = String> + Send,
{
    serve(move |stream| {
        let answer = answer.clone();
        async move {
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            let mut first = None;
            while let Ok(Some(line)) = lines.next_line().await {
                if !line.is_empty() {
                    first.get_or_insert(line);
                    continue;
                }
                let response = answer(first.take().unwrap()).await;
                if write.write_all(response.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn codes_and_bodies_are_counted_and_all_ids_are_asked() {
    let seen = Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
    let into = Arc::clone(&seen);
    let server = http_server(move |line| {
        let into = Arc::clone(&into);
        async move {
            let id = line.strip_prefix("GET /client-id/").unwrap().strip_suffix("/status HTTP/1.1").unwrap();
            into.lock().unwrap().insert(id.to_owned());
            match id {
                "VIN0000001" => response("200 OK", "{\"online\":true}"),
                "VIN0000002" => response("200 OK", "{\"online\":false}"),
                _ => response("503 Service Unavailable", ""),
            }
        }
    })
    .await;
    let report = measure(&arguments(&server, "--connections 4 --duration-s 1 --warm-up-ms 50 --ids 3")).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 3);
    assert!(report.answers > 100, "{report:?}");
    assert_eq!(report.codes.keys().copied().collect::<Vec<_>>(), [200, 503]);
    assert_eq!(report.bodies["true"] + report.bodies["false"], report.codes[&200]);
    assert!(report.bodies["true"] > 0 && report.bodies["false"] > 0 && report.bodies["other"] == 0);
    assert!(report.errors.is_empty());
    assert_eq!(report.latency.count, report.answers);
}

#[tokio::test]
async fn the_ids_of_batches_are_counted_one_by_one() {
    let server = serve(|stream| async move {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        loop {
            let (mut line, mut length) = (String::new(), 0);
            while read.read_line(&mut line).await.is_ok_and(|bytes| bytes > 2) {
                length = line.strip_prefix("Content-Length: ").map_or(length, |rest| rest.trim().parse().unwrap());
                line.clear();
            }
            let mut body = vec![0; length];
            if length == 0 || read.read_exact(&mut body).await.is_err() {
                return;
            }
            let ids = body.windows(5).filter(|window| *window == b"\"VIN0").count();
            let said = "{\"online\":true},{\"online\":false},".repeat(ids / 2);
            if write.write_all(response("200 OK", &said).as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await;
    let report =
        measure(&arguments(&server, "--connections 2 --duration-s 1 --warm-up-ms 0 --batch 10")).await.unwrap();
    assert!(report.answers > 20 && report.errors.is_empty(), "{report:?}");
    assert_eq!(report.bodies["true"], report.answers * 5);
    assert_eq!(report.bodies["false"], report.answers * 5);
    assert!((report.ids_per_s - report.answers_per_s * 10.0).abs() < 1.0, "{report:?}");
    assert!(report.text().contains("in batches of 10"), "{}", report.text());
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_is_asked_over_new_connections() {
    let server =
        http_server(|_| async { "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ntrue".to_owned() })
            .await;
    let report = measure(&arguments(&server, "--connections 1 --duration-s 1 --warm-up-ms 0")).await.unwrap();
    assert!(report.answers > 10 && report.reconnects + 2 >= report.answers, "{report:?}");
    assert!(report.errors.is_empty());
}

/// The server stands still once, for 400 ms. At 1000 questions a second on one connection some 400 of 2000 had to
/// wait for it; a tool that only looks at what it sent would have seen one.
#[tokio::test]
async fn a_stall_is_seen_by_every_question_that_was_due_in_it() {
    let asked = Arc::new(AtomicU64::new(0));
    let server = http_server(move |_| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        async move {
            if number == 800 {
                sleep(Duration::from_millis(400)).await;
            }
            response("200 OK", "true")
        }
    })
    .await;
    let report =
        measure(&arguments(&server, "--connections 1 --duration-s 2 --warm-up-ms 0 --rate 1000")).await.unwrap();
    assert_eq!(report.latency.count, 2_000, "{report:?}");
    assert_eq!(report.answers + report.not_started, 2_000);
    assert!(report.latency.p50_us < 200_000.0, "{report:?}");
    assert!(report.latency.p99_us > 300_000.0, "{report:?}");
    assert!(report.latency.p90_us > 100_000.0, "{report:?}");
    assert!(report.latency.max_us >= 400_000.0, "{report:?}");
}

#[tokio::test]
async fn questions_that_were_never_sent_count_with_the_time_they_waited() {
    let server = http_server(|_| async {
        sleep(Duration::from_millis(700)).await;
        response("200 OK", "true")
    })
    .await;
    let report =
        measure(&arguments(&server, "--connections 1 --duration-s 1 --warm-up-ms 0 --rate 100")).await.unwrap();
    assert_eq!(report.answers + report.not_started, 100, "{report:?}");
    assert!(report.not_started >= 97, "{report:?}");
    assert_eq!(report.latency.count, 100);
    assert!(report.latency.p50_us > 400_000.0, "{report:?}");
}

#[tokio::test]
async fn nobody_there_is_an_error_of_each_connection() {
    let server = http_server(|_| async { String::new() }).await;
    let arguments = arguments(&server, "--connections 2 --duration-s 1 --warm-up-ms 0");
    server.end().await;
    let report = measure(&arguments).await.unwrap();
    assert_eq!(report.answers, 0);
    assert!(report.errors["connect"] > 0, "{report:?}");
}
