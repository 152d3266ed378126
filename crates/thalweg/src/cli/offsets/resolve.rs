//! Places turned into offsets, by asking the server.

use std::collections::HashMap;

use krafka::Kafka;
use krafka::admin::{ListOffsetsOptions, OffsetSpec};
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
        let start = starts.get(partition).copied().flatten()?;
        let end = ends.get(partition).copied().flatten()?;
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
        Bound::Time(millis) => {
            let partitions: Vec<TopicPartition> = extents.keys().cloned().collect();
            listed(kafka, &partitions, OffsetSpec::Timestamp(millis), false).await?
        }
        _ => HashMap::new(),
    };
    let offset = |partition: &TopicPartition, extent: &Extent| match bound {
        Bound::Start | Bound::Stored => extent.start,
        Bound::End => extent.end,
        Bound::Exact(offset) => offset,
        Bound::AfterStart(count) => extent.start.saturating_add(count),
        Bound::BeforeEnd(count) => extent.end.saturating_sub(count),
        Bound::Time(_) => times.get(partition).copied().flatten().unwrap_or(extent.end),
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

/// Offsets that the server lists; `None` where it knows none.
async fn listed(
    kafka: &Kafka,
    partitions: &[TopicPartition],
    what: OffsetSpec,
    committed: bool,
) -> Result<HashMap<TopicPartition, Option<i64>>, Failure> {
    let options = ListOffsetsOptions::default().read_committed(committed);
    let asked = partitions.iter().map(|partition| (partition.clone(), what));
    let mut offsets = HashMap::new();
    for (partition, listed) in kafka.admin().list_offsets(asked, options).await? {
        let offset = match listed {
            Ok(listed) => Some(listed.offset),
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
