//! Topics as clients may name them: by name or by id, created on demand or not at all.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use thalweg_core::ids::TopicId;
use thalweg_core::partition_log::{LogError, LogStore, PartitionLog, TopicMeta};
use uuid::Uuid;

use crate::error_code::{ErrorCode, of_log_error};

/// Longest topic name (Kafka: file names of 255 bytes less its suffixes).
const NAME_BYTES_MAX: usize = 249;
/// Most partitions of a topic that a client may ask for.
pub(crate) const PARTITIONS_MAX: i32 = 10_000;

/// Whether a topic belongs to the system: clients may read it, not write or make it.
pub(crate) fn is_internal(name: &str) -> bool {
    name.starts_with("__")
}

/// Why a name cannot be a topic's.
pub(crate) fn invalid_name(name: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() {
        Some("a topic needs a name".into())
    } else if name.len() > NAME_BYTES_MAX {
        Some(format!("the name is longer than {NAME_BYTES_MAX} characters"))
    } else if name == "." || name == ".." {
        Some("'.' and '..' cannot be names".into())
    } else if !name.bytes().all(allowed) {
        Some("a name has only ASCII letters, digits, '.', '_' and '-'".into())
    } else {
        None
    }
}

/// Why a topic was not created, or not extended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(
        "there are {existing} partitions, {wanted} more would be beyond the {limit} that this \
         server takes; delete topics, or use fewer partitions"
    )]
    TooManyPartitions { existing: i64, wanted: i64, limit: i64 },
}

impl CreateError {
    /// What to tell the client.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Log(error) => of_log_error(error),
            Self::TooManyPartitions { .. } => ErrorCode::PolicyViolation,
        }
    }
}

/// The topics of the log, with a way from ids to names.
pub(crate) struct Topics {
    log: Arc<dyn LogStore>,
    names: RwLock<HashMap<TopicId, String>>,
    partitions_max: i64,
    /// No fewer partitions than there are, but for those that the server made itself. Held
    /// while some are made.
    partitions: Mutex<i64>,
}

impl Topics {
    pub(crate) fn new(log: Arc<dyn LogStore>, partitions_max: usize) -> Self {
        Self {
            names: RwLock::default(),
            partitions_max: partitions_max as i64,
            partitions: Mutex::new(count_partitions(&*log)),
            log,
        }
    }

    /// A topic by id. Ids are learnt from the log; one that is gone is forgotten.
    pub(crate) fn by_id(&self, id: Uuid) -> Option<TopicMeta> {
        let id = TopicId(id.as_u128());
        let known = self.names.read().get(&id).cloned();
        if let Some(meta) = known.and_then(|name| self.log.topic(&name)).filter(|t| t.id == id) {
            return Some(meta);
        }
        let topics = self.log.topics();
        let names = topics.iter().map(|topic| (topic.id, topic.name.clone())).collect();
        *self.names.write() = names;
        topics.into_iter().find(|topic| topic.id == id)
    }

    /// A partition by the topic's name.
    ///
    /// # Errors
    /// What to tell the client.
    pub(crate) fn partition(
        &self,
        name: &str,
        partition: i32,
    ) -> Result<Arc<dyn PartitionLog>, ErrorCode> {
        self.log.partition(name, partition).map_err(|error| of_log_error(&error))
    }

    /// Creates a topic on behalf of a client.
    ///
    /// # Errors
    /// There would be too many partitions, or the log refused.
    pub(crate) fn create(
        &self,
        name: &str,
        partitions: i32,
        config: &[(String, String)],
    ) -> Result<TopicMeta, CreateError> {
        self.within_limit(partitions, || self.log.create_topic(name, partitions, config))
    }

    /// Raises the number of a topic's partitions from `had` to `total` for a client.
    ///
    /// # Errors
    /// As [`Topics::create`].
    pub(crate) fn extend(&self, name: &str, had: i32, total: i32) -> Result<(), CreateError> {
        self.within_limit(total - had, || self.log.add_partitions(name, total))
    }

    fn within_limit<T>(
        &self,
        more: i32,
        make: impl FnOnce() -> Result<T, LogError>,
    ) -> Result<T, CreateError> {
        let (wanted, limit) = (i64::from(more), self.partitions_max);
        let mut existing = self.partitions.lock();
        if *existing + wanted > limit {
            // Some may have been deleted.
            *existing = count_partitions(&*self.log);
        }
        if *existing + wanted > limit {
            return Err(CreateError::TooManyPartitions { existing: *existing, wanted, limit });
        }
        let made = make()?;
        *existing += wanted;
        Ok(made)
    }

    /// Creates a topic that a client spoke of. Another client may have been faster.
    ///
    /// # Errors
    /// As [`Topics::create`].
    pub(crate) fn auto_create(
        &self,
        name: &str,
        partitions: i32,
    ) -> Result<TopicMeta, CreateError> {
        match self.create(name, partitions, &[]) {
            Err(CreateError::Log(LogError::TopicExists { topic })) => match self.log.topic(name) {
                Some(meta) => Ok(meta),
                None => Err(LogError::TopicExists { topic }.into()),
            },
            Ok(meta) => {
                tracing::info!(topic = name, partitions, "created a topic on first use");
                Ok(meta)
            }
            Err(error) => Err(error),
        }
    }
}

fn count_partitions(log: &dyn LogStore) -> i64 {
    log.topics().iter().map(|topic| i64::from(topic.partitions)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "temperature_alerts", "a.b-c_D9", &"x".repeat(249)] {
            assert_eq!(invalid_name(good), None, "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(250)] {
            assert!(invalid_name(bad).is_some(), "{bad}");
        }
    }
}
