//! The HTTP authenticator against servers that answer rightly, late, never, elsewhere, or with nonsense.

use crate::{
    presented,
    server::{Answer, Server},
};
use rollcall_authenticators::{BodyFormat, HttpAuthenticator, HttpMethod, HttpSettings, OutboundTls, WhenDown};
use rollcall_contracts::{Authenticator, CannotSay, Verdict};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

const ALLOW: &str = r#"{"result": "allow"}"#;

fn settings(url: String) -> HttpSettings {
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    HttpSettings {
        method: HttpMethod::Post,
        url,
        headers: pairs(&[("x-client", "${ClientId}/${PeerHost}")]),
        body: pairs(&[("clientid", "${ClientId}"), ("username", "${Username}"), ("password", "${Password}")]),
        format: BodyFormat::Json,
        connect_within: Duration::from_millis(500),
        answer_within: Duration::from_millis(500),
        requests_max: 8,
        when_down: WhenDown::Refuse,
        tls: OutboundTls::default(),
    }
}

fn made(settings: &HttpSettings) -> HttpAuthenticator {
    HttpAuthenticator::new(settings).unwrap()
}

async fn ask(http: &HttpAuthenticator) -> Result<Verdict, CannotSay> {
    http.authenticate(&presented(Some("ada"), Some("s3cret&+ü"))).await
}

