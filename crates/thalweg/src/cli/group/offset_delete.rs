//! `thalweg group offset-delete`.

use clap::Args;
use krafka::Kafka;
use krafka::admin::DeleteConsumerGroupOffsetsOptions;
use krafka::consumer::TopicPartition;

use crate::cli::kafka_error::sentence;
use crate::cli::{Failure, topic_names};

#[derive(Args)]
pub(crate) struct Options {
    /// Name of the group
    name: String,
    /// A topic, or some of its partitions: TOPIC or TOPIC:0,1
    #[arg(short, long = "topic", required = true, value_name = "TOPIC[:N,...]")]
    topics: Vec<String>,
}

pub(super) async fn run(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let mut places = Vec::new();
    for text in &options.topics {
        let (name, partitions) = parse(text)?;
        let partitions = if partitions.is_empty() {
            let topics = topic_names::describe(kafka, &[name.to_owned()]).await?;
            topics.iter().flat_map(|t| t.partitions.iter().map(|p| p.partition)).collect()
        } else {
            partitions
        };
        places.extend(partitions.into_iter().map(|p| TopicPartition::new(name, p)));
    }
    let how = DeleteConsumerGroupOffsetsOptions::default();
    let results = kafka.admin().delete_consumer_group_offsets(&options.name, places, how).await?;
    let mut failed = Vec::new();
    for (place, result) in results {
        let at = format!("topic '{}', partition {}", place.topic(), place.partition());
        match result {
            Ok(()) => eprintln!("deleted the offset of group '{}' for {at}", options.name),
            Err(error) => {
                failed.push(format!("group '{}', {at}: {}", options.name, sentence(&error)));
            }
        }
    }
    failed.sort();
    if failed.is_empty() { Ok(()) } else { Err(Failure::Running(failed.join("\n"))) }
}

/// `TOPIC` or `TOPIC:0,1`.
fn parse(text: &str) -> Result<(&str, Vec<i32>), Failure> {
    let Some((name, partitions)) = text.split_once(':') else {
        return Ok((text, Vec::new()));
    };
    let partitions: Result<Vec<i32>, _> = partitions.split(',').map(str::parse).collect();
    let partitions = partitions
        .map_err(|_| Failure::Usage(format!("'{text}' is not TOPIC or TOPIC:0,1 (partitions)")))?;
    Ok((name, partitions))
}
