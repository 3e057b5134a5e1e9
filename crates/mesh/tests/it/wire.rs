//! A wire between a dialler and a node that records, stalls, spoils or cuts what passes.

use rand::RngCore as _;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    Pass,
    /// Keeps all connections open and passes nothing.
    Stall,
    /// Passes other bytes in place of the real ones.
    Spoil,
    /// Closes all connections, accepts no new ones.
    Cut,
}

pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<u8>>>,
    mode: watch::Sender<Mode>,
    _tasks: JoinSet<()>,
}

impl Wire {
    pub(crate) async fn to(target: SocketAddr) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mode = watch::Sender::new(Mode::Pass);
        let mut tasks = JoinSet::new();
        let (kept, changes) = (Arc::clone(&seen), mode.subscribe());
        tasks.spawn(async move {
            let mut pumps = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                if *changes.borrow() == Mode::Cut {
                    continue;
                }
                let Ok(far) = TcpStream::connect(target).await else { continue };
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                pumps.spawn(pump(near_in, far_out, Arc::clone(&kept), changes.clone()));
                pumps.spawn(pump(far_in, near_out, Arc::clone(&kept), changes.clone()));
            }
        });
        Wire { address, seen, mode, _tasks: tasks }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub(crate) fn has_seen(&self, part: &[u8]) -> bool {
        self.seen.lock().unwrap().windows(part.len()).any(|window| window == part)
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    seen: Arc<Mutex<Vec<u8>>>,
    mut mode: watch::Receiver<Mode>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = mode.wait_for(|m| *m == Mode::Cut) => return,
        };
        let Ok(count) = read else { return };
        if count == 0 {
            return;
        }
        let Ok(now) = mode.wait_for(|m| *m != Mode::Stall).await.map(|m| *m) else { return };
        match now {
            Mode::Cut => return,
            Mode::Spoil => rand::rng().fill_bytes(&mut buffer[..count]),
            Mode::Pass | Mode::Stall => {}
        }
        seen.lock().unwrap().extend_from_slice(&buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
