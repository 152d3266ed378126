//! The log: a data directory with its topics.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use thalweg_core::env::{Env, JoinHandle};
use thalweg_core::ids::{TopicId, TopicPartition};
use thalweg_core::partition_log::{LogError, LogStore, PartitionLog, TopicMeta};
use thalweg_core::time::Millis;

use crate::catalog::{Catalog, Event};
use crate::directory;
use crate::maintenance;
use crate::options::LogOptions;
use crate::partition::append::INTERNAL_PREFIX;
use crate::partition::recovery::Recovery;
use crate::partition::{self, Partition};
use crate::shared::{Shared, SyncStats, is_storage_full};
use crate::space::DiskSpace;
use crate::topic_config::{self, ConfigEntry, TopicConfig, describe};

/// Most partitions of one topic.
pub const MAX_PARTITIONS: i32 = 10_000;

/// Longest name of a topic.
pub const MAX_TOPIC_NAME_BYTES: usize = 249;

/// The embedded log: all topics below one directory.
///
/// Dropping it ends its threads but does not sync; [`Log::close`] does.
pub struct Log {
    shared: Arc<Shared>,
    catalog: Mutex<Catalog>,
    topics: RwLock<BTreeMap<String, Topic>>,
    threads: Mutex<Vec<JoinHandle>>,
    /// Settings of topics that have none of their own. Written under the catalog's lock.
    defaults: RwLock<Vec<(String, String)>>,
}

struct Topic {
    meta: TopicMeta,
    config: Arc<TopicConfig>,
    partitions: Vec<Arc<Partition>>,
}

/// A partition that is damaged, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alarm {
    /// The partition.
    pub partition: TopicPartition,
    /// What is damaged, where, and what to do.
    pub reason: String,
}

impl Log {
    /// Opens the log in a directory, which is made where it is missing, and recovers
    /// every partition.
    ///
    /// # Errors
    /// [`LogError::Disk`] where the directory is in use, is not a log, is of a newer
    /// format, has a damaged catalog, or cannot be read. A damaged *partition* is no
    /// error: see [`Log::alarms`].
    pub fn open(env: Env, dir: &Path, options: LogOptions) -> Result<Arc<Self>, LogError> {
        let refuse = |detail: String| LogError::Disk { at: dir.display().to_string(), detail };
        let claim = directory::claim(&env, dir).map_err(refuse)?;
        let mut catalog =
            Catalog::open(env.disk.clone(), dir).map_err(|error| refuse(error.to_string()))?;
        remove_deleted(&env, dir, &mut catalog).map_err(|error| refuse(error.to_string()))?;
        let (background, clean) = (options.background, claim.clean);
        let shared = Arc::new(Shared::new(env, options, dir.to_owned(), claim));
        shared.look_at_space();
        let mut topics = BTreeMap::new();
        for meta in catalog.topics() {
            let topic = open_topic(&shared, meta.clone(), clean).map_err(refuse)?;
            topics.insert(meta.name.clone(), topic);
        }
        // One partition's disk may fail and the others be served; not so where all is gone.
        shared.env.disk.list(dir).map_err(|error| refuse(error.to_string()))?;
        let log = Arc::new(Self {
            shared,
            catalog: Mutex::new(catalog),
            topics: RwLock::new(topics),
            threads: Mutex::default(),
            defaults: RwLock::default(),
        });
        if background {
            let threads = maintenance::start(&log.shared)
                .map_err(|error| refuse(format!("no thread: {error}")))?;
            *log.threads.lock() = threads;
        }
        Ok(log)
    }

    /// Syncs everything that waits, tells those who wait for it, and returns how many
    /// partitions that were. Only needed without background threads.
    pub fn commit_step(&self) -> usize {
        let mut count = 0;
        while !self.shared.has_failed() {
            let Some(partition) = self.shared.queue.try_pop() else { break };
            partition.commit_queued();
            count += 1;
        }
        count
    }

    /// Syncs the durable marks of partitions that are idle. Background threads do this
    /// every second.
    pub fn mark_step(&self) {
        maintenance::sync_loose_marks(&self.shared);
    }

    /// Asks how much space is free. The background does this every second.
    pub fn space_step(&self) {
        self.shared.look_at_space();
    }

    /// How full the disk is, and what is refused for it.
    pub fn disk_space(&self) -> DiskSpace {
        self.shared.space.read()
    }

    /// Everybody who needs records has pinned them: from now on records are deleted,
    /// where [`LogOptions::retention_held`] kept them so far.
    pub fn begin_retention(&self) {
        self.shared.retention_held.store(false, Ordering::Release);
    }

