//! `POST /topics/{topic}`: what reaches the broker, and every refusal.

use crate::fakes::{Call, GOOD, Running, start, start_with};
use rollcall_contracts::{AuthError, ConnectPermission, PublishError, PublishTaken, QueryRefusal};
use rollcall_http_gateway::{GatewayConfig, PublishLimits};
use rollcall_types::{Message, MessageProperties, QoS};
use std::collections::BTreeSet;

fn small() -> Running {
    let publish = PublishLimits { topic_bytes_max: 20, topic_levels_max: 3, payload_bytes_max: 100_000 };
    start_with(GatewayConfig { publish, client_id_bytes_max: 20, ..GatewayConfig::default() })
}

/// What was published since the last time, with account and client id.
fn published(running: &Running) -> Vec<(String, String, Message)> {
    let calls = running.world.calls().into_iter().filter_map(|call| match call {
        Call::Publish(account, client_id, message) => Some((account, client_id, message)),
        _ => None,
    });
    calls.collect()
}

fn bare(topic: &str, payload: &[u8]) -> Message {
    let properties = MessageProperties::default();
    Message { topic: topic.to_owned(), payload: payload.to_vec(), qos: QoS::AtLeastOnce, retain: false, properties }
}

#[test]
fn a_message_reaches_the_broker_with_its_body_as_payload() {
    let running = start();
    let mut connection = running.connect();
    let bytes: Vec<u8> = (0..=255).collect();
    connection.send(format!("POST /topics/home HTTP/1.1\r\nHost: x\r\nContent-Length: 256\r\n{GOOD}\r\n"));
    connection.send(&bytes);
    let answer = connection.answer();
    assert_eq!(answer.status_line, "HTTP/1.1 200 OK");
    let id = answer.header("x-message-id").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte)), "{id}");
    assert_eq!((answer.body.as_str(), answer.header("content-length")), ("", Some("0")));
    assert_eq!((answer.header("content-type"), answer.header("cache-control")), (None, Some("no-store")));
    assert_eq!(answer.header("rollcall-matched"), Some("true"));
    let calls = running.world.calls();
    // The broker charges, as for every message.
    assert!(!calls.iter().any(|call| matches!(call, Call::Charge(_))), "{calls:?}");
    let Call::MayConnect(Some(client_id)) = &calls[2] else { panic!("{calls:?}") };
    assert_eq!(calls[3], Call::Publish("user0".to_owned(), client_id.clone(), bare("home", &bytes)));

    *running.world.published.lock().unwrap() = Ok(PublishTaken { matched: false });
    let answer = connection.post("/topics/home", GOOD, "");
    assert_eq!((answer.status(), answer.header("rollcall-matched")), (200, Some("false")));
    assert_eq!(published(&running)[0].2, bare("home", b""), "an empty payload is one");
}

#[test]
fn every_message_has_an_id_of_its_own() {
    let running = start();
    let mut connection = running.connect();
    let id = |n| {
        let answer = connection.post("/topics/t", GOOD, &format!("{n}"));
        answer.header("x-message-id").unwrap().to_owned()
    };
    assert_eq!((0..200).map(id).collect::<BTreeSet<_>>().len(), 200);
}

