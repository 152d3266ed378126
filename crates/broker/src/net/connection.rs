//! One connection: requests are started in the order in which they arrive, and
//! answered in that order, but need not wait for each other in between.
//!
//! ```text
//!  socket -> frame -> guard -> handler starts it -> [queue] -> answer ready -> socket
//! ```
//!
//! So a producer may have many requests under way while the first of them waits for
//! the disk. Starting and answering are two loops of one task.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use thalweg_core::authorizer::Principal;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::budget::Budget;
use super::frame_reader::{FrameReader, FrameStart};
use crate::api;
use crate::broker::Broker;
use crate::request::{Answer, Client, Permit, RequestContext, RequestError};
use crate::response::ResponseFrame;

/// How long answers under way may take when the broker stops.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);
/// Pieces given to the socket in one call.
const SLICES_MAX: usize = 32;

/// Why the reading half ended without an error.
enum Ended {
    PeerClosed,
    Stopping,
}

/// Serves a connection until the peer closes it, breaks the protocol, or the broker
/// stops.
pub(super) async fn serve(
    broker: Arc<Broker>,
    stream: TcpStream,
    peer: SocketAddr,
    stopping: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot disable Nagle's algorithm");
    }
    let client = Arc::new(Client { peer, principal: Principal::anonymous() });
    let idle_timeout = broker.limits.idle_timeout;
    let (socket, mut sink) = stream.into_split();
    let (queue, answers) = mpsc::channel(broker.limits.requests_in_flight.max(1));
    let mut starting = std::pin::pin!(start_requests(broker, client, socket, queue, stopping));
    let mut answering = std::pin::pin!(send_answers(&mut sink, answers, idle_timeout));
    let outcome = tokio::select! {
        started = &mut starting => match started {
            Ok(Ended::PeerClosed) => Ok(()),
            Ok(Ended::Stopping) => match timeout(DRAIN_TIMEOUT, answering).await {
                Ok(sent) => sent,
                Err(_) => Ok(()),
            },
            Err(error) => Err(error),
        },
        sent = &mut answering => sent,
    };
    match outcome {
        Ok(()) => {}
        Err(RequestError::Io(error)) => tracing::debug!(%peer, %error, "connection lost"),
        Err(RequestError::Stalled) => tracing::debug!(%peer, "closing a stalled connection"),
        Err(error) => tracing::warn!(%peer, %error, "closing connection"),
    }
}

/// Reads requests and starts them, one after the other. The queue closes when this
/// returns, since it is dropped here.
async fn start_requests(
    broker: Arc<Broker>,
    client: Arc<Client>,
    socket: OwnedReadHalf,
    queue: mpsc::Sender<Answer>,
    mut stopping: watch::Receiver<bool>,
) -> Result<Ended, RequestError> {
    let own_budget = Budget::new(broker.limits.connection_bytes);
    let mut frames = FrameReader::new(socket, &broker.limits);
    loop {
        let Ok(slot) = queue.reserve().await else { return Ok(Ended::PeerClosed) };
        let start = tokio::select! {
            start = frames.start() => start?,
            _ = stopping.wait_for(|stop| *stop) => return Ok(Ended::Stopping),
        };
        let Some(start) = start else { return Ok(Ended::PeerClosed) };
        check_length(&broker, start)?;
        let of_connection = own_budget.acquire(start.length).await;
        let of_all = broker.request_budget.acquire(start.length).await;
        let frame = frames.body(start.length).await?;
        let permit = Permit::new(of_connection, of_all);
        let answer = start_request(&broker, &client, frame, permit).await?;
        if !matches!(answer, Answer::None) {
            slot.send(answer);
        }
    }
}

fn check_length(broker: &Broker, start: FrameStart) -> Result<(), RequestError> {
    let limit = match start.api_key {
        api::PRODUCE => broker.limits.frame_bytes,
        _ => broker.limits.control_frame_bytes.min(broker.limits.frame_bytes),
    };
    if start.length > limit {
        return Err(RequestError::FrameTooLarge { length: start.length, limit });
    }
    Ok(())
}

async fn start_request(
    broker: &Arc<Broker>,
    client: &Arc<Client>,
    frame: Bytes,
    permit: Permit,
) -> Result<Answer, RequestError> {
    let (header, body) = crate::request::parse_header(frame)?;
    let Some(api) = api::find(header.api_key) else {
        return Err(RequestError::UnknownApi { key: header.api_key });
    };
    if !api.serves(header.api_version) {
        if api.key == api::API_VERSIONS {
            return crate::handlers::api_versions::unsupported(header.correlation_id);
        }
        return Err(RequestError::UnsupportedVersion { api, version: header.api_version });
    }
    crate::guard::check(
        api.schema()?,
        header.api_version,
        &body,
        broker.limits.request_elements,
    )
    .map_err(|error| RequestError::Guard { api: api.name, version: header.api_version, error })?;
    let context = RequestContext::new(broker.clone(), client.clone(), header, permit);
    (api.start)(context, body).await
}

/// Sends the answers in order, each when it is ready.
async fn send_answers(
    sink: &mut (impl AsyncWrite + Unpin),
    mut answers: mpsc::Receiver<Answer>,
    patience: Duration,
) -> Result<(), RequestError> {
    while let Some(answer) = answers.recv().await {
        let frame = match answer {
            Answer::None => continue,
            Answer::Now(frame) => frame,
            Answer::Later(frame) => frame.await?,
        };
        send(sink, frame, patience).await?;
    }
    Ok(())
}

async fn send(
    sink: &mut (impl AsyncWrite + Unpin),
    frame: ResponseFrame,
    patience: Duration,
) -> Result<(), RequestError> {
    let (mut pieces, _share) = frame.into_pieces();
    while !pieces.is_empty() {
        let written = {
            let slices: Vec<IoSlice<'_>> =
                pieces.iter().take(SLICES_MAX).map(|piece| IoSlice::new(piece)).collect();
            timeout(patience, sink.write_vectored(&slices)).await
        };
        let mut written = written.map_err(|_| RequestError::Stalled)??;
        if written == 0 {
            return Err(RequestError::Io(std::io::ErrorKind::WriteZero.into()));
        }
        while let Some(first) = pieces.front_mut() {
            if written < first.len() {
                first.advance(written);
                break;
            }
            written -= first.len();
            pieces.pop_front();
        }
    }
    Ok(())
}
