//! Places turned into offsets, by asking the server.

use std::collections::HashMap;

use krafka::Kafka;
use krafka::admin::{ListOffsetsOptions, ListedOffset, OffsetSpec};
use krafka::consumer::TopicPartition;
use krafka::error::ErrorCode;

use super::Bound;
use crate::cli::Failure;
use crate::cli::kafka_error::{code, sentence};

/// What a partition holds: from its first offset to before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// The extents of partitions. With `committed` they end where the first open transaction
/// begins.
pub(crate) async fn extents(
    kafka: &Kafka,
    partitions: &[TopicPartition],
    committed: bool,
) -> Result<HashMap<TopicPartition, Extent>, Failure> {
    let starts = listed(kafka, partitions, OffsetSpec::Earliest, false).await?;
    let ends = listed(kafka, partitions, OffsetSpec::Latest, committed).await?;
    let extent = |partition: &TopicPartition| {
        let start = starts.get(partition)?.as_ref()?.offset;
        let end = ends.get(partition)?.as_ref()?.offset;
        Some((partition.clone(), Extent { start, end: end.max(start) }))
    };
    Ok(partitions.iter().filter_map(extent).collect())
}

/// The offset of a place in each partition, not before its start, and not behind its end
/// unless it is named exactly. A time after the last record is the end.
pub(crate) async fn at(
    kafka: &Kafka,
    bound: Bound,
    extents: &HashMap<TopicPartition, Extent>,
) -> Result<HashMap<TopicPartition, i64>, Failure> {
    let times = match bound {
        Bound::Time(millis) => first_since(kafka, millis, extents).await?,
        _ => HashMap::new(),
    };
    let offset = |partition: &TopicPartition, extent: &Extent| match bound {
        Bound::Start | Bound::Stored => extent.start,
        Bound::End => extent.end,
        Bound::Exact(offset) => offset,
        Bound::AfterStart(count) => extent.start.saturating_add(count),
        Bound::BeforeEnd(count) => extent.end.saturating_sub(count),
        Bound::Time(_) => times.get(partition).copied().unwrap_or(extent.end),
    };
    Ok(extents
        .iter()
        .map(|(partition, extent)| {
            let offset = offset(partition, extent).max(extent.start);
            // An offset that is not there yet is one to wait for.
            let exact = matches!(bound, Bound::Exact(_));
            (partition.clone(), if exact { offset } else { offset.min(extent.end) })
        })
        .collect())
}

/// The first offset of each partition with a record of this time or later, where there is
/// one. The client library asks again for a minute where the server knows none, so that is
/// found out by the newest time first.
async fn first_since(
    kafka: &Kafka,
    millis: i64,
    extents: &HashMap<TopicPartition, Extent>,
) -> Result<HashMap<TopicPartition, i64>, Failure> {
    let held = extents.iter().filter(|(_, extent)| extent.start < extent.end);
    let held: Vec<_> = held.map(|(partition, _)| partition.clone()).collect();
    let newest = listed(kafka, &held, OffsetSpec::MaxTimestamp, false).await?;
    let is_late = |listed: &ListedOffset| listed.timestamp.is_none_or(|time| time >= millis);
    let late: Vec<_> = newest
        .into_iter()
        .filter(|(_, newest)| newest.as_ref().is_some_and(is_late))
        .map(|(partition, _)| partition)
        .collect();
    let first = listed(kafka, &late, OffsetSpec::Timestamp(millis), false).await?;
    let offset = |(partition, listed): (_, Option<ListedOffset>)| Some((partition, listed?.offset));
    Ok(first.into_iter().filter_map(offset).collect())
}

/// What the server lists; `None` where it knows nothing.
async fn listed(
    kafka: &Kafka,
    partitions: &[TopicPartition],
    what: OffsetSpec,
    committed: bool,
) -> Result<HashMap<TopicPartition, Option<ListedOffset>>, Failure> {
    let options = ListOffsetsOptions::default().read_committed(committed);
    let asked = partitions.iter().map(|partition| (partition.clone(), what));
    let mut offsets = HashMap::new();
    for (partition, listed) in kafka.admin().list_offsets(asked, options).await? {
        let offset = match listed {
            Ok(listed) => Some(listed),
            Err(error) if code(&error) == Some(ErrorCode::OffsetNotAvailable) => None,
            Err(error) => {
                return Err(Failure::Running(format!(
                    "topic '{}', partition {}: {}",
                    partition.topic(),
                    partition.partition(),
                    sentence(&error)
                )));
            }
        };
        offsets.insert(partition, offset);
    }
    Ok(offsets)
}
