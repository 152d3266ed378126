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
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::budget::Share;
use super::frame_reader::{FrameReader, FrameStart};
use crate::api::{self, Api};
use crate::broker::Broker;
use crate::quota::{Kind, Mute, timed};
use crate::request::{Answer, Client, Permit, RequestContext, RequestError};
use crate::response::ResponseFrame;

/// How long answers under way may take when the broker stops.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);
/// Pieces given to the socket in one call.
const SLICES_MAX: usize = 32;

/// How often a send that makes no progress looks whether others wait for memory.
const SEND_CHECK: Duration = Duration::from_secs(1);
/// While they do, a reader has a second more for each of so many bytes.
const READER_BYTES_PER_SECOND_MIN: usize = 256 << 10;

/// Why the reading half ended without an error.
enum Ended {
    PeerClosed,
    Stopping,
}

/// An answer that waits to be sent, with the memory that it and its making take.
struct Queued {
    answer: Answer,
    _decoded: Share,
    counted: Option<Counted>,
}

/// Against whose quota an answer counts, and what it is an answer to.
struct Counted {
    context: RequestContext,
    api: &'static Api,
    /// How long to hold the client off for the request.
    wait: Duration,
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
    let (socket, sink) = stream.into_split();
    converse(broker, peer, socket, sink, stopping).await;
}

/// The same, for the two halves of any stream.
pub(crate) async fn converse(
    broker: Arc<Broker>,
    peer: SocketAddr,
    socket: impl AsyncRead + Unpin,
    sink: impl AsyncWrite + Unpin,
    stopping: watch::Receiver<bool>,
) {
    let memory = broker.memory.of_connection();
    let principal = Principal::anonymous();
    let client = Arc::new(Client { peer, principal, memory, mute: Mute::default() });
    let (queue, answers) = mpsc::channel(broker.limits.requests_in_flight.max(1));
    let sender = Sender { broker: broker.clone(), sink };
    let mut starting = std::pin::pin!(start_requests(broker, client, socket, queue, stopping));
    let mut answering = std::pin::pin!(sender.run(answers));
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
    socket: impl AsyncRead + Unpin,
    queue: mpsc::Sender<Queued>,
    mut stopping: watch::Receiver<bool>,
) -> Result<Ended, RequestError> {
    let mut frames = FrameReader::new(socket, broker.env.clock.clone(), &broker.limits);
    loop {
        let Ok(slot) = queue.reserve().await else { return Ok(Ended::PeerClosed) };
        let start = tokio::select! {
            start = frames.start() => start?,
            _ = stopping.wait_for(|stop| *stop) => return Ok(Ended::Stopping),
        };
        let Some(start) = start else { return Ok(Ended::PeerClosed) };
        check_length(&broker, start)?;
        while let Some(wait) = client.mute.left(&*broker.env.clock) {
            tokio::select! {
                () = frames.pause(wait) => {}
                _ = stopping.wait_for(|stop| *stop) => return Ok(Ended::Stopping),
            }
        }
        let own = client.memory.requests.acquire(start.length).await;
        let (frame, share) = frames.body(start.length, &broker.memory).await?;
        let queued = start_request(&broker, &client, frame, Permit::new(own, share)).await?;
        if !matches!(queued.answer, Answer::None) {
            slot.send(charge(&broker, &client, queued).await);
        }
    }
}

