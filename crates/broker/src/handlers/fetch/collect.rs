//! What a fetch asks for, and what has been read for it.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids::Offset;
use thalweg_core::partition_log::{AbortedTransaction, Isolation, LogOffsets, PartitionLog, Watch};
use thalweg_core::record_batch::split;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::broker::{Broker, LEADER_EPOCH};
use crate::config;
use crate::error_code::{ErrorCode, of_log_error};
use crate::net::budget::Share;
use crate::net::memory::Memory;
use crate::request::RequestContext;

/// A reader that is further behind than this many records may have to read the disk.
const LAG_RECORDS: i64 = 1_000;

/// A fetch under way.
pub(super) struct Fetch {
    pub(super) topics: Vec<TopicFetch>,
    pub(super) isolation: Isolation,
    broker: Option<Arc<Broker>>,
    /// Bytes that may still be read.
    room: usize,
    bytes: usize,
    shares: Vec<Share>,
    /// Memory for the next read, where that had to be waited for.
    granted: Option<Share>,
    /// Memory without which nothing can be read.
    wants: Option<usize>,
}

/// The partitions of one topic, as the client named it.
pub(super) struct TopicFetch {
    pub(super) name: TopicName,
    pub(super) id: Uuid,
    pub(super) partitions: Vec<PartitionFetch>,
    /// Largest batch that there should be.
    batch_bytes: usize,
}

/// One partition of a fetch.
pub(super) struct PartitionFetch {
    pub(super) index: i32,
    pub(super) source: Result<Arc<dyn PartitionLog>, ErrorCode>,
    pub(super) chunks: Vec<Bytes>,
    pub(super) offsets: LogOffsets,
    /// Aborted transactions in what was read, for readers of committed records.
    pub(super) aborted: Vec<AbortedTransaction>,
    /// Offset at which reading began.
    first: Offset,
    /// Offset from which to read on.
    next: Offset,
    room: usize,
}

impl Fetch {
    /// A fetch of nothing.
    pub(super) fn empty() -> Self {
        Self {
            topics: Vec::new(),
            isolation: Isolation::ReadUncommitted,
            broker: None,
            room: 0,
            bytes: 0,
            shares: Vec::new(),
            granted: None,
            wants: None,
        }
    }

    /// Finds the partitions that are asked for.
    pub(super) fn resolve(context: &RequestContext, request: FetchRequest) -> Self {
        let broker = &context.broker;
        let of_quota =
            broker.quotas.fetch_bytes_max(context.client.principal.name(), &context.client_id);
        let limit = broker.limits.fetch_response_bytes.min(of_quota);
        let committed = request.isolation_level == 1;
        let by_id = context.version() >= 13;
        let topics = request.topics.into_iter().map(|t| resolve_topic(context, t, by_id)).collect();
        Self {
            topics,
            isolation: match committed {
                true => Isolation::ReadCommitted,
                false => Isolation::ReadUncommitted,
            },
            broker: Some(context.broker.clone()),
            room: usize::try_from(request.max_bytes).unwrap_or(0).min(limit),
            bytes: 0,
            shares: Vec::new(),
            granted: None,
            wants: None,
        }
    }

    fn partitions(&self) -> impl Iterator<Item = &PartitionFetch> {
        self.topics.iter().flat_map(|topic| &topic.partitions)
    }

