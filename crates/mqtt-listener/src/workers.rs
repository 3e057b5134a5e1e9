//! The threads that serve connections: ntex's worker pool, which takes accepted sockets in turn.

use crate::serve::{Accepted, Shared, serve};
use ntex::{Service, ServiceCtx, ServiceFactory};
use ntex_server::{Server, ServerConfiguration, WorkerPool};
use tokio::sync::watch;

/// How long workers may go on with their connections when the pool stops. The broker closes them before.
const STOP_LIMIT_MS: u32 = 2000;

/// The running pool.
pub(crate) struct Workers {
    server: Server<Accepted>,
    ready: watch::Receiver<bool>,
}

impl Workers {
    /// Starts the pool. Must be called on a thread of an ntex system, which owns the pool's tasks.
    pub(crate) fn start(threads: usize, shared: Shared) -> Self {
        let (is_ready, ready) = watch::channel(false);
        let server = WorkerPool::new()
            .name("mqtt")
            .workers(threads.max(1))
            .disable_signals()
            .shutdown_timeout(ntex::time::Millis(STOP_LIMIT_MS))
            .run(Pool { shared, is_ready });
        Workers { server, ready }
    }

    /// Waits until a worker takes sockets.
    pub(crate) async fn ready(&mut self) {
        // An error means that the pool is gone; handing over will tell.
        drop(self.ready.wait_for(|ready| *ready).await);
    }

    /// Hands a socket over. False when no worker takes it; then it is closed.
    pub(crate) fn hand_over(&self, accepted: Accepted) -> bool {
        self.server.process(accepted).is_ok()
    }

    /// Stops the threads.
    pub(crate) async fn stop(&self) {
        self.server.stop(true).await;
    }
}

/// Makes the service of each worker thread.
#[derive(Clone)]
struct Pool {
    shared: Shared,
    is_ready: watch::Sender<bool>,
}

impl ServerConfiguration for Pool {
    type Item = Accepted;
    type Factory = Connections;

    async fn create(&self) -> Result<Connections, ()> {
        Ok(Connections { shared: self.shared.clone() })
    }

    fn paused(&self) {
        self.is_ready.send_replace(false);
    }

    fn resumed(&self) {
        self.is_ready.send_replace(true);
    }
}

/// Serves sockets on one worker.
#[derive(Clone)]
struct Connections {
    shared: Shared,
}

impl ServiceFactory<Accepted> for Connections {
    type Response = ();
    type Error = ();
    type Service = Connections;
    type InitError = ();

    async fn create(&self, (): ()) -> Result<Connections, ()> {
        Ok(self.clone())
    }
}

impl Service<Accepted> for Connections {
    type Response = ();
    type Error = ();

    async fn call(&self, accepted: Accepted, _: ServiceCtx<'_, Self>) -> Result<(), ()> {
        serve(accepted, self.shared.clone()).await;
        Ok(())
    }
}
