//! Producer ids: each is given out once in the life of a data directory.
//!
//! Ids are taken from the log in blocks. A block is durable in an internal topic before
//! the first id of it is given out; what is left of a block at a restart is lost, which
//! 61 bits bear. Ids from [`ProducerId::FIRST_INTERNAL`] on are never given out: jobs write
//! under those.

use std::sync::Arc;

use bytes::Buf;
use thalweg_core::env::Env;
use thalweg_core::ids::ProducerId;
use thalweg_core::partition_log::{LogError, LogStore};
use tokio::sync::{Mutex, oneshot};

use crate::broker::BrokerError;
use crate::internal_topic::InternalTopic;

/// Topic whose records each hold the first id that is not taken yet.
const TOPIC: &str = "__producer_ids";
const FORMAT_VERSION: u8 = 1;
/// Ids taken at a time.
const BLOCK: i64 = 1_000;

/// Why there is no producer id.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProducerIdError {
    /// A new block cannot be made durable.
    #[error(transparent)]
    Log(#[from] LogError),
    /// All ids for clients are taken, or what is on record says so.
    #[error(
        "the ids before {} are taken, and those from there on are for jobs",
        ProducerId::FIRST_INTERNAL
    )]
    Exhausted,
}

/// Gives out producer ids.
pub(crate) struct ProducerIds {
    env: Env,
    topic: Arc<InternalTopic>,
    free: Mutex<std::ops::Range<i64>>,
}

impl ProducerIds {
    /// Goes on after the last block that was taken.
    ///
    /// # Errors
    /// The internal topic cannot be read.
    pub(crate) fn open(env: Env, store: &dyn LogStore) -> Result<Self, BrokerError> {
        let topic = InternalTopic::open(store, TOPIC, FORMAT_VERSION)?;
        let (mut taken, mut last_record) = (0, None);
        topic.replay(|offset, mut payload| {
            taken = payload.try_get_i64().map_err(|error| error.to_string())?.max(taken);
            last_record = Some(offset);
            Ok(())
        })?;
        if let Some(offset) = last_record {
            topic.keep_from(offset);
        }
        Ok(Self { env, topic: Arc::new(topic), free: Mutex::new(taken..taken) })
    }

    /// Stable id of the internal topic, which names the data directory as well.
    pub(crate) fn topic_id(&self) -> u128 {
        self.topic.id()
    }

    /// A producer id that nobody had.
    ///
    /// # Errors
    /// See [`ProducerIdError`].
    pub(crate) async fn next(&self) -> Result<i64, ProducerIdError> {
        let mut free = self.free.lock().await;
        if free.is_empty() {
            *free = self.take_block(free.end).await?;
        }
        let id = free.start;
        free.start += 1;
        Ok(id)
    }

    async fn take_block(&self, first: i64) -> Result<std::ops::Range<i64>, ProducerIdError> {
        let end = first.saturating_add(BLOCK).min(ProducerId::FIRST_INTERNAL);
        if end <= first {
            return Err(ProducerIdError::Exhausted);
        }
        let payload = end.to_be_bytes().to_vec();
        let appended = self.topic.append([payload], self.env.clock.wall_ms())?;
        let (sender, receiver) = oneshot::channel();
        let (topic, record) = (self.topic.clone(), appended.base_offset);
        self.topic.when_durable(appended.next_offset, move |outcome| {
            if outcome.is_ok() {
                topic.keep_from(record);
            }
            let _ = sender.send(outcome);
        });
        receiver.await.unwrap_or(Err(LogError::Stopped))?;
        Ok(first..end)
    }
}

#[cfg(test)]
mod tests {
    use thalweg_log::{Log, LogOptions};

    use super::*;

    #[tokio::test]
    async fn ids_of_jobs_are_never_given_out() {
        let (env, directory) = (Env::real(), tempfile::tempdir().expect("a directory"));
        let log = Log::open(env.clone(), directory.path(), LogOptions::default()).expect("a log");
        let last = ProducerId::FIRST_INTERNAL - 1;
        let topic = InternalTopic::open(&*log, TOPIC, FORMAT_VERSION).expect("a topic");
        let appended = topic.append([last.to_be_bytes().to_vec()], 0).expect("a record");
        let (sender, durable) = oneshot::channel();
        topic.when_durable(appended.next_offset, move |outcome| {
            let _ = sender.send(outcome);
        });
        durable.await.expect("an outcome").expect("durable");
        let ids = ProducerIds::open(env, &*log).expect("ids");
        assert_eq!(ids.next().await.expect("the last one"), last);
        assert!(matches!(ids.next().await, Err(ProducerIdError::Exhausted)));
        assert!(matches!(ids.next().await, Err(ProducerIdError::Exhausted)));
    }
}