#[tokio::test]
async fn an_answer_decides() {
    let server = Server::start(Answer::Json(200, ALLOW.into())).await;
    let http = made(&settings(server.url("/auth")));
    for (status, body, superuser, expected) in [
        (200, ALLOW, false, "accepted"),
        (200, r#"{"result": "allow", "is_superuser": true, "more": [1]}"#, true, "accepted"),
        (204, "", false, "accepted"),
        (200, r#"{"result": "deny", "is_superuser": true}"#, false, "refused"),
        (200, r#"{"result": "ignore"}"#, false, "not mine"),
        (201, ALLOW, false, "not mine"),
        (401, r#"{"result": "deny"}"#, false, "not mine"),
        (404, "", false, "not mine"),
        (302, "", false, "not mine"),
        (500, ALLOW, false, "cannot say"),
        (503, "", false, "cannot say"),
        (200, "", false, "cannot say"),
        (200, "allow", false, "cannot say"),
        (200, r#"{"result": "Allow"}"#, false, "cannot say"),
        (200, r#"{"is_superuser": true}"#, false, "cannot say"),
        (200, r#"{"result": "allow", "is_superuser": "yes"}"#, false, "cannot say"),
    ] {
        server.answer(Answer::Json(status, body.into()));
        let verdict = ask(&http).await;
        let said = match &verdict {
            Ok(Verdict::Accepted(account)) => {
                assert_eq!((account.username.as_str(), account.superuser), ("ada", superuser));
                "accepted"
            }
            Ok(Verdict::Refused) => "refused",
            Ok(Verdict::NotMine) => "not mine",
            Err(CannotSay) => "cannot say",
        };
        assert_eq!(said, expected, "{status} {body}");
    }
    server.answer(Answer::Raw(b"HTTP/1.1 200 X\r\ncontent-length: 19\r\n\r\n{\"result\": \"allow\"}".to_vec()));
    assert_eq!(ask(&http).await, Err(CannotSay), "without application/json it is no answer");
}

#[tokio::test]
async fn a_server_that_is_slow_down_or_endless_cannot_say_and_others_may_be_asked_instead() {
    let server = Server::start(Answer::Silence).await;
    let gone = {
        let server = Server::start(Answer::Silence).await;
        server.url("/")
    };
    let endless = b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n20000\r\n";
    let endless = [&endless[..], &vec![b' '; 0x20000], b"\r\n0\r\n\r\n"].concat();
    let broken = b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{".to_vec();
    let short = Duration::from_millis(80);
    let impatient = HttpSettings { connect_within: short, answer_within: short, ..settings(server.url("/")) };
    let refusing = made(&impatient);
    let ignoring = made(&HttpSettings { when_down: WhenDown::Ignore, ..impatient });
    for answer in [
        Answer::Silence,
        Answer::HangUp,
        Answer::After(Duration::from_secs(30), ALLOW.into()),
        Answer::Raw(endless),
        Answer::Raw(broken),
        Answer::Raw(b"nonsense\r\n\r\n".to_vec()),
    ] {
        server.answer(answer.clone());
        assert_eq!(ask(&refusing).await, Err(CannotSay), "{answer:?}");
        assert_eq!(ask(&ignoring).await, Ok(Verdict::NotMine), "{answer:?}");
    }
    assert_eq!(ask(&made(&settings(gone))).await, Err(CannotSay));
    // It comes back.
    server.answer(Answer::After(Duration::from_millis(20), ALLOW.into()));
    assert!(matches!(ask(&made(&settings(server.url("/")))).await, Ok(Verdict::Accepted(_))));
}

#[tokio::test]
async fn requests_are_made_of_the_templates_and_nothing_gets_out_of_its_place() {
    let server = Server::start(Answer::Json(200, ALLOW.into())).await;
    let http = made(&settings(server.url("/auth?x=1")));
    ask(&http).await.unwrap();
    let request = server.requests().pop().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /auth?x=1 HTTP/1.1\r\n") && head.contains("x-client: c/127.0.0.1"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body, json!({"clientid": "c", "username": "ada", "password": "s3cret&+ü"}));

    let form = made(&HttpSettings { format: BodyFormat::Form, ..settings(server.url("/")) });
    ask(&form).await.unwrap();
    let request = server.requests().pop().unwrap();
    assert!(request.ends_with("\r\n\r\nclientid=c&username=ada&password=s3cret%26%2B%C3%BC"), "{request}");

    let get = HttpSettings { method: HttpMethod::Get, ..settings(server.url("/of/${Username}/${ClientId}")) };
    let get = made(&get);
    let odd = presented(Some("../a b?&/ü"), None);
    get.authenticate(&odd).await.unwrap();
    let request = server.requests().pop().unwrap();
    let line = "GET /of/..%2Fa%20b%3F%26%2F%C3%BC/c?clientid=c&username=..%2Fa+b%3F%26%2F%C3%BC HTTP/1.1\r\n";
    assert!(request.starts_with(line), "{request}");

    // What would begin another header, or another host, is no client that the service would allow.
    let before = server.requests().len();
    let named =
        made(&HttpSettings { headers: vec![("x-user".into(), "${Username}".into())], ..settings(server.url("/")) });
    assert_eq!(named.authenticate(&presented(Some("a\r\nx-admin: 1"), None)).await, Ok(Verdict::Refused));
    assert_eq!(server.requests().len(), before);
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let evil = Server::start(Answer::Json(200, ALLOW.into())).await;
    let away = format!("HTTP/1.1 307 X\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", evil.url("/"));
    let server = Server::start(Answer::Raw(away.into_bytes())).await;
    assert_eq!(ask(&made(&settings(server.url("/")))).await, Ok(Verdict::NotMine));
    assert_eq!(evil.requests().len(), 0);
}

#[tokio::test]
async fn so_many_requests_are_under_way_and_the_rest_wait_for_so_long() {
    let server = Server::start(Answer::After(Duration::from_millis(30), ALLOW.into())).await;
    let http = Arc::new(made(&HttpSettings { requests_max: 2, ..settings(server.url("/")) }));
    let ask_all = async |count: usize| {
        let mut asking = JoinSet::new();
        for _ in 0..count {
            let http = http.clone();
            asking.spawn(async move { ask(&http).await });
        }
        asking.join_all().await
    };
    assert!(ask_all(8).await.into_iter().all(|verdict| matches!(verdict, Ok(Verdict::Accepted(_)))));
    assert_eq!(server.most_at_once(), 2);
    server.answer(Answer::Silence);
    assert!(ask_all(8).await.into_iter().all(|verdict| verdict == Err(CannotSay)));
    assert_eq!(server.most_at_once(), 2);
}

#[test]
fn what_cannot_be_asked_is_refused_with_what_to_set() {
    let problem = |change: &dyn Fn(&mut HttpSettings)| {
        let mut settings = settings("http://127.0.0.1/".into());
        change(&mut settings);
        HttpAuthenticator::new(&settings).map(drop).unwrap_err().to_string()
    };
    for (change, says) in [
        (&(|s: &mut HttpSettings| s.url = "http://${ClientId}/".into()) as &dyn Fn(&mut HttpSettings), "URL"),
        (&|s: &mut HttpSettings| s.url = "http://host${ClientId}/".into(), "behind the host"),
        (&|s: &mut HttpSettings| s.url = "gopher://host/".into(), "http://"),
        (&|s: &mut HttpSettings| s.url = "http://host/${Who}".into(), "${Who} is no placeholder"),
        (&|s: &mut HttpSettings| s.headers = vec![("a b".into(), "c".into())], "no name of a header"),
        (&|s: &mut HttpSettings| s.body = vec![("a".into(), "${".into())], "not closed"),
    ] {
        let problem = problem(change);
        assert!(problem.contains(says), "{problem}");
    }
}
