//! `POST /client-ids/status`: all in the order asked, or a refusal that says what to mend.

use crate::fakes::{Call, GOOD, Running, online, start, start_with};
use rollcall_contracts::{ConnectPermission, QueryRefusal, StatusAnswer, StatusError};
use rollcall_http_gateway::GatewayConfig;

const PATH: &str = "/client-ids/status";

fn json() -> String {
    format!("{GOOD}Content-Type: application/json\r\n")
}

fn ids(ids: &[&str]) -> String {
    serde_json::json!({ "client_ids": ids }).to_string()
}

fn answers(running: &Running, answers: &[(&str, Result<StatusAnswer, StatusError>)]) {
    for (id, answer) in answers {
        running.world.answers.lock().unwrap().insert((*id).to_owned(), answer.clone());
    }
}

// B-136
#[test]
fn a_batch_is_answered_in_the_order_asked_with_its_doubles() {
    let running = start();
    answers(&running, &[("b/2", Ok(online())), ("gone", Ok(StatusAnswer { online: false, ..online() }))]);
    let answer = running.connect().post(PATH, &json(), &ids(&["a", "b/2", "gone", "a", "b/2"]));
    assert_eq!(answer.status_line, "HTTP/1.1 200 OK");
    let a = r#"{"client_id":"a","online":false,"epoch":null,"node":null}"#;
    let b = r#"{"client_id":"b/2","online":true,"epoch":9007199254740991,"node":"n1"}"#;
    let gone = r#"{"client_id":"gone","online":false,"epoch":9007199254740991,"node":null}"#;
    assert_eq!(answer.body, format!(r#"{{"results":[{a},{b},{gone},{a},{b}]}}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let asked = Call::Statuses(["a", "b/2", "gone", "a", "b/2"].map(str::to_owned).to_vec());
    let expected = [Call::CachedBasic, Call::Authenticate, Call::MayConnect(None), Call::Charge(5), asked];
    assert_eq!(running.world.calls(), expected);
}

#[test]
fn the_parameter_client_id_and_any_spelling_of_the_content_type_are_understood() {
    let running = start();
    let mut connection = running.connect();
    for content_type in ["", "Content-Type: Application/JSON ; charset=utf-8\r\n"] {
        let headers = format!("{GOOD}{content_type}");
        assert_eq!(connection.post(&format!("{PATH}?client_id=me"), &headers, &ids(&["a"])).status(), 200);
        assert!(running.world.calls().contains(&Call::MayConnect(Some("me".into()))));
    }
}

#[test]
fn a_thousand_are_answered_and_one_more_is_refused_before_it_costs() {
    let running = start();
    let mut connection = running.connect();
    let many: Vec<String> = (0..1001).map(|n| format!("VIN{n:07}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let answer = connection.post(PATH, &json(), &ids(&many[..1000]));
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["results"].as_array().unwrap().len(), 1000);
    assert_eq!(body["results"][999]["client_id"], "VIN0000999");
    assert!(running.world.calls().contains(&Call::Charge(1000)));
    let answer = connection.post(PATH, &json(), &ids(&many));
    assert_eq!((answer.status(), answer.problem_code().as_str()), (400, "too_many_client_ids"));
    assert!(!running.world.calls().iter().any(|call| matches!(call, Call::Charge(_) | Call::Statuses(_))));
}

#[test]
fn what_is_no_batch_is_refused_with_the_reason_and_costs_nothing() {
    let running = start_with(GatewayConfig { client_id_bytes_max: 20, ..GatewayConfig::default() });
    let mut connection = running.connect();
    let long = ids(&["ok", &"x".repeat(21)]);
    let refused = [
        ("", "bad_json"),
        ("{\"client_ids\":[\"a\"", "bad_json"),
        ("client_ids=a", "bad_json"),
        ("\u{feff}{}", "bad_json"),
        ("{}", "bad_batch"),
        ("[\"a\"]", "bad_batch"),
        ("{\"client_ids\":\"a\"}", "bad_batch"),
        ("{\"client_ids\":[1]}", "bad_batch"),
        ("{\"client_ids\":[null]}", "bad_batch"),
        ("{\"client_ids\":[\"a\"],\"more\":1}", "bad_batch"),
        ("{\"client_ids\":[]}", "no_client_ids"),
        ("{\"client_ids\":[\"\"]}", "bad_client_id"),
        ("{\"client_ids\":[\"a\",\"\\u0000\"]}", "bad_client_id"),
        (long.as_str(), "bad_client_id"),
    ];
    for (body, code) in refused {
        let answer = connection.post(PATH, &json(), body);
        assert_eq!((answer.status(), answer.problem_code().as_str()), (400, code), "{body}");
    }
    let answer = connection.post(PATH, &json(), &long);
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["position"], 1, "which of the ids it was");
    assert!(!running.world.calls().iter().any(|call| matches!(call, Call::Charge(_) | Call::Statuses(_))));
}

#[test]
fn another_content_type_and_too_many_bytes_have_codes_of_their_own() {
    let running = start();
    let form = format!("{GOOD}Content-Type: application/x-www-form-urlencoded\r\n");
    let answer = running.connect().post(PATH, &form, &ids(&["a"]));
    assert_eq!((answer.status(), answer.problem_code().as_str()), (415, "not_json"));
    let answer = running.connect().post(PATH, &json(), &" ".repeat((1 << 20) + 1));
    assert_eq!((answer.status(), answer.problem_code().as_str()), (413, "body_too_large"));
    // Nothing is said of the length beforehand: it is counted.
    let mut connection = running.connect();
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{}\r\n", json());
    connection.send(head);
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    (0..17).for_each(|_| connection.send(&chunk));
    let answer = connection.answer();
    assert_eq!((answer.status(), answer.problem_code().as_str()), (413, "body_too_large"));
    assert!(!running.world.calls().iter().any(|call| matches!(call, Call::Charge(_) | Call::Statuses(_))));
}

#[test]
fn one_that_cannot_be_answered_leaves_none_answered() {
    let running = start();
    let mut connection = running.connect();
    for (error, code) in
        [(StatusError::NoQuorum, "no_quorum"), (StatusError::Busy, "busy"), (StatusError::NotReady, "not_ready")]
    {
        answers(&running, &[("b", Err(error))]);
        let answer = connection.post(PATH, &json(), &ids(&["a", "b"]));
        assert_eq!((answer.status(), answer.problem_code().as_str()), (503, code));
        assert!(answer.header("retry-after").is_some() && !answer.body.contains("results"));
    }
}

#[test]
fn over_quota_nothing_is_looked_up() {
    let running = start();
    *running.world.refusal.lock().unwrap() = Some(QueryRefusal::OverQuota { retry_after_s: 4 });
    let answer = running.connect().post(PATH, &json(), &ids(&["a", "b"]));
    assert_eq!((answer.status(), answer.problem_code().as_str()), (429, "over_quota"));
    assert_eq!(answer.header("retry-after"), Some("4"));
    let calls = running.world.calls();
    assert!(calls.contains(&Call::Charge(2)) && !calls.iter().any(|call| matches!(call, Call::Statuses(_))));
}

#[test]
fn nobody_asks_without_the_right_credentials_and_permission() {
    let running = start();
    let mut connection = running.connect();
    // The body is small, so the connection is kept: the second answer would not be where it is otherwise.
    for _ in 0..2 {
        let answer = connection.post(PATH, "Content-Type: application/json\r\n", &ids(&["a"]));
        assert_eq!((answer.status(), answer.problem_code().as_str()), (401, "unauthorized"));
    }
    *running.world.permission.lock().unwrap() = ConnectPermission::Denied;
    let answer = connection.post(PATH, &json(), &ids(&["a"]));
    assert_eq!((answer.status(), answer.problem_code().as_str()), (403, "not_authorized"));
    assert!(!running.world.calls().iter().any(|call| matches!(call, Call::Charge(_) | Call::Statuses(_))));
}

#[test]
fn a_batch_is_only_posted() {
    let running = start();
    let mut connection = running.connect();
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let answer = connection.ask(method, PATH, GOOD);
        assert_eq!((answer.status(), answer.header("allow")), (405, Some("POST, OPTIONS")), "{method}");
    }
    let answer = connection.ask("OPTIONS", PATH, "");
    assert_eq!((answer.status(), answer.header("allow")), (204, Some("POST, OPTIONS")));
    assert_eq!(running.world.calls(), []);
}
