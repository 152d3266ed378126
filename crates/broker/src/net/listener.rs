//! Accepts connections, up to a number in all and of each address.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection;
use super::places::NoPlace;
use crate::broker::Broker;

/// Pause after a failed accept: out of file descriptors does not heal at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `stopping`, then waits for the connections to end.
pub(crate) async fn run(
    broker: Arc<Broker>,
    listener: TcpListener,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a Kafka connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = match broker.places.take(peer.ip()) {
            Ok(place) => place,
            Err(reason) => {
                refuse(stream, peer, reason);
                continue;
            }
        };
        let served = connection::serve(broker.clone(), stream, peer, stopping.clone());
        connections.spawn(async move {
            served.await;
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The protocol has no words for this; the reason is in the log.
fn refuse(stream: TcpStream, peer: std::net::SocketAddr, reason: NoPlace) {
    drop(stream);
    tracing::warn!(%peer, %reason, "refused a connection");
}
