//! A broken broker: a node behind a relay that spoils exactly one behaviour.

use crate::breakage::{Breakage, Fate, Spoiler};
use crate::bytes::{Version, kind, read_variable};
use crate::client::Packet;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long the relay waits for the node.
const DIAL_WITHIN: Duration = Duration::from_secs(5);

/// The relay. Dropping it ends its connections.
pub struct Proxy {
    /// Where clients connect.
    pub address: SocketAddr,
    ended: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Link {
    breakage: Breakage,
    is_v5: Arc<AtomicBool>,
}

impl Link {
    fn version(&self) -> Version {
        if self.is_v5.load(Ordering::SeqCst) { Version::V5 } else { Version::V311 }
    }
}

impl Proxy {
    /// Listens on loopback in front of this node.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(node: SocketAddr, breakage: Breakage) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let open = Arc::new(Mutex::new(Vec::new()));
        let (told, opened) = (Arc::clone(&ended), Arc::clone(&open));
        let accepting = thread::spawn(move || {
            let mut relays = Vec::new();
            for client in listener.incoming().flatten() {
                if told.load(Ordering::SeqCst) {
                    break;
                }
                if let Ok(threads) = relay(client, node, breakage, &opened) {
                    relays.extend(threads);
                }
            }
            for thread in relays {
                drop(thread.join());
            }
        });
        Ok(Proxy { address, ended, open, accepting: Some(accepting) })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            drop(stream.shutdown(Shutdown::Both));
        }
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn relay(
    client: TcpStream,
    node: SocketAddr,
    breakage: Breakage,
    open: &Mutex<Vec<TcpStream>>,
) -> io::Result<[JoinHandle<()>; 2]> {
    let broker = TcpStream::connect_timeout(&node, DIAL_WITHIN)?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    open.lock().unwrap_or_else(PoisonError::into_inner).extend([client.try_clone()?, broker.try_clone()?]);
    let link = Link { breakage, is_v5: Arc::new(AtomicBool::new(false)) };
    let (client_end, broker_end, other_link) = (client.try_clone()?, broker.try_clone()?, link.clone());
    Ok([
        thread::spawn(move || to_broker(client, broker, &link)),
        thread::spawn(move || to_client(broker_end, client_end, &other_link)),
    ])
}

/// Until either side ends. Errors are endings.
fn to_broker(mut client: TcpStream, mut broker: TcpStream, link: &Link) {
    let mut spoiler = Spoiler::default();
    let mut unread = Vec::new();
    while read_more(&mut client, &mut unread) {
        while let Some(asked) = take(&mut unread) {
            if asked.kind() == kind::CONNECT && asked.body.get(6) == Some(&5) {
                link.is_v5.store(true, Ordering::SeqCst);
            }
            match spoiler.for_broker(link.breakage, link.version(), asked) {
                Fate::On(bytes) => drop(broker.write_all(&bytes)),
                Fate::Answered(bytes) => drop(client.write_all(&bytes)),
                Fate::Closed => drop(client.shutdown(Shutdown::Both)),
            }
        }
        // What is no packet goes on as it is.
        if unread.len() > 5 && read_variable(&unread[1..]).is_none() {
            drop(broker.write_all(&unread));
            unread.clear();
        }
    }
    drop(broker.write_all(&unread));
    drop(broker.shutdown(Shutdown::Write));
}

fn to_client(mut broker: TcpStream, mut client: TcpStream, link: &Link) {
    let mut spoiler = Spoiler::default();
    let mut unread = Vec::new();
    while read_more(&mut broker, &mut unread) {
        while let Some(sent) = take(&mut unread) {
            match spoiler.for_client(link.breakage, link.version(), sent) {
                Fate::On(bytes) | Fate::Answered(bytes) => drop(client.write_all(&bytes)),
                Fate::Closed => drop(client.shutdown(Shutdown::Both)),
            }
        }
    }
    if !matches!(link.breakage, Breakage::NeverCloses | Breakage::Accepts) {
        drop(client.shutdown(Shutdown::Both));
    }
}

fn read_more(from: &mut TcpStream, unread: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 4_096];
    match from.read(&mut bytes) {
        Ok(count @ 1..) => {
            unread.extend(&bytes[..count]);
            true
        }
        _ => false,
    }
}

fn take(unread: &mut Vec<u8>) -> Option<Packet> {
    let (length, used) = read_variable(unread.get(1..)?)?;
    let end = 1 + used + length;
    if unread.len() < end {
        return None;
    }
    let packet = Packet { first: unread[0], body: unread[1 + used..end].to_vec() };
    unread.drain(..end);
    Some(packet)
}