#[test]
fn parameters_become_what_mqtt_has_for_them() {
    let running = start();
    let target = "/topics/a%2Fb?qos=2&retained=true&client_id=curl001&username=somebody&ResponseTopic=sample%2Fresponse\
                  &CorrelationData=SN%00%FF&ContentType=text/plain&PayloadFormatIndicator=1&MessageExpiryInterval=3600\
                  &UserProp.2.Key=k&UserProp.2.Value=second&UserProp.1.Key=k&UserProp.1.Value=first+one";
    assert_eq!(running.connect().post(target, GOOD, "x").status(), 200);
    let properties = MessageProperties {
        utf8_payload: true,
        expiry_s: Some(3600),
        content_type: Some("text/plain".to_owned()),
        response_topic: Some("sample/response".to_owned()),
        correlation_data: Some(b"SN\0\xff".to_vec()),
        user: [("k", "first one"), ("k", "second")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
    };
    let message = Message { qos: QoS::ExactlyOnce, retain: true, properties, ..bare("a/b", b"x") };
    // The account is that of the credentials, whatever the query says.
    assert_eq!(published(&running), [("user0".to_owned(), "curl001".to_owned(), message)]);
}

#[test]
fn a_topic_is_one_segment_decoded_exactly_once() {
    let running = start();
    let mut connection = running.connect();
    for (segment, topic) in [
        ("a%2Fb", "a/b"),
        ("a%252Fb", "a%2Fb"),
        ("..", ".."),
        ("%2F", "/"),
        ("a%2F%2Fb", "a//b"),
        ("%C3%BC%20x", "ü x"),
        ("first%2Fp2p%2Fcar%3F", "first/p2p/car?"),
        ("a:b;c", "a:b;c"),
    ] {
        assert_eq!(connection.post(&format!("/topics/{segment}"), GOOD, "").status(), 200, "{segment}");
        assert_eq!(published(&running)[0].2.topic, topic);
    }
    assert_eq!(connection.post("/topics/a/b", GOOD, "").problem_code(), "not_found", "a raw slash is another path");
    assert_eq!(connection.post("/topics", GOOD, "").problem_code(), "not_found");
}

#[test]
fn what_is_no_publish_is_refused_with_the_reason_and_reaches_nobody() {
    let running = small();
    let mut connection = running.connect();
    let refused = [
        ("/topics/", 400, "bad_topic", "empty"),
        ("/topics/a+b", 400, "bad_topic", "wildcard"),
        ("/topics/a%2F%23", 400, "bad_topic", "wildcard"),
        ("/topics/a%2", 400, "bad_topic", "percent"),
        ("/topics/%FF", 400, "bad_topic", "UTF-8"),
        ("/topics/a%00", 400, "bad_topic", "U+0000"),
        ("/topics/123456789012345678901", 400, "bad_topic", "topic_bytes_max"),
        ("/topics/1%2F2%2F3%2F4", 400, "bad_topic", "topic_levels_max"),
        ("/topics/t?qos=3", 400, "bad_parameter", "qos"),
        ("/topics/t?retained=yes", 400, "bad_parameter", "retained"),
        ("/topics/t?PayloadFormatIndicator=2", 400, "bad_parameter", "PayloadFormatIndicator"),
        ("/topics/t?MessageExpiryInterval=soon", 400, "bad_parameter", "MessageExpiryInterval"),
        ("/topics/t?ResponseTopic=%23", 400, "bad_parameter", "ResponseTopic"),
        ("/topics/t?ContentType=%00", 400, "bad_parameter", "ContentType"),
        ("/topics/t?CorrelationData=%", 400, "bad_parameter", "CorrelationData"),
        ("/topics/t?UserProp.1.Key=k", 400, "bad_parameter", "UserProp.N.Value"),
        ("/topics/t?client_id=", 400, "bad_parameter", "client_id"),
        ("/topics/t?client_id=123456789012345678901", 400, "bad_parameter", "client_id"),
        ("/topics/t?retain=true", 400, "bad_parameter", "retained"),
        ("/topics/t?qos=1&qos=2", 400, "bad_parameter", "several"),
    ];
    for (target, status, code, says) in refused {
        let answer = connection.post(target, GOOD, "x");
        assert_eq!((answer.status(), answer.problem_code().as_str()), (status, code), "{target}");
        assert!(answer.body.contains(says), "{target}: {}", answer.body);
    }
    assert!(running.world.calls().iter().all(|call| matches!(call, Call::CachedBasic | Call::Authenticate)));
    let metrics = running.connect_admin().ask("GET", "/metrics", "").body;
    for kind in ["topic_bytes_max", "topic_levels_max"] {
        assert!(metrics.contains(&format!("rollcall_quota_limited_total{{kind=\"{kind}\"}}")), "{kind}");
    }
    assert!(metrics.contains("rollcall_http_calls_total{call=\"publish\",code=\"400\"}"));
}

#[test]
fn a_payload_over_the_limit_is_413_and_one_at_the_limit_is_taken() {
    let running = small();
    let at = "x".repeat(100_000);
    assert_eq!(running.connect().post("/topics/t", GOOD, &at).status(), 200);
    assert_eq!(published(&running)[0].2.payload.len(), 100_000);
    let answer = running.connect().post("/topics/t", GOOD, &format!("{at}x"));
    assert_eq!((answer.status(), answer.problem_code().as_str()), (413, "body_too_large"));
    let mut connection = running.connect();
    connection.send(format!("POST /topics/t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{GOOD}\r\n"));
    connection.send(format!("{:x}\r\n{at}\r\n{:x}\r\n{at}\r\n", at.len(), at.len()));
    assert_eq!(connection.answer().status(), 413);
    assert!(published(&running).is_empty());
    let metrics = running.connect_admin().ask("GET", "/metrics", "").body;
    assert!(metrics.contains("rollcall_quota_limited_total{kind=\"payload_bytes_max\"}"));
}

#[test]
fn a_body_in_chunks_is_a_payload_too() {
    let running = start();
    let mut connection = running.connect();
    connection.send(format!("POST /topics/t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{GOOD}\r\n"));
    connection.send("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_eq!(connection.answer().status(), 200);
    assert_eq!(published(&running)[0].2.payload, b"abcde");
}

// B-159
#[test]
fn who_may_not_is_refused_before_the_body_is_looked_at() {
    let running = start();
    let answer = running.connect().post("/topics/t", "", "x");
    assert_eq!((answer.status(), answer.problem_code().as_str()), (401, "unauthorized"));
    assert_eq!(answer.header("www-authenticate"), Some(r#"Basic realm="rollcall", charset="UTF-8""#));
    *running.world.auth_error.lock().unwrap() = Some(AuthError::TooManyFailures { retry_after_s: 3 });
    let answer = running.connect().post("/topics/t", GOOD, "x");
    assert_eq!((answer.status(), answer.problem_code().as_str()), (429, "too_many_auth_failures"));
    *running.world.auth_error.lock().unwrap() = None;
    *running.world.permission.lock().unwrap() = ConnectPermission::Denied;
    let answer = running.connect().post("/topics/t?client_id=me", GOOD, "x");
    assert_eq!((answer.status(), answer.problem_code().as_str()), (403, "not_authorized"));
    let calls = running.world.calls();
    assert!(calls.contains(&Call::MayConnect(Some("me".into()))), "as a CONNECT of that client");
    assert!(!calls.iter().any(|call| matches!(call, Call::Publish(..))));
}

#[test]
fn what_the_broker_refuses_has_its_status_and_says_whether_it_may_have_happened() {
    let running = start();
    let mut connection = running.connect();
    let quota = |refusal| PublishError::Quota(refusal);
    let refused = [
        (PublishError::NotAuthorized, 403, "not_authorized", None),
        (quota(QueryRefusal::OverQuota { retry_after_s: 7 }), 429, "over_quota", None),
        (quota(QueryRefusal::NoGrant), 503, "no_quota_grant", Some(false)),
        (PublishError::RetainedLimit, 429, "retained_limit", None),
        (PublishError::NotServing, 503, "not_ready", Some(false)),
        (PublishError::Unavailable { may_have_happened: false }, 503, "not_applied", Some(false)),
        (PublishError::Unavailable { may_have_happened: true }, 503, "unconfirmed", Some(true)),
    ];
    for (error, status, code, may_have_happened) in refused {
        *running.world.published.lock().unwrap() = Err(error);
        let answer = connection.post("/topics/t", GOOD, "x");
        assert_eq!((answer.status(), answer.problem_code().as_str()), (status, code));
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["may_have_happened"].as_bool(), may_have_happened, "{code}");
        assert_eq!(answer.header("x-message-id"), None);
        assert_eq!(answer.header("retry-after").is_some(), status == 503 || code == "over_quota", "{code}");
        assert!(body.get("success").is_none());
    }
}

#[test]
fn only_post_publishes() {
    let running = start();
    let mut connection = running.connect();
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let answer = connection.ask(method, "/topics/t", GOOD);
        assert_eq!((answer.status(), answer.header("allow")), (405, Some("POST, OPTIONS")), "{method}");
    }
    let answer = connection.ask("OPTIONS", "/topics/t", "");
    assert_eq!((answer.status(), answer.header("allow")), (204, Some("POST, OPTIONS")));
    assert!(running.world.calls().is_empty());
}

#[test]
fn a_publisher_that_names_no_client_is_its_connection_and_every_request_is_checked() {
    let running = start();
    let (mut kept, mut other) = (running.connect(), running.connect());
    for connection in [&mut kept, &mut other] {
        for _ in 0..2 {
            assert_eq!(connection.post("/topics/t", GOOD, "").status(), 200);
        }
    }
    let calls = running.world.calls();
    assert_eq!(calls.iter().filter(|call| matches!(call, Call::MayConnect(_))).count(), 4);
    let ids = calls.into_iter().filter_map(|call| match call {
        Call::Publish(_, client_id, _) => Some(client_id),
        _ => None,
    });
    let ids: Vec<String> = ids.collect();
    assert!(ids.iter().all(|id| id.strip_prefix("http-").is_some_and(|rest| rest.parse::<u64>().is_ok())), "{ids:?}");
    assert!(ids[0] == ids[1] && ids[2] == ids[3] && ids[0] != ids[2], "{ids:?}");
}

#[test]
fn http_1_0_publishes_once_for_each_connection() {
    let running = start();
    let mut connection = running.connect();
    connection.send(format!("POST /topics/t HTTP/1.0\r\nContent-Length: 1\r\n{GOOD}\r\nx"));
    let answer = connection.answer();
    assert!(answer.status() == 200 && answer.header("x-message-id").is_some());
    assert!(connection.ends());
    assert_eq!(published(&running).len(), 1);
}

#[test]
fn messages_of_one_connection_are_handed_on_one_after_the_other() {
    let running = start();
    let mut connection = running.connect();
    let held = running.runtime.block_on(running.world.held.write());
    for n in 0..3 {
        connection.send(format!("POST /topics/t HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n{GOOD}\r\n{n}"));
    }
    let (mut seen, began) = (Vec::new(), std::time::Instant::now());
    while seen.is_empty() {
        assert!(began.elapsed() < crate::raw_http::DEADLINE, "nothing was handed on");
        seen.extend(published(&running));
        std::thread::yield_now();
    }
    assert_eq!(seen.len(), 1, "the next waits for the answer to the first");
    drop(held);
    for _ in 0..3 {
        assert_eq!(connection.answer().status(), 200);
    }
    seen.extend(published(&running));
    let payloads: Vec<_> = seen.into_iter().map(|(_, _, message)| message.payload).collect();
    assert_eq!(payloads, [b"0", b"1", b"2"]);
}
