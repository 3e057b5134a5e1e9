//! A method of enhanced authentication that is given to a whole node answers clients over a socket.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::{
    Node,
    config::{BootstrapUser, Config, Secret},
};
use async_trait::async_trait;
use rollcall_contracts::{
    Account, AuthError, AuthenticatingClient, AuthenticationExchange, AuthenticationStep, EnhancedAuthenticator, Role,
};
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinSet,
};

/// A node on its own is there in a second or two; a busy machine takes longer.
const WITHIN: Duration = Duration::from_secs(60);

/// Asks for the number after the one that the client sends.
struct Next;

struct Counting {
    expected: Option<u8>,
}

impl EnhancedAuthenticator for Next {
    fn method(&self) -> &str {
        "next"
    }

    fn begin(&self, _: AuthenticatingClient) -> Box<dyn AuthenticationExchange> {
        Box::new(Counting { expected: None })
    }
}

#[async_trait]
impl AuthenticationExchange for Counting {
    async fn step(&mut self, data: &[u8]) -> AuthenticationStep {
        match (self.expected, data) {
            (None, [first]) => {
                self.expected = Some(first + 2);
                AuthenticationStep::Continue(vec![first + 1])
            }
            (Some(expected), [last]) if *last == expected => {
                let account = Account::new("ada", Role::Client);
                AuthenticationStep::Success(Arc::new(account), b"ok".to_vec())
            }
            _ => AuthenticationStep::Refused(AuthError::Rejected),
        }
    }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn properties(data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x15\x00\x04next\x16\x00".to_vec();
    bytes.push(u8::try_from(data.len()).unwrap());
    bytes.extend(data);
    bytes
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(body.len()).unwrap()], body].concat()
}

fn connect(data: &[u8]) -> Vec<u8> {
    let properties = properties(data);
    let head = [b"\x00\x04MQTT\x05\x02\x00\x3c", &[u8::try_from(properties.len()).unwrap()][..]].concat();
    packet(0x10, &[&head[..], &properties, b"\x00\x01c"].concat())
}

fn auth(data: &[u8]) -> Vec<u8> {
    let properties = properties(data);
    packet(0xF0, &[&[0x18, u8::try_from(properties.len()).unwrap()], &properties[..]].concat())
}

/// Packets here are shorter than 128 bytes.
async fn next(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.unwrap();
    let mut body = vec![0; usize::from(head[1])];
    stream.read_exact(&mut body).await.unwrap();
    [&head[..], &body].concat()
}

/// A connection whose CONNECT was answered with AUTH: the node serves.
async fn challenged(mqtt: SocketAddr) -> TcpStream {
    // Only a connect shows whether somebody listens; the whole has a deadline.
    let mut attempts = tokio::time::interval(Duration::from_millis(20));
    loop {
        attempts.tick().await;
        if let Ok(mut stream) = TcpStream::connect(mqtt).await {
            stream.write_all(&connect(&[7])).await.unwrap();
            let answer = next(&mut stream).await;
            assert_eq!(answer, auth(&[8]), "{answer:02x?}");
            return stream;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_the_node_is_given_decides_over_a_socket_who_gets_in() {
    let folder = tempfile::tempdir().unwrap();
    let mqtt = free();
    let mut config = Config::default();
    config.node.data_dir = folder.path().join("data");
    (config.listeners.mqtt, config.listeners.mesh) = (Some(mqtt), free());
    (config.listeners.http, config.listeners.admin) = (Some(free()), Some(free()));
    let password = Some(Secret::new("a password that nobody uses"));
    config.auth.bootstrap_users =
        vec![BootstrapUser { username: "ada".to_owned(), password, ..BootstrapUser::default() }];
    let node = Node::start_with(config, Box::new(|| None), vec![Arc::new(Next)]).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut running = JoinSet::new();
    running.spawn(node.run_until_stopped(async move { drop(stopped.await) }));
    let exchange = async {
        let mut wrong = challenged(mqtt).await;
        wrong.write_all(&auth(&[8])).await.unwrap();
        let refused = next(&mut wrong).await;
        assert_eq!((refused[0], refused[3]), (0x20, 0x87), "{refused:02x?}");
        let mut right = challenged(mqtt).await;
        right.write_all(&auth(&[9])).await.unwrap();
        let connack = next(&mut right).await;
        assert_eq!((connack[0], connack[3]), (0x20, 0), "{connack:02x?}");
        let told = properties(b"ok");
        assert!(connack.windows(told.len()).any(|part| part == told), "{connack:02x?}");
        right.write_all(&[0xC0, 0]).await.unwrap();
        assert_eq!(next(&mut right).await, [0xD0, 0]);
    };
    tokio::time::timeout(WITHIN, exchange).await.expect("not within the time");
    drop(stop);
    let ended = tokio::time::timeout(WITHIN, running.join_next()).await.expect("it stops");
    ended.unwrap().unwrap().unwrap();
}
