//! A request between the socket and its handler.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};
use thalweg_core::authorizer::{Operation, Principal, Resource};

use crate::api::Api;
use crate::broker::Broker;
use crate::guard::GuardError;
use crate::net::budget::Share;
use crate::net::memory::{ConnectionMemory, RequestShare};
use crate::quota::{Kind, Mute};
use crate::response::{ResponseFrame, ResponseHead};

/// Why a connection is closed instead of an answer being sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the peer stopped sending or reading in the middle of a message")]
    Stalled,
    #[error(
        "request of {length} bytes, but at most {limit} are taken; \
         does the client speak the Kafka protocol, without TLS?"
    )]
    FrameTooLarge { length: usize, limit: usize },
    #[error("malformed request: {0}")]
    Malformed(String),
    #[error("malformed {api} request, version {version}: {error}")]
    Guard { api: &'static str, version: i16, error: GuardError },
    #[error("unknown or unsupported API key {key}{}", unsupported_hint(.key))]
    UnknownApi { key: i16 },
    #[error(
        "{} version {version} is not supported, only {} to {}",
        .api.name, .api.served_since, .api.max_version
    )]
    UnsupportedVersion { api: &'static Api, version: i16 },
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error("cannot encode the response: {0}")]
    Encode(String),
    #[error("a produce request with acks=0 failed: {0}")]
    UnacknowledgedProduce(String),
    #[error("the broker is stopping")]
    Stopping,
}

fn unsupported_hint(key: &i16) -> &'static str {
    match key {
        17 | 36 => " (SASL is not set up; use security.protocol=PLAINTEXT)",
        _ => "",
    }
}

/// Request header, versions 1 and 2.
#[derive(Clone, Debug)]
pub(crate) struct RequestHeader {
    pub(crate) api_key: i16,
    pub(crate) api_version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<Arc<str>>,
}

/// Takes the header off a frame, by hand: it is the first thing that a stranger sends.
///
/// # Errors
/// The bytes are no header.
pub(crate) fn parse_header(mut frame: Bytes) -> Result<(RequestHeader, Bytes), RequestError> {
    let truncated = |_| RequestError::Malformed("truncated request header".into());
    let api_key = frame.try_get_i16().map_err(truncated)?;
    let api_version = frame.try_get_i16().map_err(truncated)?;
    let correlation_id = frame.try_get_i32().map_err(truncated)?;
    let mut header = RequestHeader { api_key, api_version, correlation_id, client_id: None };
    // The rest of a header of an unknown version may be of any form.
    let Some(api) = crate::api::find(api_key).filter(|api| api.serves(api_version)) else {
        return Ok((header, frame));
    };
    let length = frame.try_get_i16().map_err(truncated)?;
    if length >= 0 {
        let length = length as usize;
        if frame.len() < length {
            return Err(RequestError::Malformed("truncated client id".into()));
        }
        let client_id = frame.split_to(length);
        header.client_id = Some(String::from_utf8_lossy(&client_id).into());
    }
    if api.is_flexible(api_version) {
        skip_tagged_fields(&mut frame)?;
    }
    Ok((header, frame))
}

/// Tagged fields of the header: none are known, few are allowed.
fn skip_tagged_fields(frame: &mut Bytes) -> Result<(), RequestError> {
    const TAGS_MAX: u32 = 64;
    let malformed = || RequestError::Malformed("malformed tagged fields in the header".into());
    let count = varint(frame).filter(|count| *count <= TAGS_MAX).ok_or_else(malformed)?;
    for _ in 0..count {
        let _tag = varint(frame).ok_or_else(malformed)?;
        let size = varint(frame).ok_or_else(malformed)? as usize;
        if frame.len() < size {
            return Err(malformed());
        }
        frame.advance(size);
    }
    Ok(())
}