/// An answer that is ready takes its room before it is queued, unless it has some.
async fn charge(broker: &Broker, client: &Client, mut queued: Queued) -> Queued {
    queued.answer = match queued.answer {
        Answer::Now(frame) if !frame.has_room() => {
            let room = client.memory.answer(&broker.memory, frame.len()).await;
            Answer::Now(frame.in_room(room))
        }
        answer => answer,
    };
    queued
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
) -> Result<Queued, RequestError> {
    let length = frame.len();
    let (header, body) = crate::request::parse_header(frame)?;
    let Some(api) = api::find(header.api_key) else {
        return Err(RequestError::UnknownApi { key: header.api_key });
    };
    if !api.serves(header.api_version) {
        if api.key == api::API_VERSIONS {
            let answer = crate::handlers::api_versions::unsupported(header.correlation_id)?;
            return Ok(Queued { answer, _decoded: Share::none(), counted: None });
        }
        return Err(RequestError::UnsupportedVersion { api, version: header.api_version });
    }
    let checked = crate::guard::check(
        api.schema()?,
        header.api_version,
        &body,
        broker.limits.request_elements,
    )
    .map_err(|error| RequestError::Guard {
        api: api.name,
        version: header.api_version,
        error,
    })?;
    let decoded = broker.memory.decoded(checked.elements).await;
    let context = RequestContext::new(broker.clone(), client.clone(), header, permit);
    if !broker.quotas.are_set() {
        let answer = (api.start)(context, body).await?;
        return Ok(Queued { answer, _decoded: decoded, counted: None });
    }
    let clock = &broker.env.clock;
    let wait = match api.key {
        api::PRODUCE => context.count(Kind::Produce, length as f64),
        _ => Duration::ZERO,
    };
    let (answer, busy) = timed(&**clock, (api.start)(context.clone(), body)).await;
    let wait = wait.max(context.count(Kind::Request, busy.as_secs_f64()));
    client.mute.extend(&**clock, wait);
    let counted = Some(Counted { context: context.without_request(), api, wait });
    Ok(Queued { answer: answer?, _decoded: decoded, counted })
}

/// Sends the answers in order, each when it is ready.
struct Sender<S> {
    broker: Arc<Broker>,
    sink: S,
}

impl<S: AsyncWrite + Unpin> Sender<S> {
    async fn run(mut self, mut answers: mpsc::Receiver<Queued>) -> Result<(), RequestError> {
        while let Some(queued) = answers.recv().await {
            let frame = match (queued.answer, queued.counted) {
                (Answer::None, _) => continue,
                (Answer::Now(frame), None) => frame,
                (Answer::Later(frame), None) => frame.await?,
                (Answer::Now(frame), Some(counted)) => self.hold_off(frame, &counted),
                (Answer::Later(frame), Some(mut counted)) => {
                    let (frame, busy) = timed(&*self.broker.env.clock, frame).await;
                    let wait = counted.context.count(Kind::Request, busy.as_secs_f64());
                    counted.wait = counted.wait.max(wait);
                    self.hold_off(frame?, &counted)
                }
            };
            self.send(frame).await?;
        }
        Ok(())
    }

    /// Tells a client how long to wait, and listens to it no sooner.
    fn hold_off(&self, frame: ResponseFrame, counted: &Counted) -> ResponseFrame {
        let mut frame = frame.throttled(counted.wait);
        let wait = frame.throttle();
        if !wait.is_zero() {
            counted.context.client.mute.extend(&*self.broker.env.clock, wait);
            frame.tell_throttle(counted.api, counted.context.version());
        }
        frame
    }

    async fn send(&mut self, frame: ResponseFrame) -> Result<(), RequestError> {
        let (mut pieces, _shares) = frame.into_pieces();
        let began_ns = self.broker.env.clock.monotonic_ns();
        let mut sent = 0;
        while !pieces.is_empty() {
            let mut written = {
                let slices: Vec<IoSlice<'_>> =
                    pieces.iter().take(SLICES_MAX).map(|piece| IoSlice::new(piece)).collect();
                self.write(&slices, began_ns, sent).await?
            };
            if written == 0 {
                return Err(RequestError::Io(std::io::ErrorKind::WriteZero.into()));
            }
            sent += written;
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

    /// Writes some. A peer may pause for long, as one does that works on what it got;
    /// but not while others wait for the memory.
    async fn write(
        &mut self,
        slices: &[IoSlice<'_>],
        began_ns: u64,
        sent: usize,
    ) -> Result<usize, RequestError> {
        let limits = &self.broker.limits;
        let clock = &self.broker.env.clock;
        let since = |then_ns| Duration::from_nanos(clock.monotonic_ns().saturating_sub(then_ns));
        let asked_ns = clock.monotonic_ns();
        let bonus = Duration::from_secs((sent / READER_BYTES_PER_SECOND_MIN) as u64);
        loop {
            match timeout(SEND_CHECK, self.sink.write_vectored(slices)).await {
                Ok(written) => return Ok(written?),
                Err(_) if since(asked_ns) >= limits.idle_timeout => {
                    return Err(RequestError::Stalled);
                }
                Err(_) if since(began_ns) >= limits.reader_timeout + bonus => {
                    if self.broker.memory.is_wanted() {
                        return Err(RequestError::Stalled);
                    }
                }
                Err(_) => {}
            }
        }
    }
}
