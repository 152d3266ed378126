//! The memory that clients can make the broker hold: who may have how much of it, and
//! who waits for whom.
//!
//! Nobody waits for a peer that sends or reads slowly:
//! - a small request is charged once it has arrived, from a pool of its own;
//! - a long one is charged as it arrives, and one at a time may go beyond the pool, so
//!   that not all of them wait for each other;
//! - small answers have their room in each connection, large ones and fetched records
//!   take a share before they are made;
//! - while somebody waits for memory, those who hold it must get on (see
//!   [`Memory::is_wanted`]).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::budget::{Budget, Share};
use crate::options::Limits;

/// Requests up to here are charged when they have arrived: each connection may hold so
/// much of one that has not.
pub(crate) const SMALL_REQUEST_BYTES: usize = 64 << 10;
/// What an element of a request's arrays takes, decoded and answered.
const ELEMENT_BYTES: usize = 256;
/// Answers up to here never wait for other connections.
const SMALL_ANSWER_BYTES: usize = 64 << 10;
/// Reads up to here have a pool of their own. A little more than the largest batch of a
/// topic with default settings.
const SMALL_READ_BYTES: usize = 1100 << 10;
/// Long requests are charged in steps, each as large as what has arrived, so that holding
/// memory costs a sender as much; but not in larger ones than this, so that nobody waits
/// behind one that wants much.
const STEP_BYTES_MAX: usize = 1 << 20;
/// One connection's part of the memory for large answers.
const ANSWER_PART: usize = 4;
/// Part of the memory for large reads that one batch may take.
const BATCH_PART: usize = 2;

/// All budgets of a broker.
///
/// Who holds some of one may wait for those further down, never for those above.
pub(crate) struct Memory {
    small_requests: Budget,
    large_requests: Budget,
    /// Held by the one request that may grow beyond the pool.
    reserve: Arc<Semaphore>,
    small_decoded: Budget,
    large_decoded: Budget,
    answers: Budget,
    small_reads: Budget,
    large_reads: Budget,
    connection_bytes: usize,
    frame_bytes: usize,
}

/// The budgets of one connection.
pub(crate) struct ConnectionMemory {
    /// Requests that are not answered yet.
    pub(crate) requests: Budget,
    /// Answers that are not sent yet, of the small kind.
    small_answers: Budget,
    large_answers: Budget,
}

impl Memory {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            small_requests: Budget::new(limits.request_bytes / 8),
            large_requests: Budget::new(limits.request_bytes / 2),
            reserve: Arc::new(Semaphore::new(1)),
            small_decoded: Budget::new(limits.request_bytes / 8),
            large_decoded: Budget::new(limits.request_bytes / 4),
            answers: Budget::new(limits.answer_bytes),
            small_reads: Budget::new(limits.fetch_bytes / 2),
            large_reads: Budget::new(limits.fetch_bytes / 2),
            connection_bytes: limits.connection_bytes,
            frame_bytes: limits.frame_bytes,
        }
    }

    /// The budgets of a new connection.
    pub(crate) fn of_connection(&self) -> ConnectionMemory {
        ConnectionMemory {
            requests: Budget::new(self.connection_bytes),
            small_answers: Budget::new(SMALL_ANSWER_BYTES),
            large_answers: Budget::new(self.answers.total_bytes() / ANSWER_PART),
        }
    }

    /// Waits for room for a small request.
    pub(crate) async fn small_request(&self, bytes: usize) -> Share {
        self.small_requests.acquire(bytes).await
    }

    /// Waits for room for what so many elements become when they are decoded.
    pub(crate) async fn decoded(&self, elements: usize) -> Share {
        match elements * ELEMENT_BYTES {
            bytes @ ..=SMALL_REQUEST_BYTES => self.small_decoded.acquire(bytes).await,
            bytes => self.large_decoded.acquire(bytes).await,
        }
    }

    /// Room for a long request, which grows as its bytes arrive.
    pub(crate) fn large_request(&self) -> Growing {
        Growing {
            pool: self.large_requests.clone(),
            reserve: self.reserve.clone(),
            share: Share::none(),
            beyond: None,
        }
    }

    /// Largest answer that can be given.
    pub(crate) fn answer_bytes_max(&self) -> usize {
        self.answers.total_bytes() / ANSWER_PART
    }

    /// Largest batch that a topic may be set to take: readers must get it, several at a
    /// time, and producers bring it in one request.
    pub(crate) fn batch_bytes_max(&self) -> usize {
        (self.large_reads.total_bytes() / BATCH_PART).min(self.frame_bytes)
    }

    /// Takes room for reading up to `wanted` bytes, or for `least`, without which nothing
    /// can be read; gives how much may be read, too.
    pub(crate) fn try_read(&self, wanted: usize, least: usize) -> Option<(usize, Share)> {
        let most = wanted.max(least);
        let take = |bytes: usize| {
            let small = (bytes <= SMALL_READ_BYTES).then_some(&self.small_reads);
            let pools = small.into_iter().chain([&self.large_reads]);
            pools.into_iter().find_map(|pool| pool.try_acquire(bytes))
        };
        match take(most) {
            Some(share) => Some((wanted, share)),
            None if most > least => take(least).map(|share| (wanted.min(least), share)),
            None => None,
        }
    }

    /// Whether what was read has room in the share taken for it. A share of a whole pool
    /// is enough for anything.
    pub(crate) fn read_fits(&self, bytes: usize, share: &Share) -> bool {
        bytes <= share.bytes() || share.bytes() >= self.large_reads.total_bytes()
    }

    /// Waits for room for a read of so many bytes.
    pub(crate) async fn read(&self, bytes: usize) -> Share {
        match bytes {
            ..=SMALL_READ_BYTES => self.small_reads.acquire(bytes).await,
            _ => self.large_reads.acquire(bytes).await,
        }
    }

    /// Whether somebody waits for memory that others hold. Then a peer that takes its
    /// answers slowly is let go, and a request that waits for records is answered.
    pub(crate) fn is_wanted(&self) -> bool {
        let pools = [
            &self.small_requests,
            &self.large_requests,
            &self.small_decoded,
            &self.large_decoded,
            &self.answers,
            &self.small_reads,
            &self.large_reads,
        ];
        pools.into_iter().any(Budget::is_wanted)
    }
}

