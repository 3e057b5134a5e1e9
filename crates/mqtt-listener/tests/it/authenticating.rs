//! Enhanced authentication over a socket, with a method that asks for the answer to a challenge.

use crate::{
    raw::{packet, v5, v5_with},
    world::World,
};
use rollcall_contracts::{
    Account, AuthError, AuthenticatingClient, AuthenticationExchange, AuthenticationStep, EnhancedAuthenticator, Role,
};
use rollcall_session::Limits;
use std::sync::Arc;

/// Asks for the letters of a challenge backwards, after the name of the account.
struct Backwards;

struct Challenged {
    account: Option<String>,
}

impl EnhancedAuthenticator for Backwards {
    fn method(&self) -> &str {
        "back"
    }

    fn begin(&self, client: AuthenticatingClient) -> Box<dyn AuthenticationExchange> {
        assert_eq!(client.client_id, "c");
        Box::new(Challenged { account: None })
    }
}

#[async_trait::async_trait]
impl AuthenticationExchange for Challenged {
    async fn step(&mut self, data: &[u8]) -> AuthenticationStep {
        match self.account.take() {
            None => {
                self.account = Some(String::from_utf8(data.to_vec()).unwrap());
                AuthenticationStep::Continue(b"abc".to_vec())
            }
            Some(username) if data == b"cba" => {
                let account = Account::new(username, Role::Client);
                AuthenticationStep::Success(Arc::new(account), b"ok".to_vec())
            }
            Some(_) => AuthenticationStep::Refused(AuthError::Rejected),
        }
    }
}

async fn world(limits: Limits) -> World {
    let world = World::with(limits).await;
    world.broker.set_authenticators(vec![Arc::new(Backwards)]);
    world
}

/// The properties of a method and data.
fn properties(method: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x15, 0, u8::try_from(method.len()).unwrap()];
    bytes.extend(method.bytes());
    if !data.is_empty() {
        bytes.extend([0x16, 0, u8::try_from(data.len()).unwrap()]);
        bytes.extend(data);
    }
    bytes
}

fn auth(code: u8, method: &str, data: &[u8]) -> Vec<u8> {
    let properties = properties(method, data);
    let head = [code, u8::try_from(properties.len()).unwrap()];
    packet(0xF0, &[&head[..], &properties].concat())
}

async fn connect_as(world: &World, account: &str) -> crate::raw::Raw {
    let mut raw = world.open().await;
    raw.send(&v5_with("c", 0, &properties("back", account.as_bytes()))).await;
    assert_eq!(raw.packet().await, auth(0x18, "back", b"abc"));
    raw.send(&auth(0x18, "back", b"cba")).await;
    let connack = raw.packet().await;
    assert_eq!((connack[0], connack[3]), (0x20, 0), "{connack:02x?}");
    let told = properties("back", b"ok");
    assert!(connack.windows(told.len()).any(|part| part == told), "{connack:02x?}");
    raw
}

#[tokio::test]
async fn a_client_that_answers_the_challenge_is_admitted_as_the_account_it_proved() {
    let world = world(Limits::default()).await;
    let mut raw = connect_as(&world, "ada").await;
    raw.is_alive().await;
    assert_eq!(world.store.asked.lock().unwrap()[0].username, "ada");
    assert_eq!(world.admission.authenticated.load(std::sync::atomic::Ordering::SeqCst), 0, "no password is asked for");
}

#[tokio::test]
async fn a_wrong_answer_and_a_method_that_is_not_known_are_refused_without_a_claim() {
    let world = world(Limits::default()).await;
    let mut raw = world.open().await;
    raw.send(&v5_with("c", 0, &properties("back", b"ada"))).await;
    assert_eq!(raw.packet().await, auth(0x18, "back", b"abc"));
    raw.send(&auth(0x18, "back", b"abc")).await;
    assert_eq!(raw.rest().await[..4], [0x20, 3, 0, 0x87]);
    let mut raw = world.open().await;
    raw.send(&v5_with("c", 0, &properties("other", b""))).await;
    assert_eq!(raw.rest().await[..4], [0x20, 3, 0, 0x8C]);
    assert_eq!(world.store.asked(), 0);
}

#[tokio::test]
async fn an_exchange_that_is_not_gone_on_with_ends_with_the_time_of_the_connect() {
    let world = world(Limits { connect_timeout_ms: 200, ..Limits::default() }).await;
    let mut raw = world.open().await;
    raw.send(&v5_with("c", 0, &properties("back", b"ada"))).await;
    assert_eq!(raw.packet().await, auth(0x18, "back", b"abc"));
    raw.closed().await;
}

#[tokio::test]
async fn an_open_connection_proves_its_account_again_and_no_other() {
    let world = world(Limits::default()).await;
    let mut raw = connect_as(&world, "ada").await;
    raw.send(&auth(0x19, "back", b"ada")).await;
    assert_eq!(raw.packet().await, auth(0x18, "back", b"abc"));
    raw.is_alive().await;
    raw.send(&auth(0x18, "back", b"cba")).await;
    assert_eq!(raw.packet().await, auth(0x00, "back", b"ok"));
    raw.send(&auth(0x19, "back", b"eve")).await;
    assert_eq!(raw.packet().await, auth(0x18, "back", b"abc"));
    raw.send(&auth(0x18, "back", b"cba")).await;
    assert_eq!(raw.rest().await, b"\xe0\x01\x87");
}

#[tokio::test]
async fn another_method_or_none_at_all_is_a_protocol_error_on_an_open_connection() {
    let world = world(Limits::default()).await;
    let mut raw = connect_as(&world, "ada").await;
    raw.send(&auth(0x19, "other", b"")).await;
    assert_eq!(raw.rest().await, b"\xe0\x01\x82");
    let mut raw = world.connect(&v5("c", 0)).await;
    raw.send(&auth(0x19, "back", b"ada")).await;
    assert_eq!(raw.rest().await, b"\xe0\x01\x82");
}
