//! Settings that were altered while the server ran: of brokers (KIP-226) and of groups
//! (KIP-848). Remembered in an internal topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use thalweg_core::env::Env;
use thalweg_core::partition_log::{LogError, LogStore};
use tokio::sync::{Mutex, MutexGuard};

use super::record::{self, RecordError};
use crate::broker::{BrokerError, NODE_ID};
use crate::keyed_journal::{KeyedJournal, Row};
use crate::keyed_topic::{KeyedRecord, KeyedTopic};

/// Topic that holds the settings. Made when the first one is altered.
const TOPIC: &str = "__dynamic_configs";
/// Most resources that can have settings of their own.
pub(crate) const RESOURCES_MAX: usize = 10_000;
/// Longest name of a resource and longest value.
pub(crate) const TEXT_BYTES_MAX: usize = 1_024;

/// Names and values.
pub(crate) type Settings = BTreeMap<String, String>;

/// What has settings.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Resource {
    /// All brokers, as far as they have none of their own.
    AllBrokers,
    /// The broker of this id.
    Broker(String),
    /// A group, which need not exist.
    Group(String),
}

impl Resource {
    /// This broker.
    pub(crate) fn this_broker() -> Self {
        Self::Broker(NODE_ID.0.to_string())
    }
}

/// The altered settings of everything.
pub(crate) struct DynamicConfigs {
    table: RwLock<BTreeMap<Resource, Settings>>,
    /// Held while settings are altered and until they are in force.
    journal: Mutex<KeyedJournal>,
}

/// The settings, while nobody else alters any.
pub(crate) struct Altering<'a> {
    configs: &'a DynamicConfigs,
    journal: MutexGuard<'a, KeyedJournal>,
}

impl DynamicConfigs {
    /// Reads the settings from the internal topic, if there is one.
    ///
    /// # Errors
    /// The topic cannot be read.
    pub(crate) fn open(env: Env, store: Arc<dyn LogStore>) -> Result<Self, BrokerError> {
        let mut table = BTreeMap::new();
        let journal = KeyedJournal::open(env, store, TOPIC, |topic, record| {
            restore(topic, &mut table, record)
        })?;
        Ok(Self { table: RwLock::new(table), journal: Mutex::new(journal) })
    }

    /// The settings of a resource.
    pub(crate) fn of(&self, resource: &Resource) -> Settings {
        self.table.read().get(resource).cloned().unwrap_or_default()
    }

    /// The settings in force of this broker: its own, and for the rest those of all.
    pub(crate) fn of_this_broker(&self) -> Settings {
        let mut settings = self.of(&Resource::AllBrokers);
        settings.extend(self.of(&Resource::this_broker()));
        settings
    }

    /// Groups with settings, sorted by name.
    pub(crate) fn groups(&self) -> Vec<(String, Settings)> {
        let table = self.table.read();
        let group = |(resource, settings): (&Resource, &Settings)| match resource {
            Resource::Group(name) => Some((name.clone(), settings.clone())),
            _ => None,
        };
        table.iter().filter_map(group).collect()
    }

    /// Keeps others from altering settings.
    pub(crate) async fn altering(&self) -> Altering<'_> {
        Altering { journal: self.journal.lock().await, configs: self }
    }
}

impl Altering<'_> {
    /// Number of resources with settings.
    pub(crate) fn len(&self) -> usize {
        self.configs.table.read().len()
    }

    /// Replaces the settings of a resource; durable when this returns. They are in force
    /// when the caller has seen to that, and then lets go of this.
    ///
    /// # Errors
    /// The log refused; nothing has changed then.
    pub(crate) async fn put(
        &mut self,
        resource: Resource,
        settings: Settings,
    ) -> Result<(), LogError> {
        self.journal.write(vec![row(&resource, &settings)]).await?;
        let count = {
            let mut table = self.configs.table.write();
            match settings.is_empty() {
                true => table.remove(&resource),
                false => table.insert(resource, settings),
            };
            table.len()
        };
        let all = || self.configs.table.read().iter().map(|(of, all)| row(of, all)).collect();
        self.journal.rewrite_if_due(count, all).await;
        Ok(())
    }
}

fn row(resource: &Resource, settings: &Settings) -> Row {
    let value = (!settings.is_empty()).then(|| record::encode_value(settings));
    (record::encode_key(resource), value)
}

fn restore(
    topic: &KeyedTopic,
    table: &mut BTreeMap<Resource, Settings>,
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
    let resource = record::decode_key(record.key).map_err(failed)?;
    match record.value.map(record::decode_value).transpose().map_err(failed)? {
        Some(settings) => table.insert(resource, settings),
        None => table.remove(&resource),
    };
    Ok(())
}
