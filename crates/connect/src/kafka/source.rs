//! The source of a `kafka` table: one split a partition, offsets as positions.
//!
//! A record without a value (a tombstone) is a bad record for formats that need one: Flink
//! passes it over without a word, we keep it where it can be seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use parking_lot::Mutex;
use thalweg_core::env::Clock;
use thalweg_core::ids::{Offset, TopicPartition};
use thalweg_core::partition_log::{LogStore, PartitionLog, TopicMeta, Waker, Watch};
use thalweg_core::time::Millis;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::source::{Position, Source, SplitInfo, SplitReader};

use super::columns::Layout;
use super::fetch::{Feed, Waiting};
use super::options::{Discovery, KafkaOptions, OffsetSpec, Reset};
use super::reader::{PartitionReader, offset, position};
use super::records::PartitionRecords;
use super::topic::open_or_create;
use super::watchers::Watchers;
use crate::registry::{CommittedOffsets, PositionPublisher};

/// Records of a topic as rows.
pub(crate) struct KafkaSource {
    pub(crate) log: Arc<dyn LogStore>,
    pub(crate) options: KafkaOptions,
    pub(crate) layout: Layout,
    pub(crate) columns: Vec<usize>,
    pub(crate) schema: SchemaRef,
    /// Partitions of a topic that has to be created.
    pub(crate) default_partitions: i32,
    pub(crate) positions: Option<PositionPublisher>,
    pub(crate) committed: Option<CommittedOffsets>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) state: Mutex<State>,
    pub(crate) watchers: Arc<Watchers>,
}

/// What the source remembers between calls.
#[derive(Default)]
pub(crate) struct State {
    /// The splits as they were listed first; partitions that came later start at their
    /// beginning, and start-up options do not move under a running job.
    splits: BTreeMap<i32, SplitInfo>,
    listed: bool,
    /// The job has splits already, from its past or from this list.
    goes_on: bool,
    /// When the topic is looked at again for new partitions; `None`: whenever asked.
    look_at: Option<Millis>,
    feeds: BTreeMap<i32, Arc<Feed>>,
    waiting: Waiting,
}

impl State {
    fn sorted(&self) -> Vec<SplitInfo> {
        let mut splits: Vec<_> = self.splits.values().cloned().collect();
        splits.sort_by(|left, right| left.id.cmp(&right.id));
        splits
    }
}

impl KafkaSource {
    fn topic(&self) -> Result<TopicMeta> {
        open_or_create(&*self.log, &self.options.topic, self.default_partitions, &[])
    }

    fn partition(&self, partition: i32) -> Result<Arc<dyn PartitionLog>> {
        Ok(self.log.partition(&self.options.topic, partition)?)
    }

    /// Where an option points to in a partition.
    fn resolve(&self, spec: &OffsetSpec, log: &dyn PartitionLog) -> Result<Option<Offset>> {
        let offsets = log.offsets();
        Ok(match spec {
            OffsetSpec::Earliest => Some(offsets.start),
            OffsetSpec::Latest => Some(offsets.last_stable),
            OffsetSpec::Timestamp(at) => {
                Some(log.offset_for_time(*at)?.map_or(offsets.last_stable, |(offset, _)| offset))
            }
            OffsetSpec::Specific(by_partition) => by_partition.get(&log.name().partition).copied(),
            OffsetSpec::Group { reset } => Some(self.group_offset(*reset, log)?),
        })
    }

    /// Where the group stands; where it stands nowhere, or at a record that is not there,
    /// `auto.offset.reset` decides, as in Kafka's consumers.
    fn group_offset(&self, reset: Reset, log: &dyn PartitionLog) -> Result<Offset> {
        let (offsets, at) = (log.offsets(), log.name());
        let group = self.options.group.as_deref().unwrap_or_default();
        let committed = match &self.committed {
            Some(find) => find(group, at)?,
            None => None,
        };
        let there = |offset: &Offset| (offsets.start..=offsets.high_watermark).contains(offset);
        match (committed.filter(there), reset) {
            (Some(offset), _) => Ok(offset),
            (None, Reset::Earliest) => Ok(offsets.start),
            (None, Reset::Latest) => Ok(offsets.last_stable),
            (None, Reset::Fail) => {
                let found = match committed {
                    None => format!("group '{group}' has no committed offset for {at}"),
                    Some(offset) => format!(
                        "group '{group}' has committed offset {offset} for {at}, which has {}..{}",
                        offsets.start, offsets.high_watermark
                    ),
                };
                Err(StreamError::Invalid(format!(
                    "{found}; set 'properties.auto.offset.reset' = 'earliest' or 'latest', or \
                     another 'scan.startup.mode'"
                )))
            }
        }
    }

