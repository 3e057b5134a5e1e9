//! Key sets that are fetched: again and again, within bounds, and the last good one stays.

use crate::{
    jwt::rules,
    keys::{Signer, every_kind, now_s, p256},
    presented,
    server::{Answer, Server},
};
use rollcall_authenticators::{FetchedKeys, Jwt, KeyFetch, Keys, OutboundTls, TokenField, VerifyingKeys};
use rollcall_contracts::{Authenticator, CannotSay, Verdict};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

const WITHIN: Duration = Duration::from_secs(20);

fn set(signers: &[(&Signer, &str)]) -> String {
    let keys: Vec<_> = signers.iter().filter_map(|(signer, id)| signer.jwk(id)).collect();
    json!({ "keys": keys }).to_string()
}

fn token(signer: &Signer, key_id: Option<&str>) -> String {
    signer.token(signer.algorithms[0], key_id, &json!({"sub": "device-1", "exp": now_s() + 60}))
}

struct Fetching {
    jwt: Jwt,
    _keeping: JoinSet<()>,
}

fn fetching(url: String, every: Duration, at_least_apart: Duration) -> Fetching {
    let fetch = KeyFetch { url, every, at_least_apart, tls: OutboundTls::default() };
    let keys = Arc::new(FetchedKeys::new(&fetch).unwrap());
    let mut keeping = JoinSet::new();
    let kept = keys.clone();
    keeping.spawn(async move { kept.keep().await });
    let jwt = Jwt::new("jwks", Keys::Fetched(keys), rules(TokenField::Password, &[]));
    Fetching { jwt, _keeping: keeping }
}

impl Fetching {
    async fn verdict(&self, token: &str) -> Result<Verdict, CannotSay> {
        self.jwt.authenticate(&presented(Some("ada"), Some(token))).await
    }

    async fn until_accepted(&self, token: &str) {
        let accepted = async {
            while !matches!(self.verdict(token).await, Ok(Verdict::Accepted(_))) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(WITHIN, accepted).await.unwrap();
    }
}

#[tokio::test]
async fn an_inline_set_has_keys_of_every_kind_by_their_ids() {
    let signers = every_kind();
    let named: Vec<(&Signer, &str)> = signers.iter().zip(["a", "b", "c", "d", "e"]).collect();
    let keys = Arc::new(VerifyingKeys::set(set(&named).as_bytes()).unwrap());
    let jwt = Jwt::new("jwks", Keys::Fixed(keys), rules(TokenField::Password, &[]));
    for (signer, id) in named.iter().filter(|(signer, id)| signer.jwk(id).is_some()) {
        for (key_id, accepted) in [(Some(*id), true), (None, true), (Some("another"), false)] {
            let token = token(signer, key_id);
            let verdict = jwt.authenticate(&presented(None, Some(&token))).await.unwrap();
            assert_eq!(matches!(verdict, Verdict::Accepted(_)), accepted, "{id} {key_id:?}");
        }
    }
}

#[tokio::test]
async fn a_key_made_since_is_fetched_when_a_token_of_it_comes_and_not_for_every_unknown_one() {
    let (old, new) = (p256(), p256());
    let server = Server::start(Answer::Json(200, set(&[(&old, "old")]))).await;
    let fetching = fetching(server.url("/keys"), Duration::from_secs(3600), Duration::from_millis(200));
    fetching.until_accepted(&token(&old, Some("old"))).await;
    server.answer(Answer::Json(200, set(&[(&old, "old"), (&new, "new")])));
    fetching.until_accepted(&token(&new, Some("new"))).await;
    fetching.until_accepted(&token(&old, Some("old"))).await;
    let before = server.requests().len();
    for _ in 0..100 {
        assert_eq!(fetching.verdict(&token(&p256(), Some("nobody's"))).await, Ok(Verdict::NotMine));
    }
    assert!(server.requests().len() - before < 50, "{} fetches", server.requests().len() - before);
}

#[tokio::test]
async fn the_last_good_set_stays_and_before_the_first_nobody_is_judged() {
    let signer = p256();
    let server = Server::start(Answer::Json(500, "{}".into())).await;
    let (every, apart) = (Duration::from_millis(20), Duration::from_millis(5));
    let fetching = fetching(server.url("/"), every, apart);
    let token = token(&signer, Some("a"));
    assert_eq!(fetching.verdict(&token).await, Err(CannotSay));
    server.answer(Answer::Json(200, set(&[(&signer, "a")])));
    fetching.until_accepted(&token).await;
    let elsewhere = format!("HTTP/1.1 302 X\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", server.url("/evil"));
    let head = b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n40000\r\n";
    let endless = [&head[..], &vec![b' '; 0x40000], b"\r\n5\r\n     \r\n"].concat();
    for bad in [
        Answer::Json(500, set(&[])),
        Answer::Json(200, set(&[])),
        Answer::Json(200, "no json".into()),
        Answer::Raw(elsewhere.into_bytes()),
        Answer::Raw(endless),
        Answer::HangUp,
    ] {
        server.answer(bad.clone());
        let before = server.requests().len();
        let asked = async {
            while server.requests().len() < before + 3 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(WITHIN, asked).await.unwrap();
        assert!(matches!(fetching.verdict(&token).await, Ok(Verdict::Accepted(_))), "{bad:?}");
    }
    assert!(server.requests().iter().all(|request| !request.contains("/evil")), "no redirect is followed");
}

#[test]
fn what_cannot_be_fetched_from_is_refused() {
    for (url, says) in [("keys", "no URL"), ("ftp://a/keys", "http://"), ("file:///keys", "http://")] {
        let fetch = KeyFetch {
            url: url.into(),
            every: Duration::from_secs(60),
            at_least_apart: Duration::from_secs(10),
            tls: OutboundTls::default(),
        };
        let error = FetchedKeys::new(&fetch).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let tls = OutboundTls { authorities: Some(b"nothing".to_vec()) };
    let apart = Duration::from_secs(10);
    let fetch = KeyFetch { url: "https://a/keys".into(), every: apart, at_least_apart: apart, tls };
    assert!(FetchedKeys::new(&fetch).unwrap_err().to_string().contains("ca_file"));
}