fn varint(frame: &mut Bytes) -> Option<u32> {
    let mut value = 0_u32;
    for shift in (0..35).step_by(7) {
        let byte = frame.try_get_u8().ok()?;
        value |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Who is at the other end of a connection, and what may be held for it.
pub(crate) struct Client {
    pub(crate) peer: SocketAddr,
    pub(crate) principal: Principal,
    pub(crate) memory: ConnectionMemory,
    /// Until when nothing is read from the connection.
    pub(crate) mute: Mute,
}

/// A request's share of the memory for requests, of its connection's and of all, held
/// by whatever holds its bytes.
#[derive(Clone)]
pub(crate) struct Permit {
    _shares: Arc<(Share, RequestShare)>,
}

impl Permit {
    pub(crate) fn new(of_connection: Share, of_all: RequestShare) -> Self {
        Self { _shares: Arc::new((of_connection, of_all)) }
    }
}

/// Room for an answer, see [`RequestContext::room`].
pub(crate) struct Room(Vec<Share>);

/// More was asked for than one answer may hold.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer would be larger than {limit} bytes; ask for less at a time")]
pub(crate) struct TooLarge {
    limit: usize,
}

/// What a handler needs to know besides the request.
#[derive(Clone)]
pub(crate) struct RequestContext {
    pub(crate) broker: Arc<Broker>,
    pub(crate) client: Arc<Client>,
    /// Name that the client gives itself; empty where it gives none.
    pub(crate) client_id: Arc<str>,
    /// What the answer must begin with.
    pub(crate) head: ResponseHead,
    permit: Option<Permit>,
}

impl RequestContext {
    pub(crate) fn new(
        broker: Arc<Broker>,
        client: Arc<Client>,
        header: RequestHeader,
        permit: Permit,
    ) -> Self {
        let head =
            ResponseHead { correlation_id: header.correlation_id, version: header.api_version };
        let client_id = header.client_id.unwrap_or_else(|| "".into());
        Self { broker, client, client_id, head, permit: Some(permit) }
    }

    /// The same, for when the request's bytes are not needed any more.
    pub(crate) fn without_request(self) -> Self {
        Self { permit: None, ..self }
    }

    /// Version of the request and of its answer.
    pub(crate) fn version(&self) -> i16 {
        self.head.version
    }

    /// Whether the client may do this.
    pub(crate) fn allows(&self, operation: Operation, resource: Resource<'_>) -> bool {
        self.broker.authorizer.authorize(&self.client.principal, operation, resource)
    }

    /// The operations that the client may do, as a bit field of ACL operation codes.
    pub(crate) fn allowed_operations(
        &self,
        operations: &[Operation],
        resource: Resource<'_>,
    ) -> i32 {
        let allowed = operations.iter().filter(|operation| self.allows(**operation, resource));
        allowed.fold(0, |bits, operation| bits | 1 << (*operation as u8))
    }

    /// Counts what the client uses against its quota; gives how long it should wait.
    pub(crate) fn count(&self, kind: Kind, amount: f64) -> Duration {
        self.broker.quotas.count(kind, self.client.principal.name(), &self.client_id, amount)
    }

    /// An answer that is ready.
    pub(crate) fn answer<R: Encodable + HeaderVersion>(
        &self,
        response: &R,
    ) -> Result<Answer, RequestError> {
        Ok(Answer::Now(self.head.encode(response)?))
    }

    /// Waits for room for an answer of about so many bytes that does not follow from the
    /// size of the request. To be taken before anything of that size is put together.
    ///
    /// # Errors
    /// No answer may be so large.
    pub(crate) async fn room(&self, bytes: usize) -> Result<Room, TooLarge> {
        let memory = &self.broker.memory;
        if bytes > memory.answer_bytes_max() {
            return Err(TooLarge { limit: memory.answer_bytes_max() });
        }
        Ok(Room(self.client.memory.answer(memory, bytes).await))
    }

    /// An answer that is ready, for which there is room.
    pub(crate) fn answer_in<R: Encodable + HeaderVersion>(
        &self,
        room: Room,
        response: &R,
    ) -> Result<Answer, RequestError> {
        let frame = self.head.encode(response)?;
        let mut shares = room.0;
        shares.iter_mut().for_each(|share| share.shrink(frame.len()));
        Ok(Answer::Now(frame.in_room(shares)))
    }

    /// An answer that is not ready yet and may hold on to the request's bytes.
    pub(crate) fn later(
        &self,
        frame: impl Future<Output = Result<ResponseFrame, RequestError>> + Send + 'static,
    ) -> Answer {
        let permit = self.permit.clone();
        Answer::Later(Box::pin(async move {
            let frame = frame.await;
            drop(permit);
            frame
        }))
    }
}

/// A frame to be sent when it is ready.
pub(crate) type LaterFrame =
    Pin<Box<dyn Future<Output = Result<ResponseFrame, RequestError>> + Send>>;

/// What a handler gives back.
pub(crate) enum Answer {
    /// Nothing is sent.
    None,
    /// Sent as soon as the earlier answers are.
    Now(ResponseFrame),
    /// Sent when it is ready and the earlier answers are sent.
    Later(LaterFrame),
}

impl Answer {
    /// An answer that is not ready yet and holds nothing of the request.
    pub(crate) fn later_without_request(
        frame: impl Future<Output = Result<ResponseFrame, RequestError>> + Send + 'static,
    ) -> Self {
        Self::Later(Box::pin(frame))
    }
}

/// Decodes a request that passed the guard.
///
/// # Errors
/// The codec finds something else wrong, such as text that is not UTF-8.
pub(crate) fn decode<R: Decodable>(mut body: Bytes, version: i16) -> Result<R, RequestError> {
    R::decode(&mut body, version).map_err(|error| RequestError::Malformed(error.to_string()))
}
