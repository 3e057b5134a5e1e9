//! Questions to the nodes' HTTP ports, and waiting until all of them answer.

use super::{PASSWORD, USERNAME, node_process::NodeProcess, verdict::Seen};
use crate::{
    failure::Failure,
    http::{HttpConnection, basic, encode_segment},
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};

/// How long one question may take.
const QUESTION_MAX: Duration = Duration::from_secs(3);
/// Pause between two rounds of questions.
pub(super) const ROUND_EVERY: Duration = Duration::from_millis(50);
/// An id nobody uses: asking for it shows whether a node can answer at all.
const NOBODY: &str = "nobody";

/// Asks one node about one client.
pub(super) async fn ask(port: u16, id: &str) -> Seen {
    let deadline = Instant::now() + QUESTION_MAX;
    let request = format!(
        "GET /client-id/{}/status HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: {}\r\nConnection: close\r\n\r\n",
        encode_segment(id),
        basic(USERNAME, PASSWORD)
    );
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut connection = match HttpConnection::open(address, deadline).await {
        Ok(connection) => connection,
        Err(error) => return Seen::Unknown(error.to_string()),
    };
    match connection.exchange(request.as_bytes(), deadline).await {
        Ok(response) => match (response.status, response.body) {
            (200, b"{\"online\":true}") => {
                Seen::Online { node: response.header("Rollcall-Node").unwrap_or_default().to_owned() }
            }
            (200, b"{\"online\":false}") => Seen::Offline,
            (200, body) => Seen::Unknown(format!("200 {}", String::from_utf8_lossy(body))),
            (status, _) => Seen::Unknown(status.to_string()),
        },
        Err(error) => Seen::Unknown(error.to_string()),
    }
}

/// Waits until every node answers a question with 200.
pub(super) async fn wait_until_all_answer(nodes: &mut [NodeProcess], longest: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + longest;
    let mut rounds = interval(ROUND_EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let mut silent = None;
        for node in nodes.iter_mut() {
            node.check()?;
            if let Seen::Unknown(why) = ask(node.ports().http, NOBODY).await {
                silent = Some(format!("node {} does not answer: {why}", node.name()));
            }
        }
        match silent {
            None => return Ok(()),
            Some(why) if Instant::now() >= deadline => {
                return Err(Failure::new(format!("after {} s {why}", longest.as_secs())));
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Seen, ask};
    use crate::in_test_server::serve;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn seen(answer: &'static str) -> Seen {
        let server = serve(move |mut stream| async move {
            let mut request = [0; 1_024];
            let length = stream.read(&mut request).await.unwrap();
            let request = std::str::from_utf8(&request[..length]).unwrap();
            assert!(request.starts_with("GET /client-id/a%2Fb/status HTTP/1.1\r\n"), "{request}");
            assert!(request.contains("\r\nAuthorization: Basic dXNlcjA6c2VjcmV0MA==\r\n"), "{request}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        ask(server.address.port(), "a/b").await
    }

    #[tokio::test]
    async fn only_the_exact_bytes_are_an_answer() {
        assert_eq!(
            seen("HTTP/1.1 200 OK\r\nRollcall-Node: n2\r\nContent-Length: 15\r\n\r\n{\"online\":true}").await,
            Seen::Online { node: "n2".to_owned() }
        );
        assert_eq!(seen("HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"online\":false}").await, Seen::Offline);
        for answer in [
            "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"online\": true}",
            "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"online\":",
        ] {
            assert!(matches!(seen(answer).await, Seen::Unknown(_)), "{answer}");
        }
    }
}
