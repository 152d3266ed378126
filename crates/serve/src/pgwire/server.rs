//! The door itself: it listens, and lets in as many as there is room for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::authorizer::Authorizer;
use thalweg_core::env::{Env, Random};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::cancel::Cancellations;
use super::connection::{Shared, serve};
use super::service::SqlService;

/// How the door behaves.
#[derive(Clone)]
pub struct PgOptions {
    /// Its bounds.
    pub limits: PgLimits,
    /// For the keys of cancel requests.
    pub random: Arc<dyn Random>,
}

impl Default for PgOptions {
    fn default() -> Self {
        Self { limits: PgLimits::default(), random: Env::real().random }
    }
}

impl std::fmt::Debug for PgOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgOptions").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Bounds of the door.
#[derive(Clone, Copy, Debug)]
pub struct PgLimits {
    /// Most clients at a time.
    pub connections: usize,
    /// Longest message of a client.
    pub message_bytes: usize,
    /// Most prepared statements of a client.
    pub statements: usize,
    /// Most bytes of the texts of a client's prepared statements.
    pub statement_bytes: usize,
    /// Most open portals of a client.
    pub portals: usize,
    /// How long a client may take to begin.
    pub startup_timeout: Duration,
    /// How long a client may take nothing of what is sent to it.
    pub write_timeout: Duration,
}

impl Default for PgLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            message_bytes: 16 << 20,
            statements: 1024,
            statement_bytes: 16 << 20,
            portals: 256,
            startup_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(60),
        }
    }
}

/// Opens PostgreSQL doors.
#[derive(Clone, Copy, Debug)]
pub struct PgServer;

/// An open PostgreSQL door. Dropping it closes the door without waiting.
pub struct PgHandle {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// How many clients are told at a time that there is no room.
const REFUSED_AT_A_TIME: usize = 32;

impl PgServer {
    /// Opens the door on a listener in non-blocking mode
    /// ([`thalweg_core::env::bind_listener`]). Runs on the tokio runtime of the caller.
    ///
    /// # Errors
    /// The listener cannot be used.
    pub fn start(
        listener: std::net::TcpListener,
        service: Arc<dyn SqlService>,
        authorizer: Arc<dyn Authorizer>,
        options: PgOptions,
    ) -> io::Result<PgHandle> {
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let (stop, shutdown) = watch::channel(false);
        let cancellations = Cancellations::new(options.random);
        let limits = options.limits;
        let shared = Arc::new(Shared { service, authorizer, limits, cancellations, shutdown });
        let task = tokio::spawn(accept_all(listener, shared));
        Ok(PgHandle { address, stop, task })
    }
}

impl PgHandle {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Closes the door: statements are given up, clients are told, and when all have
    /// left it returns.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        // A panic in a connection has been logged by then, and is no reason to stay.
        let _ = self.task.await;
    }
}

impl std::fmt::Debug for PgHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PgHandle({})", self.address)
    }
}

async fn accept_all(listener: TcpListener, shared: Arc<Shared>) {
    let mut shutdown = shared.shutdown.clone();
    let room = Arc::new(Semaphore::new(shared.limits.connections));
    let waiting_room = Arc::new(Semaphore::new(REFUSED_AT_A_TIME));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = shutdown.wait_for(|stops| *stops) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                // Out of file descriptors, most likely: it will not be better at once.
                tracing::warn!(%error, "the PostgreSQL door cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let permit = Arc::clone(&room).try_acquire_owned();
        let has_room = permit.is_ok();
        let Ok(permit) = permit.or_else(|_| Arc::clone(&waiting_room).try_acquire_owned()) else {
            continue;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let _permit = permit;
            serve(socket, shared, has_room).await;
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
