//! A server for one test: accepts on loopback and hands every connection to a function of the test.

#![allow(clippy::unwrap_used)]

use std::{future::Future, net::SocketAddr};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Ends with the test, and its connections with it.
pub(crate) struct InTestServer {
    pub(crate) address: SocketAddr,
    tasks: JoinSet<()>,
}

impl InTestServer {
    /// Stops listening and drops all connections.
    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Starts one.
pub(crate) async fn serve<F, Connection>(handle: F) -> InTestServer
where
    F: Fn(TcpStream) -> Connection + Send + 'static,
    Connection: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(handle(stream));
        }
    });
    InTestServer { address, tasks }
}