    fn split(&self, meta: &TopicMeta, partition: i32, late: bool) -> Result<SplitInfo> {
        let log = self.partition(partition)?;
        let earliest = log.offsets().start;
        let start = if late { None } else { self.resolve(&self.options.start, &*log)? };
        let start = start.unwrap_or(earliest);
        let end = match &self.options.end {
            // Partitions without a given end are not read.
            Some(spec) => Some(self.resolve(spec, &*log)?.unwrap_or(start).max(start)),
            None => None,
        };
        Ok(SplitInfo {
            id: partition.to_string(),
            fingerprint: meta.id.to_string(),
            start: position(start),
            end: end.map(position),
        })
    }

    fn feed(&self, partition: i32) -> Result<Arc<Feed>> {
        let mut state = self.state.lock();
        if let Some(feed) = state.feeds.get(&partition) {
            return Ok(feed.clone());
        }
        let feed = Arc::new(Feed::new(self.partition(partition)?, state.waiting.clone()));
        state.feeds.insert(partition, feed.clone());
        Ok(feed)
    }
}

fn parse_split(id: &str) -> Result<i32> {
    id.parse()
        .map_err(|_| StreamError::Incompatible(format!("'{id}' is not the number of a partition")))
}

impl Source for KafkaSource {
    fn splits(&self) -> Result<Vec<SplitInfo>> {
        let mut state = self.state.lock();
        let now = self.clock.wall_ms();
        if state.listed && state.look_at.is_some_and(|at| now < at) {
            return Ok(state.sorted());
        }
        let meta = self.topic()?;
        let late = state.listed || state.goes_on;
        for partition in 0..meta.partitions {
            // A bounded source reads what was there at its start.
            let past_start = state.listed && self.options.end.is_some();
            if state.splits.contains_key(&partition) || past_start {
                continue;
            }
            let split = self.split(&meta, partition, late)?;
            state.splits.insert(partition, split);
        }
        state.listed = true;
        state.look_at = match self.options.discovery {
            Discovery::WhenAsked => None,
            Discovery::Every(interval) => Some(now.saturating_add(interval)),
            Discovery::Once => Some(Millis::MAX),
        };
        // Whoever waits for records is called for those of new partitions, too.
        self.watchers.extend(meta.partitions, |partition| self.partition(partition))?;
        Ok(state.sorted())
    }

    fn known(&self, split: &SplitInfo) {
        let mut state = self.state.lock();
        state.goes_on = true;
        if let Ok(partition) = parse_split(&split.id) {
            state.splits.entry(partition).or_insert_with(|| split.clone());
        }
    }

    fn open(&self, split: &SplitInfo) -> Result<Box<dyn SplitReader>> {
        let feed = self.feed(parse_split(&split.id)?)?;
        if feed.log.topic_id().to_string() != split.fingerprint {
            return Err(StreamError::Incompatible(format!(
                "topic '{}' was deleted and created again since the job read it",
                self.options.topic
            )));
        }
        Ok(Box::new(PartitionReader {
            records: Arc::new(PartitionRecords(feed.clone())),
            feed,
            split_id: split.id.clone(),
            end: split.end.map(offset),
            schema: self.schema.clone(),
            decoder: self.layout.decoder(&self.columns)?,
            scratch: Vec::new(),
        }))
    }

    fn is_bounded(&self) -> bool {
        self.options.end.is_some()
    }

    fn watch(&self, waker: Waker) -> Option<Watch> {
        let meta = self.topic().ok()?;
        let number = self.watchers.add(waker);
        let watchers = Arc::clone(&self.watchers);
        let watch = Watch::new(move || watchers.remove(number));
        self.watchers.extend(meta.partitions, |partition| self.partition(partition)).ok()?;
        Some(watch)
    }

    /// The time of the next look for partitions, where the table says how often.
    fn next_due(&self, _now: Millis) -> Option<Millis> {
        match self.options.discovery {
            Discovery::Every(_) if !self.is_bounded() => self.state.lock().look_at,
            _ => None,
        }
    }

    fn pin(&self, split: &SplitInfo, holder: &str, from: Option<Position>) {
        if let Ok(log) = parse_split(&split.id).and_then(|partition| self.partition(partition)) {
            log.pin(holder, from.map(offset));
        }
    }

    fn publish_positions(&self, group: &str, positions: &[(String, Position)]) {
        let Some(publish) = &self.positions else { return };
        let group = self.options.group.as_deref().unwrap_or(group);
        let positions: Vec<_> = positions
            .iter()
            .filter_map(|(split, position)| {
                let partition = parse_split(split).ok()?;
                Some((TopicPartition::new(&*self.options.topic, partition), offset(*position)))
            })
            .collect();
        publish(group, &positions);
    }
}