    /// Deletes old segments as the topics' settings say, as of wall time `now`. Returns
    /// how many went. Looks first whether the directory is still this process's own.
    pub fn retention_step(&self, now: Millis) -> usize {
        maintenance::retain(&self.shared, now)
    }

    /// Compacts where that is due, as of wall time `now`. Returns how many partitions.
    pub fn compaction_step(&self, now: Millis) -> usize {
        maintenance::compact(&self.shared, now)
    }

    /// Forgets expired producers and saves snapshots of the others where due.
    pub fn producers_step(&self) {
        maintenance::tend_producers(&self.shared);
    }

    /// Reads everything durable again and checks it; damage shows in [`Log::alarms`].
    pub fn scrub(&self) {
        for partition in self.all_partitions() {
            let mut from = Some(0);
            while let Some(offset) = from {
                from = partition.scrub(offset, u64::MAX).1;
            }
        }
    }

    /// Damaged partitions.
    pub fn alarms(&self) -> Vec<Alarm> {
        let alarm = |partition: &Arc<Partition>| {
            let reason = partition.damage()?;
            Some(Alarm { partition: partition.name().clone(), reason })
        };
        self.all_partitions().iter().filter_map(alarm).collect()
    }

    /// How often the directory was opened, this time included: the log's incarnation.
    pub fn incarnation(&self) -> u64 {
        self.shared.incarnation
    }

    /// How syncing went since the log was opened.
    pub fn sync_stats(&self) -> SyncStats {
        self.shared.syncs.read()
    }

    /// Every setting of a topic with its value, default and meaning.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    pub fn describe_topic(&self, name: &str) -> Result<Vec<ConfigEntry>, LogError> {
        let topics = self.topics.read();
        let topic = topics.get(name).ok_or_else(|| unknown(name, -1))?;
        Ok(describe(&topic.meta.config, &self.defaults_of(name)))
    }

    /// Replaces the settings of a topic; durable when this returns.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`], [`LogError::InvalidTopic`].
    pub fn set_topic_config(
        &self,
        name: &str,
        config: &[(String, String)],
    ) -> Result<(), LogError> {
        let mut catalog = self.catalog.lock();
        let meta = self.topic(name).ok_or_else(|| unknown(name, -1))?;
        self.replace_config(&mut catalog, meta, config.to_vec()).map(|_| ())
    }

    fn replace_config(
        &self,
        catalog: &mut Catalog,
        meta: TopicMeta,
        mut config: Vec<(String, String)>,
    ) -> Result<TopicMeta, LogError> {
        config.sort();
        let name = meta.name.clone();
        let parsed = parse_config(&name, &config, &self.defaults_of(&name))?;
        let event = Event::ConfigChanged { id: meta.id, config: config.clone() };
        self.record(catalog, &name, event)?;
        if let Some(topic) = self.topics.write().get_mut(&name) {
            topic.meta.config.clone_from(&config);
            topic.config = parsed.clone();
            for partition in &topic.partitions {
                partition.set_config(parsed.clone());
            }
        }
        Ok(TopicMeta { config, ..meta })
    }

    /// The defaults that a topic follows.
    fn defaults_of(&self, name: &str) -> Vec<(String, String)> {
        match name.starts_with(INTERNAL_PREFIX) {
            true => Vec::new(),
            false => self.defaults.read().clone(),
        }
    }

    /// One partition, as what it is.
    ///
    /// # Errors
    /// [`LogError::UnknownPartition`].
    pub fn embedded_partition(
        &self,
        topic: &str,
        partition: i32,
    ) -> Result<Arc<Partition>, LogError> {
        let topics = self.topics.read();
        let found = topics.get(topic).and_then(|found| {
            usize::try_from(partition).ok().and_then(|number| found.partitions.get(number))
        });
        found.cloned().ok_or_else(|| unknown(topic, partition))
    }

    /// Ends appends, syncs everything, saves what makes the next start quick, ends the
    /// threads, and lets go of the directory.
    ///
    /// # Errors
    /// [`LogError::Disk`]; whatever was acknowledged before is durable all the same.
    pub fn close(&self) -> Result<(), LogError> {
        self.shared.stop();
        self.join_threads();
        let mut outcome = Ok(());
        for partition in self.all_partitions() {
            outcome = outcome.and_then(|()| partition.close());
            partition.fail_waiters(&LogError::Stopped);
        }
        outcome = outcome.and_then(|()| {
            directory::leave_clean(&self.shared.env, &self.shared.root)
                .or_else(|error| if is_storage_full(&error) { Ok(()) } else { Err(error) })
                .map_err(|error| self.shared.fail(&self.shared.root, &error))
        });
        self.shared.tell_failure();
        self.shared.release_lock();
        outcome
    }

    fn join_threads(&self) {
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if !thread.join() {
                tracing::error!("a thread of the log has panicked");
            }
        }
    }

    fn all_partitions(&self) -> Vec<Arc<Partition>> {
        self.topics.read().values().flat_map(|topic| topic.partitions.iter().cloned()).collect()
    }

    /// Makes an event durable.
    fn record(&self, catalog: &mut Catalog, name: &str, event: Event) -> Result<(), LogError> {
        self.shared.check_running()?;
        catalog.append(event).map_err(|error| {
            if is_storage_full(&error) {
                let partition = TopicPartition::new(name, 0);
                LogError::StorageFull { partition, detail: format!("the catalog: {error}") }
            } else {
                let failure = self.shared.fail(&self.shared.root, &error);
                self.shared.tell_failure();
                failure
            }
        })
    }

    fn add_to_topic(&self, topic: &mut Topic, total: i32) {
        for number in topic.partitions.len() as i32..total {
            topic.partitions.push(Partition::new(
                self.shared.clone(),
                topic.meta.id,
                TopicPartition::new(topic.meta.name.clone(), number),
                topic.config.clone(),
                Default::default(),
            ));
        }
        topic.meta.partitions = total;
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.stop();
        self.join_threads();
        // Partitions that still wait there hold what holds the queue.
        self.shared.queue.clear();
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("root", &self.shared.root).finish_non_exhaustive()
    }
}

