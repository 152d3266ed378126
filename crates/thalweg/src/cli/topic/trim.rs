//! `thalweg topic trim`: deletes the oldest records (DeleteRecords).

use clap::Args;
use krafka::Kafka;
use krafka::admin::DeleteRecordsOptions;
use krafka::consumer::TopicPartition;
use thalweg_core::env::Env;

use crate::cli::kafka_error::sentence;
use crate::cli::offsets::{self, Bound};
use crate::cli::output::{OutputFormat, print_rows};
use crate::cli::{Failure, topic_names};

#[derive(Args)]
pub(crate) struct Options {
    /// Names; those with * or ? are globs
    #[arg(required = true)]
    names: Vec<String>,
    /// The first record that stays: an offset, end, -N before the end, or @TIME
    #[arg(short, long, value_name = "WHERE", allow_hyphen_values = true)]
    #[arg(required_unless_present = "timestamp", conflicts_with = "timestamp")]
    offset: Option<String>,
    /// The first time that stays: Unix milliseconds, 2026-01-31, or -24h
    #[arg(short, long, value_name = "TIME", allow_hyphen_values = true)]
    timestamp: Option<String>,
    /// Only these partitions
    #[arg(short, long, value_delimiter = ',', value_name = "N")]
    partitions: Vec<i32>,
    /// Only say what would be deleted
    #[arg(short, long)]
    dry_run: bool,
    #[arg(long, visible_alias = "format", value_enum, default_value_t)]
    output: OutputFormat,
}

pub(super) async fn run(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let now = Env::real().clock.wall_ms();
    let bound = match (&options.offset, &options.timestamp) {
        (Some(offset), _) => Bound::parse(offset, now),
        (None, Some(time)) => Bound::parse(&format!("@{time}"), now),
        (None, None) => Err("--offset or --timestamp says up to where".to_owned()),
    };
    let bound = bound.map_err(Failure::Usage)?;
    if bound == Bound::Stored {
        return Err(Failure::Usage("'stored' belongs to a group, not to a topic".to_owned()));
    }
    let names = topic_names::resolve(kafka, &options.names, false).await?;
    let mut places = Vec::new();
    for topic in topic_names::describe(kafka, &names).await? {
        for partition in topic_names::partitions(&topic, &options.partitions)? {
            places.push(TopicPartition::new(&topic.name, partition));
        }
    }
    let extents = offsets::extents(kafka, &places, false).await?;
    let before = offsets::at(kafka, bound, &extents).await?;
    let mut results = std::collections::HashMap::new();
    if options.dry_run {
        results.extend(before.into_iter().map(|(place, offset)| (place, Ok(offset))));
    } else {
        let how = DeleteRecordsOptions::default();
        results.extend(kafka.admin().delete_records(before, how).await?);
    }
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for place in places {
        let old = extents.get(&place).map_or(0, |extent| extent.start);
        let (topic, partition) = (place.topic(), place.partition());
        match results.remove(&place) {
            Some(Ok(new)) => rows.push(vec![
                topic.to_owned(),
                partition.to_string(),
                old.to_string(),
                new.to_string(),
                (new - old).max(0).to_string(),
            ]),
            Some(Err(error)) => {
                failed.push(format!("topic '{topic}', partition {partition}: {}", sentence(&error)))
            }
            None => failed.push(format!("topic '{topic}', partition {partition}: no answer")),
        }
    }
    let headings = ["TOPIC", "PARTITION", "OLD-START", "NEW-START", "OFFSETS-DELETED"];
    print_rows(options.output, &headings, &rows)?;
    if failed.is_empty() { Ok(()) } else { Err(Failure::Running(failed.join("\n"))) }
}
