//! Opening and closing the HTTP door.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::authorizer::Authorizer;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::listener::BoundedListener;
use super::routes::router;
use super::source::{MetricsSource, OverviewSource};

/// Most clients at a time.
const CLIENTS: usize = 256;
/// How long a request may still take when the door closes.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// What the door shows, and to whom.
#[derive(Clone)]
pub struct HttpState {
    /// The numbers.
    pub metrics: Arc<dyn MetricsSource>,
    /// What runs here.
    pub overview: Arc<dyn OverviewSource>,
    /// Decides who may see it.
    pub authorizer: Arc<dyn Authorizer>,
}

/// The state as the handlers have it.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) state: HttpState,
    /// Whether the door can be reached from this machine only.
    pub(super) is_loopback: bool,
}

/// Opens HTTP doors.
#[derive(Clone, Copy, Debug)]
pub struct HttpServer;

/// An open HTTP door. Dropping it closes the door without waiting.
pub struct HttpHandle {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl HttpServer {
    /// Opens the door on a listener in non-blocking mode
    /// ([`thalweg_core::env::bind_listener`]). Runs on the tokio runtime of the caller.
    ///
    /// # Errors
    /// The listener cannot be used.
    pub fn start(listener: std::net::TcpListener, state: HttpState) -> io::Result<HttpHandle> {
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let (stop, mut stopped) = watch::channel(false);
        let routes = router(Shared { state, is_loopback: address.ip().is_loopback() });
        let listener = BoundedListener { listener, room: Arc::new(Semaphore::new(CLIENTS)) };
        let task = tokio::spawn(async move {
            let mut closing = stopped.clone();
            let until = async move {
                // An error means that the handle was dropped.
                let _ = stopped.wait_for(|stops| *stops).await;
            };
            let serving = axum::serve(listener, routes).with_graceful_shutdown(until);
            let late = async move {
                let _ = closing.wait_for(|stops| *stops).await;
                tokio::time::sleep(CLOSING_TIME).await;
            };
            tokio::select! {
                // It has no errors of its own: those of accepting are waited out.
                _ = serving => {}
                () = late => {}
            }
        });
        Ok(HttpHandle { address, stop, task })
    }
}

impl HttpHandle {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Closes the door; requests under way are answered, if they do not take too long.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        // A panic in a handler has been logged by then, and is no reason to stay.
        let _ = self.task.await;
    }
}

impl std::fmt::Debug for HttpHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpHandle({})", self.address)
    }
}