impl LogStore for Log {
    fn topics(&self) -> Vec<TopicMeta> {
        self.topics.read().values().map(|topic| topic.meta.clone()).collect()
    }

    fn topic(&self, name: &str) -> Option<TopicMeta> {
        self.topics.read().get(name).map(|topic| topic.meta.clone())
    }

    fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        config: &[(String, String)],
    ) -> Result<TopicMeta, LogError> {
        check_name(name)?;
        check_partitions(name, partitions)?;
        let mut config = config.to_vec();
        config.sort();
        let mut catalog = self.catalog.lock();
        let parsed = parse_config(name, &config, &self.defaults_of(name))?;
        if self.topic(name).is_some() {
            return Err(LogError::TopicExists { topic: name.to_owned() });
        }
        let id = TopicId::from_random(self.shared.env.random.next_u128());
        let meta = TopicMeta { id, name: name.to_owned(), partitions, config };
        let at = self.shared.env.clock.wall_ms();
        self.record(&mut catalog, name, Event::Created { meta: meta.clone(), at })?;
        let mut topic = Topic { meta: meta.clone(), config: parsed, partitions: Vec::new() };
        self.add_to_topic(&mut topic, partitions);
        self.topics.write().insert(name.to_owned(), topic);
        Ok(meta)
    }

    fn add_partitions(&self, name: &str, total: i32) -> Result<(), LogError> {
        check_partitions(name, total)?;
        let mut catalog = self.catalog.lock();
        let meta = self.topic(name).ok_or_else(|| unknown(name, -1))?;
        if total <= meta.partitions {
            return Err(invalid(name, format!("it has {} partitions already", meta.partitions)));
        }
        self.record(&mut catalog, name, Event::PartitionsAdded { id: meta.id, total })?;
        if let Some(topic) = self.topics.write().get_mut(name) {
            self.add_to_topic(topic, total);
        }
        Ok(())
    }

    fn alter_topic(
        &self,
        name: &str,
        changes: &[(String, Option<String>)],
    ) -> Result<TopicMeta, LogError> {
        let mut catalog = self.catalog.lock();
        let meta = self.topic(name).ok_or_else(|| unknown(name, -1))?;
        let mut config: BTreeMap<String, String> = meta.config.iter().cloned().collect();
        for (setting, value) in changes {
            match value {
                Some(value) => config.insert(setting.clone(), value.clone()),
                // An unknown name is an error, whatever is to be done with it.
                None => {
                    topic_config::check_known(setting).map_err(|detail| invalid(name, detail))?;
                    config.remove(setting)
                }
            };
        }
        let config: Vec<_> = config.into_iter().collect();
        if config == meta.config {
            return Ok(meta);
        }
        self.replace_config(&mut catalog, meta, config)
    }

    fn topic_defaults(&self) -> Vec<(String, String)> {
        self.defaults.read().clone()
    }

    fn set_topic_defaults(&self, defaults: &[(String, String)]) -> Result<(), LogError> {
        let _changing = self.catalog.lock();
        parse_config("*", defaults, &[])?;
        *self.defaults.write() = defaults.to_vec();
        for (name, topic) in &mut *self.topics.write() {
            // What is wrong with a topic's own was said when the log was opened.
            if let Ok(config) = parse_config(name, &topic.meta.config, &self.defaults_of(name)) {
                for partition in &topic.partitions {
                    partition.set_config(config.clone());
                }
                topic.config = config;
            }
        }
        Ok(())
    }

    fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        let mut catalog = self.catalog.lock();
        let meta = self.topic(name).ok_or_else(|| unknown(name, -1))?;
        let at = self.shared.env.clock.wall_ms();
        self.record(&mut catalog, name, Event::Deleted { id: meta.id, at })?;
        let topic = self.topics.write().remove(name);
        for partition in topic.iter().flat_map(|topic| &topic.partitions) {
            partition.delete();
        }
        self.shared.partitions.lock().retain(|partition| Weak::strong_count(partition) > 0);
        let dir = self.shared.root.join(partition::topic_directory(meta.id));
        match self.shared.env.disk.remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // On record as deleted: the next start removes what is left.
                tracing::warn!(dir = %dir.display(), %error, "a deleted topic's files stay for now");
            }
            _ => {}
        }
        Ok(())
    }

    fn partition(&self, topic: &str, partition: i32) -> Result<Arc<dyn PartitionLog>, LogError> {
        let found = self.embedded_partition(topic, partition)?;
        Ok(found)
    }
}

