//! A table that is remembered in a keyed topic of its own, and small enough to be held in
//! memory: the topic is made with the first change, and written anew when much of it does
//! not count any more.

use std::sync::Arc;

use thalweg_core::env::Env;
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::{LogError, LogStore};

use crate::broker::{BrokerError, blocking};
use crate::keyed_topic::{KeyedRecord, KeyedTopic};

/// All is written anew when there are so many records, and twice as many as rows.
const REWRITE_RECORDS: usize = 1_000;

/// Key and value of a row; no value where the row is gone.
pub(crate) type Row = (Vec<u8>, Option<Vec<u8>>);

/// Where the table is remembered.
pub(crate) struct KeyedJournal {
    env: Env,
    store: Arc<dyn LogStore>,
    name: &'static str,
    topic: Option<Arc<KeyedTopic>>,
    /// Records since all was written anew.
    records: usize,
}

impl KeyedJournal {
    /// Gives each record of the topic, if there is one, from the oldest to the newest.
    ///
    /// # Errors
    /// The topic cannot be read, or `each` refuses a record.
    pub(crate) fn open(
        env: Env,
        store: Arc<dyn LogStore>,
        name: &'static str,
        mut each: impl FnMut(&KeyedTopic, &KeyedRecord<'_>) -> Result<(), BrokerError>,
    ) -> Result<Self, BrokerError> {
        let (mut topic, mut records) = (None, 0);
        if store.topic(name).is_some() {
            let found = KeyedTopic::open(&*store, name)?;
            found.replay(|record| {
                records += 1;
                each(&found, &record)
            })?;
            topic = Some(Arc::new(found));
        }
        Ok(Self { env, store, name, topic, records })
    }

    /// Writes rows down; durable when this returns. The offset of the first.
    ///
    /// # Errors
    /// The log refused.
    pub(crate) async fn write(&mut self, rows: Vec<Row>) -> Result<Offset, LogError> {
        let (store, known, name) = (self.store.clone(), self.topic.clone(), self.name);
        let (count, at) = (rows.len(), self.env.clock.wall_ms());
        let (topic, appended) = blocking(move || {
            let topic = match known {
                Some(topic) => topic,
                None => Arc::new(KeyedTopic::open(&*store, name)?),
            };
            let appended = topic.append(rows, at)?;
            Ok::<_, LogError>((topic, appended))
        })
        .await?;
        self.records += count;
        let durable = topic.durable(appended.next_offset);
        self.topic = Some(topic);
        durable.await?;
        Ok(appended.base_offset)
    }

    /// Writes all of `count` rows anew where the topic holds much that does not count any
    /// more, and lets go of that.
    pub(crate) async fn rewrite_if_due(&mut self, count: usize, all: impl FnOnce() -> Vec<Row>) {
        if self.records < REWRITE_RECORDS.max(2 * count) {
            return;
        }
        self.records = 0;
        if count == 0 {
            return;
        }
        match self.write(all()).await {
            Ok(from) => {
                if let Some(topic) = &self.topic {
                    topic.keep_from(from);
                }
            }
            // Nothing is lost by that; a later change tries again.
            Err(error) => tracing::warn!(topic = self.name, %error, "cannot write it all anew"),
        }
    }
}