impl ConnectionMemory {
    /// Waits for room for an answer of so many bytes: small ones for the connection's
    /// own earlier answers to be sent, large ones for those of other connections, too.
    pub(crate) async fn answer(&self, memory: &Memory, bytes: usize) -> Vec<Share> {
        if bytes <= SMALL_ANSWER_BYTES {
            return vec![self.small_answers.acquire(bytes).await];
        }
        let own = self.large_answers.acquire(bytes).await;
        vec![own, memory.answers.acquire(bytes).await]
    }
}

/// Room for a request that is still arriving.
pub(crate) struct Growing {
    pool: Budget,
    reserve: Arc<Semaphore>,
    share: Share,
    /// Held by the one that need not wait any more.
    beyond: Option<OwnedSemaphorePermit>,
}

/// Room that a request has.
pub(crate) struct RequestShare {
    _share: Share,
    _beyond: Option<OwnedSemaphorePermit>,
}

impl Growing {
    /// Waits for room for the next bytes of a request that has `arrived` bytes of
    /// `length`; gives up to where it may go on.
    pub(crate) async fn grow(&mut self, arrived: usize, length: usize) -> usize {
        let charged = self.share.bytes();
        if self.beyond.is_some() {
            return length;
        }
        if charged > arrived {
            return charged.min(length);
        }
        let step = arrived.clamp(SMALL_REQUEST_BYTES, STEP_BYTES_MAX).min(length - charged);
        tokio::select! {
            biased;
            more = self.pool.acquire(step) => self.share.add(more),
            beyond = self.reserve.clone().acquire_owned() => self.beyond = beyond.ok(),
        }
        if self.beyond.is_some() { length } else { self.share.bytes().min(length) }
    }

    /// What to hold as long as the request's bytes are.
    pub(crate) fn finish(self) -> RequestShare {
        RequestShare { _share: self.share, _beyond: self.beyond }
    }
}

impl From<Share> for RequestShare {
    fn from(share: Share) -> Self {
        Self { _share: share, _beyond: None }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn memory() -> Memory {
        Memory::new(&Limits {
            request_bytes: 8 << 20,
            fetch_bytes: 8 << 20,
            answer_bytes: 8 << 20,
            ..Limits::default()
        })
    }

    /// Two that together want more than there is both get on, one after the other.
    #[tokio::test]
    async fn long_requests_do_not_wait_for_each_other() {
        let memory = memory();
        let length = 6 << 20;
        let (mut one, mut two) = (memory.large_request(), memory.large_request());
        let (mut a, mut b) = (0, 0);
        while a.max(b) < length {
            a = one.grow(a, length).await;
            if let Ok(more) = timeout(SOON, two.grow(b, length)).await {
                b = more;
            }
        }
        assert!(a.min(b) < length, "the pool does not hold both");
        let (slow, done) = if a < length { (&mut one, two) } else { (&mut two, one) };
        drop(done);
        let mut at = a.min(b);
        while at < length {
            at = timeout(SOON, slow.grow(at, length)).await.expect("its turn");
        }
    }

    #[tokio::test]
    async fn small_requests_pass_long_ones() {
        let memory = memory();
        let mut held = [memory.large_request(), memory.large_request()];
        for growing in &mut held {
            let mut at = 0;
            while let Ok(more) = timeout(SOON, growing.grow(at, 64 << 20)).await {
                at = more;
                if at == 64 << 20 {
                    break;
                }
            }
        }
        assert!(timeout(SOON, memory.large_request().grow(0, 1 << 20)).await.is_err());
        assert!(timeout(SOON, memory.small_request(SMALL_REQUEST_BYTES)).await.is_ok());
    }

    #[test]
    fn reads_make_do_with_less() {
        let memory = memory();
        let (read, share) = memory.try_read(3 << 20, 1 << 20).expect("free");
        assert_eq!((read, share.bytes()), (3 << 20, 3 << 20));
        let (read, less) = memory.try_read(3 << 20, 1 << 20).expect("some");
        assert_eq!((read, less.bytes()), (1 << 20, 1 << 20));
        assert!(memory.try_read(8 << 20, 3 << 20).is_none());
    }

    #[tokio::test]
    async fn small_answers_wait_for_their_own_connection_only() {
        let memory = memory();
        let (hog, other) = (memory.of_connection(), memory.of_connection());
        let large = hog.answer(&memory, 2 << 20).await;
        let small = hog.answer(&memory, SMALL_ANSWER_BYTES).await;
        assert!(timeout(SOON, hog.answer(&memory, 1 << 20)).await.is_err(), "a quarter each");
        assert!(timeout(SOON, hog.answer(&memory, 100)).await.is_err());
        assert!(timeout(SOON, other.answer(&memory, 1 << 20)).await.is_ok());
        assert!(timeout(SOON, other.answer(&memory, 100)).await.is_ok());
        drop((large, small));
        assert!(timeout(SOON, hog.answer(&memory, 1 << 20)).await.is_ok());
    }
}