    /// Bytes of records read so far.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no more may be read.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > 0 && self.room == 0
    }

    /// Whether a partition cannot be read, which the client should hear of at once.
    pub(super) fn has_error(&self) -> bool {
        self.partitions().any(|partition| partition.source.is_err())
    }

    /// Whether a partition is to be read far behind its end.
    pub(super) fn is_lagging(&self) -> bool {
        self.partitions().any(|partition| {
            let end = partition.source.as_ref().map(|log| log.offsets().high_watermark);
            end.is_ok_and(|end| end - partition.next > LAG_RECORDS)
        })
    }

    /// Reads what is there, within the limits. The first batch of all is read whole,
    /// however long it is, so that a reader always gets on. Stops where memory is used
    /// up; [`Fetch::take_wanted`] says whether nothing could be read for that.
    pub(super) fn collect(&mut self) {
        let Some(broker) = self.broker.clone() else { return };
        let mut topics = std::mem::take(&mut self.topics);
        'all: for topic in &mut topics {
            for partition in &mut topic.partitions {
                if !self.read(&broker.memory, partition, &mut topic.batch_bytes) {
                    break 'all;
                }
            }
        }
        self.topics = topics;
    }

    /// Reads from one partition; false where there is no memory for that.
    fn read(
        &mut self,
        memory: &Memory,
        partition: &mut PartitionFetch,
        batch_bytes: &mut usize,
    ) -> bool {
        let Ok(log) = partition.source.clone() else { return true };
        partition.offsets = log.offsets();
        let limit = match self.isolation {
            Isolation::ReadUncommitted => partition.offsets.high_watermark,
            Isolation::ReadCommitted => partition.offsets.last_stable,
        };
        let wanted = self.room.min(partition.room);
        if partition.next == limit || (self.bytes > 0 && wanted == 0) {
            return true;
        }
        let granted = self.granted.take().map(|share| (wanted.min(share.bytes()), share));
        let room = granted.or_else(|| memory.try_read(wanted, *batch_bytes));
        let Some((wanted, share)) = room else { return self.want(*batch_bytes) };
        let read = log.read(partition.next, wanted, self.isolation).and_then(|chunk| {
            if let (Isolation::ReadCommitted, Some(end)) = (self.isolation, offset_after(&chunk)) {
                // Of the whole range: transactions may go through several chunks.
                partition.aborted = log.aborted(partition.first, end)?;
            }
            Ok(chunk)
        });
        match read {
            Ok(chunk) if chunk.is_empty() => {}
            Ok(chunk) if !memory.read_fits(chunk.len(), &share) => {
                // A batch from before the topic was set to take smaller ones only.
                *batch_bytes = chunk.len();
                return self.want(chunk.len());
            }
            Ok(chunk) => self.take(partition, chunk, share),
            Err(error) => {
                tracing::debug!(%error, "fetch");
                partition.source = Err(of_log_error(&error));
            }
        }
        true
    }

    fn take(&mut self, partition: &mut PartitionFetch, chunk: Bytes, mut share: Share) {
        share.shrink(chunk.len());
        self.shares.push(share);
        self.bytes += chunk.len();
        self.room = self.room.saturating_sub(chunk.len());
        partition.room = partition.room.saturating_sub(chunk.len());
        partition.chunks.push(chunk);
    }

    /// There is no memory for so much: that is worth waiting for if nothing was read yet.
    fn want(&mut self, bytes: usize) -> bool {
        self.wants = (self.bytes == 0).then_some(bytes);
        false
    }

    /// How much memory to wait for before it is worth another try.
    pub(super) fn take_wanted(&mut self) -> Option<usize> {
        self.wants.take()
    }

    /// Lets the next read have this memory.
    pub(super) fn grant(&mut self, share: Share) {
        self.granted = Some(share);
    }

    /// Sets each partition to read on after what it has.
    pub(super) fn advance(&mut self) {
        for partition in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            if let Some(next) = partition.chunks.last().and_then(offset_after) {
                partition.next = next;
            }
        }
    }

    /// Has `arrivals` notified when there is more to read.
    pub(super) fn watch(&self, arrivals: &Arc<Notify>) -> Vec<Watch> {
        let logs = self.partitions().filter_map(|partition| partition.source.as_ref().ok());
        logs.map(|log| {
            let arrivals = arrivals.clone();
            log.watch(Arc::new(move || arrivals.notify_one()))
        })
        .collect()
    }

    /// What to hold until the answer is sent.
    pub(super) fn take_shares(&mut self) -> Vec<Share> {
        std::mem::take(&mut self.shares)
    }
}

fn resolve_topic(context: &RequestContext, topic: FetchTopic, by_id: bool) -> TopicFetch {
    let name = match by_id {
        false => Ok(topic.topic.clone()),
        true => match context.broker.topics.by_id(topic.topic_id) {
            Some(meta) => Ok(TopicName(StrBytes::from_string(meta.name))),
            None => Err(ErrorCode::UnknownTopicId),
        },
    };
    let name =
        name.and_then(|name| match context.allows(Operation::Read, Resource::Topic(&name)) {
            true => Ok(name),
            false => Err(ErrorCode::TopicAuthorizationFailed),
        });
    let batch_bytes = name.as_ref().map_or(0, |name| largest_batch(context, name));
    let partitions = topic.partitions.iter().map(|partition| {
        let source = name.clone().and_then(|name| resolve(context, &name, partition));
        PartitionFetch {
            index: partition.partition,
            source,
            chunks: Vec::new(),
            offsets: LogOffsets::default(),
            aborted: Vec::new(),
            first: partition.fetch_offset,
            next: partition.fetch_offset,
            room: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
        }
    });
    let partitions = partitions.collect();
    TopicFetch { name: topic.topic, id: topic.topic_id, partitions, batch_bytes }
}

/// Largest batch that a topic takes.
fn largest_batch(context: &RequestContext, topic: &str) -> usize {
    let log = &*context.broker.log;
    log.topic(topic).map_or(0, |meta| config::max_message_bytes(log, &meta))
}

fn resolve(
    context: &RequestContext,
    topic: &str,
    partition: &FetchPartition,
) -> Result<Arc<dyn PartitionLog>, ErrorCode> {
    if partition.current_leader_epoch > LEADER_EPOCH {
        return Err(ErrorCode::UnknownLeaderEpoch);
    }
    context.broker.topics.partition(topic, partition.partition)
}

/// The offset after the last of these batches.
fn offset_after(chunk: &Bytes) -> Option<Offset> {
    split(chunk).map_while(Result::ok).last().map(|batch| batch.header().next_offset())
}
