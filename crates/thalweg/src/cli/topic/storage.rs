//! `thalweg topic describe-storage`: bytes of partitions, by directory.

use std::collections::HashMap;

use clap::Args;
use krafka::Kafka;
use krafka::admin::{DescribeClusterOptions, DescribeLogDirsOptions, TopicDescription};
use krafka::consumer::TopicPartition;

use crate::cli::kafka_error::sentence;
use crate::cli::output::{OutputFormat, print_rows};
use crate::cli::{Failure, topic_names};

#[derive(Args)]
pub(crate) struct Options {
    /// Names; those with * or ? are globs
    #[arg(required = true)]
    names: Vec<String>,
    #[arg(short, long, visible_alias = "format", value_enum, default_value_t)]
    output: OutputFormat,
}

/// A replica on a disk.
pub(super) struct Stored {
    pub(super) place: TopicPartition,
    pub(super) broker: i32,
    pub(super) directory: String,
    pub(super) bytes: i64,
}

pub(super) async fn run(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let names = topic_names::resolve(kafka, &options.names, false).await?;
    let topics = topic_names::describe(kafka, &names).await?;
    let rows: Vec<Vec<String>> = stored(kafka, &topics)
        .await?
        .into_iter()
        .map(|stored| {
            vec![
                stored.place.topic().to_owned(),
                stored.place.partition().to_string(),
                stored.broker.to_string(),
                stored.directory,
                stored.bytes.to_string(),
            ]
        })
        .collect();
    let headings = ["TOPIC", "PARTITION", "BROKER", "DIRECTORY", "BYTES"];
    Ok(print_rows(options.output, &headings, &rows)?)
}

/// The replicas of topics on all brokers, in order.
pub(super) async fn stored(
    kafka: &Kafka,
    topics: &[TopicDescription],
) -> Result<Vec<Stored>, Failure> {
    let admin = kafka.admin();
    let cluster = admin.describe_cluster(DescribeClusterOptions::default()).await?;
    let brokers = cluster.brokers.iter().map(|broker| broker.id);
    let places = topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|p| TopicPartition::new(&topic.name, p.partition))
    });
    let how = DescribeLogDirsOptions::default().partitions(places.collect());
    let mut found = Vec::new();
    for (broker, directories) in admin.describe_log_dirs(brokers, how).await? {
        let directories = directories
            .map_err(|error| Failure::Running(format!("broker {broker}: {}", sentence(&error))))?;
        for (directory, described) in directories {
            let described = described.map_err(|error| {
                Failure::Running(format!("broker {broker}, {directory}: {}", sentence(&error)))
            })?;
            found.extend(described.replicas.into_iter().map(|(place, replica)| Stored {
                place,
                broker,
                directory: directory.clone(),
                bytes: replica.size,
            }));
        }
    }
    let order = |stored: &Stored| {
        (stored.place.topic().to_owned(), stored.place.partition(), stored.broker)
    };
    found.sort_by_key(order);
    Ok(found)
}

/// Bytes of each partition's largest replica.
pub(super) fn by_partition(stored: &[Stored]) -> HashMap<TopicPartition, i64> {
    let mut bytes = HashMap::new();
    for replica in stored {
        let largest = bytes.entry(replica.place.clone()).or_insert(0);
        *largest = replica.bytes.max(*largest);
    }
    bytes
}
