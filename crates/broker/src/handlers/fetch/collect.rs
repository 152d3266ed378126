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
use crate::error_code::{ErrorCode, of_log_error};
use crate::net::budget::Share;
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
}

/// The partitions of one topic, as the client named it.
pub(super) struct TopicFetch {
    pub(super) name: TopicName,
    pub(super) id: Uuid,
    pub(super) partitions: Vec<PartitionFetch>,
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
        }
    }

    /// Finds the partitions that are asked for.
    pub(super) fn resolve(context: &RequestContext, request: FetchRequest) -> Self {
        let limit = context.broker.limits.fetch_response_bytes;
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
    /// however long it is, so that a reader always gets on.
    pub(super) fn collect(&mut self) {
        let Some(broker) = self.broker.clone() else { return };
        for partition in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            let Ok(log) = partition.source.clone() else { continue };
            partition.offsets = log.offsets();
            let limit = match self.isolation {
                Isolation::ReadUncommitted => partition.offsets.high_watermark,
                Isolation::ReadCommitted => partition.offsets.last_stable,
            };
            if partition.next == limit || (self.bytes > 0 && self.room.min(partition.room) == 0) {
                continue;
            }
            let wanted = self.room.min(partition.room);
            // An estimate of what will be held, given back once it is known.
            let (wanted, reserved) = match broker.fetch_budget.try_acquire(wanted) {
                Some(share) => (wanted, share),
                None if self.bytes == 0 => {
                    (wanted.min(broker.limits.fetch_floor_bytes), Share::none())
                }
                None => return,
            };
            let read = log.read(partition.next, wanted, self.isolation).and_then(|chunk| {
                if let (Isolation::ReadCommitted, Some(end)) =
                    (self.isolation, offset_after(&chunk))
                {
                    // Of the whole range: transactions may go through several chunks.
                    partition.aborted = log.aborted(partition.first, end)?;
                }
                Ok(chunk)
            });
            match read {
                Ok(chunk) if chunk.is_empty() => {}
                Ok(chunk) => {
                    drop(reserved);
                    self.shares.extend(broker.fetch_budget.try_acquire(chunk.len()));
                    self.bytes += chunk.len();
                    self.room = self.room.saturating_sub(chunk.len());
                    partition.room = partition.room.saturating_sub(chunk.len());
                    partition.chunks.push(chunk);
                }
                Err(error) => {
                    tracing::debug!(%error, "fetch");
                    partition.source = Err(of_log_error(&error));
                }
            }
        }
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
    TopicFetch { name: topic.topic, id: topic.topic_id, partitions }
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
