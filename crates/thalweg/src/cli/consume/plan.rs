//! What is read: the topics, where their partitions start and where they stop.

use std::collections::HashMap;

use krafka::Kafka;
use krafka::admin::TopicDescription;
use krafka::consumer::{AutoOffsetReset, Consumer, TopicPartition};

use super::Options;
use crate::cli::offsets::{self, Bound, OffsetRange};
use crate::cli::{Failure, topic_names};

/// A consumer that is ready to be polled, and where it stops.
pub(super) struct Plan {
    pub(super) consumer: Consumer,
    /// The offset before which each partition stops; `None` where reading is endless.
    pub(super) stops: Option<HashMap<TopicPartition, i64>>,
}

/// Most records that one poll hands out.
const POLL_RECORDS_MAX: i32 = 10_000;

/// Builds the consumer and seeks.
pub(super) async fn plan(
    options: &Options,
    kafka: &Kafka,
    topics: &[TopicDescription],
) -> Result<Plan, Failure> {
    let clock = thalweg_core::env::Env::real().clock;
    let range = OffsetRange::parse(&options.offset, clock.wall_ms()).map_err(Failure::Usage)?;
    let mut partitions = Vec::new();
    for topic in topics {
        for partition in topic_names::partitions(topic, &options.partitions)? {
            partitions.push(TopicPartition::new(&topic.name, partition));
        }
    }
    match &options.group {
        Some(group) => of_group(options, kafka, group, range, &partitions).await,
        None => alone(options, kafka, range, &partitions).await,
    }
}

/// A member of a group starts where the group stands.
async fn of_group(
    options: &Options,
    kafka: &Kafka,
    group: &str,
    range: OffsetRange,
    partitions: &[TopicPartition],
) -> Result<Plan, Failure> {
    let reset = match range {
        OffsetRange { from: Bound::Start, to: None } => AutoOffsetReset::Earliest,
        OffsetRange { from: Bound::End, to: None } => AutoOffsetReset::Latest,
        OffsetRange { from: Bound::Stored, to: None } => AutoOffsetReset::None,
        _ => {
            return Err(Failure::Usage(format!(
                "a group starts where it stands, so -o is start, end or stored here; to move it: \
                 thalweg group reset {group} --to ..."
            )));
        }
    };
    let stops =
        if options.exit_on_end { Some(ends(options, kafka, partitions).await?) } else { None };
    let builder = kafka.consumer(group).enable_auto_commit(false).auto_offset_reset(reset);
    let consumer = builder
        .isolation_level(options.isolation_level())
        .max_poll_records(POLL_RECORDS_MAX)
        .build()
        .await?;
    let mut names: Vec<&str> = partitions.iter().map(TopicPartition::topic).collect();
    names.dedup();
    consumer.subscribe(names).await?;
    Ok(Plan { consumer, stops })
}

async fn alone(
    options: &Options,
    kafka: &Kafka,
    range: OffsetRange,
    partitions: &[TopicPartition],
) -> Result<Plan, Failure> {
    if range.from == Bound::Stored || range.to == Some(Bound::Stored) {
        return Err(Failure::Usage("'stored' is what a group has committed: add -g GROUP".into()));
    }
    let extents = offsets::extents(kafka, partitions, options.committed_only()).await?;
    let starts = offsets::at(kafka, range.from, &extents).await?;
    let mut stops = match range.to {
        Some(bound) => Some(offsets::at(kafka, bound, &extents).await?),
        None if options.exit_on_end => {
            Some(extents.iter().map(|(place, extent)| (place.clone(), extent.end)).collect())
        }
        None => None,
    };
    let consumer = kafka
        .consumer_without_group()
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .isolation_level(options.isolation_level())
        .max_poll_records(POLL_RECORDS_MAX)
        .build()
        .await?;
    let mut wanted: HashMap<&str, Vec<i32>> = HashMap::new();
    let mut seeks = Vec::new();
    for (place, extent) in &extents {
        let start = starts.get(place).map_or(extent.start, |start| (*start).min(extent.end));
        let has_nothing = |stops: &HashMap<TopicPartition, i64>| {
            stops.get(place).is_none_or(|stop| *stop <= start)
        };
        if stops.as_ref().is_some_and(has_nothing) {
            if let Some(stops) = &mut stops {
                stops.remove(place);
            }
            continue;
        }
        wanted.entry(place.topic()).or_default().push(place.partition());
        seeks.push((place.clone(), start));
    }
    for (topic, partitions) in wanted {
        consumer.assign(topic, partitions).await?;
    }
    consumer.seek_many(seeks).await?;
    Ok(Plan { consumer, stops })
}

/// The current ends of the partitions that hold records.
async fn ends(
    options: &Options,
    kafka: &Kafka,
    partitions: &[TopicPartition],
) -> Result<HashMap<TopicPartition, i64>, Failure> {
    let extents = offsets::extents(kafka, partitions, options.committed_only()).await?;
    let open = extents.into_iter().filter(|(_, extent)| extent.end > extent.start);
    Ok(open.map(|(place, extent)| (place, extent.end)).collect())
}
