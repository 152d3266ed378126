//! Fetch: record batches as they are in the log, now or as soon as there are some.
//!
//! Sessions (KIP-227) are never opened: the answer carries session id 0, and clients
//! then name every partition in every request.

mod collect;
mod encode;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

use self::collect::Fetch;
use crate::broker::{Broker, blocking};
use crate::error_code::{ErrorCode, NONE};
use crate::quota::Kind;
use crate::request::{Answer, RequestContext, RequestError};

/// Longest wait for records, whatever the client asks.
const WAIT_MS_MAX: i32 = 300_000;
/// Shortest wait for memory, whatever the client asks: asking again at once would not
/// free any.
const MEMORY_WAIT: Duration = Duration::from_secs(1);
/// How often a fetch that waits looks whether others wait for the memory it holds.
const WAIT_CHECK: Duration = Duration::from_secs(1);

pub(crate) async fn handle(
    context: RequestContext,
    request: FetchRequest,
) -> Result<Answer, RequestError> {
    if request.session_id != 0 {
        let code = ErrorCode::FetchSessionIdNotFound.code();
        return Ok(Answer::Now(encode::encode(context.head, code, Fetch::empty())?));
    }
    let wait_ms = request.max_wait_ms.clamp(0, WAIT_MS_MAX) as u64;
    // Runs from now on, not from when the answer is first asked for.
    let deadline = Box::pin(sleep(Duration::from_millis(wait_ms)));
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
    let wait = context.count(Kind::Fetch, 0.0);
    if !wait.is_zero() {
        // What it read before was too much: it gets nothing until that is made up for.
        let frame = encode::encode(context.head, NONE, Fetch::empty())?;
        return Ok(Answer::Now(frame.throttled(wait)));
    }
    let fetch = Fetch::resolve(&context, request);
    let held = context.clone();
    Ok(context.later(async move {
        let fetch = collect_until(&held.broker, fetch, min_bytes, deadline).await;
        let wait = held.count(Kind::Fetch, fetch.bytes() as f64);
        Ok(encode::encode(held.head, NONE, fetch)?.throttled(wait))
    }))
}

/// Reads, and reads on each time there is more, until there is enough to answer.
async fn collect_until(
    broker: &Broker,
    mut fetch: Fetch,
    min_bytes: usize,
    mut deadline: Pin<Box<Sleep>>,
) -> Fetch {
    let arrivals = Arc::new(Notify::new());
    let mut watches = Vec::new();
    loop {
        fetch = collect(fetch).await;
        if let Some(bytes) = fetch.take_wanted() {
            let patience = async { tokio::join!(&mut deadline, sleep(MEMORY_WAIT)) };
            tokio::select! {
                share = broker.memory.read(bytes) => fetch.grant(share),
                _ = patience => return fetch,
            }
            continue;
        }
        if fetch.has_error() || fetch.bytes() >= min_bytes || fetch.is_full() {
            return fetch;
        }
        fetch.advance();
        if watches.is_empty() {
            watches = fetch.watch(&arrivals);
            if watches.is_empty() {
                return fetch;
            }
            // Something may have come between the read and the watch.
            arrivals.notify_one();
        }
        if !wait(broker, &arrivals, &mut deadline).await {
            return collect(fetch).await;
        }
    }
}

/// Waits until there may be more to read; false where there is no more time for that.
async fn wait(broker: &Broker, arrivals: &Notify, deadline: &mut Pin<Box<Sleep>>) -> bool {
    loop {
        tokio::select! {
            () = arrivals.notified() => return true,
            () = &mut *deadline => return false,
            () = sleep(WAIT_CHECK) => {}
        }
        if broker.memory.is_wanted() {
            return false;
        }
    }
}

/// A reader at the end of the log finds its bytes in the page cache; one that lags may
/// wait for the disk, and does so where it holds nobody up.
async fn collect(mut fetch: Fetch) -> Fetch {
    if fetch.is_lagging() {
        blocking(move || {
            fetch.collect();
            fetch
        })
        .await
    } else {
        fetch.collect();
        fetch
    }
}
