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
use crate::broker::blocking;
use crate::error_code::{ErrorCode, NONE};
use crate::request::{Answer, RequestContext, RequestError};

/// Longest wait for records, whatever the client asks.
const WAIT_MS_MAX: i32 = 300_000;

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
    let fetch = Fetch::resolve(&context, request);
    let head = context.head;
    Ok(context.later(async move {
        let fetch = collect_until(fetch, min_bytes, deadline).await;
        encode::encode(head, NONE, fetch)
    }))
}

/// Reads, and reads on each time there is more, until there is enough to answer.
async fn collect_until(mut fetch: Fetch, min_bytes: usize, mut deadline: Pin<Box<Sleep>>) -> Fetch {
    let arrivals = Arc::new(Notify::new());
    let mut watches = Vec::new();
    loop {
        fetch = collect(fetch).await;
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
        tokio::select! {
            () = &mut deadline => return collect(fetch).await,
            () = arrivals.notified() => {}
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