fn unknown(topic: &str, partition: i32) -> LogError {
    LogError::UnknownPartition { partition: TopicPartition::new(topic, partition) }
}

fn invalid(topic: &str, detail: String) -> LogError {
    LogError::InvalidTopic { topic: topic.to_owned(), detail }
}

fn parse_config(
    name: &str,
    config: &[(String, String)],
    defaults: &[(String, String)],
) -> Result<Arc<TopicConfig>, LogError> {
    let parsed = TopicConfig::parse_over(config, defaults);
    parsed.map(Arc::new).map_err(|detail| invalid(name, detail))
}

/// Kafka's rule for names.
fn check_name(name: &str) -> Result<(), LogError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name == "." || name == ".." {
        return Err(invalid(name, "a name must not be empty, '.' or '..'".to_owned()));
    }
    if name.len() > MAX_TOPIC_NAME_BYTES {
        return Err(invalid(name, format!("a name has at most {MAX_TOPIC_NAME_BYTES} characters")));
    }
    if !name.bytes().all(legal) {
        let detail = "a name consists of letters, digits, '.', '_' and '-'".to_owned();
        return Err(invalid(name, detail));
    }
    Ok(())
}

fn check_partitions(name: &str, partitions: i32) -> Result<(), LogError> {
    if (1..=MAX_PARTITIONS).contains(&partitions) {
        return Ok(());
    }
    Err(invalid(name, format!("{partitions} partitions; there can be 1 to {MAX_PARTITIONS}")))
}

fn open_topic(shared: &Arc<Shared>, meta: TopicMeta, clean: bool) -> Result<Topic, String> {
    // Written by an older program, perhaps with a setting that is gone: still served.
    let config = TopicConfig::parse(&meta.config)
        .or_else(|error| {
            tracing::error!(topic = meta.name, error, "invalid settings; the defaults are used");
            TopicConfig::parse(&[])
        })
        .map(Arc::new)?;
    let mut partitions = Vec::with_capacity(meta.partitions as usize);
    for number in 0..meta.partitions {
        let name = TopicPartition::new(meta.name.clone(), number);
        let dir = partition::directory(&shared.root, meta.id, number);
        let recovery = Recovery {
            disk: &*shared.env.disk,
            dir: &dir,
            owner: (meta.id.0, number),
            name: &name,
            now: shared.env.clock.wall_ms(),
            clean,
            index_interval_bytes: shared.options.index_interval_bytes,
        };
        let recovered = recovery.run().map_err(|error| format!("{name}: {error}"))?;
        partitions.push(Partition::new(shared.clone(), meta.id, name, config.clone(), recovered));
    }
    Ok(Topic { meta, config, partitions })
}

/// Finishes deletions that were cut short. Directories of topics that the catalog has
/// never heard of are left alone.
fn remove_deleted(env: &Env, root: &Path, catalog: &mut Catalog) -> io::Result<()> {
    for id in catalog.deleted() {
        let dir = root.join(partition::topic_directory(*id));
        match env.disk.remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    env.disk.sync_dir(root)?;
    catalog.tidy()
}
