//! Where a test happens: two addresses of a broker, a version, and names nobody else uses.

use crate::bytes::{Connect, Version};
use crate::client::Client;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The place of one run of one test.
#[derive(Clone, Debug)]
pub struct World {
    /// Where client A connects.
    pub a: SocketAddr,
    /// Where client B connects: the same node, or another.
    pub b: SocketAddr,
    /// The version spoken.
    pub version: Version,
    /// How long an answer may take.
    pub patience: Duration,
    name: String,
}

impl World {
    /// A place with names of its own.
    #[must_use]
    pub fn new(a: SocketAddr, b: SocketAddr, version: Version, patience: Duration) -> Self {
        let name = format!("c{}n{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        World { a, b, version, patience, name }
    }

    /// A topic or client id that only this run uses.
    #[must_use]
    pub fn name(&self, rest: &str) -> String {
        format!("{}{rest}", self.name)
    }

    /// A clean CONNECT.
    #[must_use]
    pub fn connect(&self, id: &str) -> Connect {
        Connect::new(self.version, &self.name(id))
    }

    /// A TCP connection at A on which nothing was sent yet.
    ///
    /// # Errors
    /// A sentence, when there is none.
    pub fn open(&self) -> Result<Client, String> {
        Client::open(self.a, self.version, self.patience)
    }

    /// A TCP connection at B.
    ///
    /// # Errors
    /// A sentence, when there is none.
    pub fn open_b(&self) -> Result<Client, String> {
        Client::open(self.b, self.version, self.patience)
    }

    /// Client A, connected.
    ///
    /// # Errors
    /// A sentence, when it is not.
    pub fn client_a(&self) -> Result<Client, String> {
        let mut client = self.open()?;
        client.introduce(&self.connect("A"))?;
        Ok(client)
    }

    /// Client B, connected and subscribed.
    ///
    /// # Errors
    /// A sentence, when it is not.
    pub fn subscriber(&self, filter: &str, options: u8) -> Result<Client, String> {
        let mut client = self.open_b()?;
        client.introduce(&self.connect("B"))?;
        client.subscribe(filter, options)?;
        Ok(client)
    }
}
