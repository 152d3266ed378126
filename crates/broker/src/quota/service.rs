//! Quotas at work: set and remembered, counted against.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use thalweg_core::env::Env;
use thalweg_core::partition_log::{LogError, LogStore};

use super::bucket::Bucket;
use super::entity::{Entity, Kind};
use super::record::{self, RecordError};
use super::table::{Counted, Table};
use crate::broker::BrokerError;
use crate::keyed_journal::{KeyedJournal, Row};
use crate::keyed_topic::{KeyedRecord, KeyedTopic};

/// Topic that holds the quotas. Made when the first one is set.
const TOPIC: &str = "__client_quotas";
/// Most entities that quotas can be set for.
const ENTITIES_MAX: usize = 10_000;
/// Most clients whose use is counted. Beyond, those that come new share what is left.
const BUCKETS_MAX: usize = 20_000;
/// Seconds' worth of bytes that one fetch may give.
const FETCH_SECONDS: f64 = 10.0;

/// New quotas of an entity: a value sets one, `None` removes it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Alteration {
    pub(crate) entity: Entity,
    pub(crate) quotas: Vec<(Kind, Option<f64>)>,
}

/// The quotas of a broker.
pub(crate) struct Quotas {
    env: Env,
    table: RwLock<Table>,
    /// Whether any is set. Mostly not, and then nothing is counted.
    any: AtomicBool,
    buckets: Mutex<HashMap<(Kind, Counted), Bucket>>,
    /// Held while quotas are altered.
    journal: tokio::sync::Mutex<KeyedJournal>,
}

impl Quotas {
    /// Reads the quotas from the internal topic, if there is one.
    ///
    /// # Errors
    /// The topic cannot be read.
    pub(crate) fn open(env: Env, store: Arc<dyn LogStore>) -> Result<Self, BrokerError> {
        let mut table = Table::default();
        let journal = KeyedJournal::open(env.clone(), store, TOPIC, |topic, record| {
            restore(topic, &mut table, record)
        })?;
        Ok(Self {
            any: AtomicBool::new(!table.is_empty()),
            table: RwLock::new(table),
            buckets: Mutex::default(),
            journal: tokio::sync::Mutex::new(journal),
            env,
        })
    }

    /// Whether any quota is set.
    pub(crate) fn are_set(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Counts an amount, in bytes or seconds, against a client's quota. Gives how long it
    /// should wait; asked with nothing, how long it should wait still.
    pub(crate) fn count(&self, kind: Kind, user: &str, client: &str, amount: f64) -> Duration {
        if !self.are_set() {
            return Duration::ZERO;
        }
        let Some((value, counted)) = self.table.read().find(kind, user, client) else {
            return Duration::ZERO;
        };
        let (rate, now_ns) = (kind.per_second(value), self.env.clock.monotonic_ns());
        let mut buckets = self.buckets.lock();
        let key = (kind, counted);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| !bucket.is_full(rate, now_ns));
        }
        let key = match buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&key) {
            true => (kind, Counted::default()),
            false => key,
        };
        let bucket = buckets.entry(key).or_insert_with(|| Bucket::new(rate, now_ns));
        let wait = bucket.take(amount, rate, now_ns).min(kind.longest_wait());
        // Whole milliseconds, as clients are told.
        Duration::from_millis((wait * 1_000.0).ceil() as u64)
    }

    /// Most bytes that one fetch of a client should give.
    pub(crate) fn fetch_bytes_max(&self, user: &str, client: &str) -> usize {
        let found = self.are_set().then(|| self.table.read().find(Kind::Fetch, user, client));
        found.flatten().map_or(usize::MAX, |(rate, _)| (rate * FETCH_SECONDS) as usize)
    }

    /// Number of entities that quotas are set for.
    pub(crate) fn len(&self) -> usize {
        self.table.read().len()
    }

    /// All quotas, by entity.
    pub(crate) fn list(&self) -> Vec<(Entity, BTreeMap<Kind, f64>)> {
        let table = self.table.read();
        table.iter().map(|(entity, quotas)| (entity.clone(), quotas.clone())).collect()
    }

    /// Sets and removes quotas. Durable and in force when this returns.
    ///
    /// # Errors
    /// The log refused, or there would be too many; then nothing is changed.
    pub(crate) async fn alter(&self, alterations: Vec<Alteration>) -> Result<(), LogError> {
        let mut journal = self.journal.lock().await;
        let mut table = self.table.read().clone();
        let mut changed = Vec::with_capacity(alterations.len());
        for Alteration { entity, quotas } in alterations {
            let mut values = table.of(&entity);
            for (kind, value) in quotas {
                match value {
                    Some(value) => values.insert(kind, value),
                    None => values.remove(&kind),
                };
            }
            changed.push(row(&entity, &values));
            table.set(entity, values);
        }
        if table.len() > ENTITIES_MAX {
            let detail = format!("quotas for {} entities; at most {ENTITIES_MAX}", table.len());
            return Err(LogError::InvalidTopic { topic: TOPIC.to_owned(), detail });
        }
        journal.write(changed).await?;
        self.any.store(!table.is_empty(), Ordering::Relaxed);
        let count = table.len();
        *self.table.write() = table;
        let all = || self.list().iter().map(|(entity, quotas)| row(entity, quotas)).collect();
        journal.rewrite_if_due(count, all).await;
        Ok(())
    }
}

fn row(entity: &Entity, quotas: &BTreeMap<Kind, f64>) -> Row {
    let value = (!quotas.is_empty()).then(|| record::encode_value(quotas));
    (record::encode_key(entity), value)
}

fn restore(
    topic: &KeyedTopic,
    table: &mut Table,
    record: &KeyedRecord<'_>,
) -> Result<(), BrokerError> {
    let failed = |error| match error {
        RecordError::Newer(found) => BrokerError::NewerFormat {
            topic: TOPIC.to_owned(),
            offset: record.offset,
            found: u8::try_from(found).unwrap_or(u8::MAX),
            known: record::VERSION as u8,
        },
        RecordError::Malformed(detail) => topic.damaged(record.offset, &detail),
    };
    let entity = record::decode_key(record.key).map_err(failed)?;
    let quotas = record.value.map(record::decode_value).transpose().map_err(failed)?;
    table.set(entity, quotas.unwrap_or_default());
    Ok(())
}
