//! `thalweg consume`: prints the records of a topic, as a group member or on its own.

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use clap::Args;
use krafka::Kafka;
use krafka::admin::DescribeTopicsOptions;
use krafka::consumer::{
    AutoOffsetReset, Consumer, ConsumerRecord, OffsetAndMetadata, TopicPartition,
};

use super::Failure;
use super::client::{KafkaOptions, block_on};
use super::consume_format::ConsumeFormat;

/// How long one poll waits for records.
const POLL: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    kafka: KafkaOptions,
    /// Topic to read
    topic: String,
    /// Join this consumer group and commit what was printed
    #[arg(short, long)]
    group: Option<String>,
    /// Stop at the end, as it was at the start
    #[arg(short, long)]
    exit_on_end: bool,
    /// Stop after so many records
    #[arg(short = 'n', long, value_name = "N", visible_short_alias = 'c')]
    count: Option<u64>,
    /// Where to start: start, end, or an offset in each partition
    #[arg(short, long, default_value = "start", value_name = "WHERE")]
    offset: String,
    /// How to print a record: %t %p %o %k %v %d %h %K %S, \n; else one JSON object a line
    #[arg(short, long)]
    format: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let format = options.format.as_deref().map(ConsumeFormat::parse).transpose();
    let format = format.map_err(Failure::Usage)?;
    block_on(consume(options, format.as_ref()))
}

async fn consume(options: &Options, format: Option<&ConsumeFormat>) -> Result<(), Failure> {
    let kafka = options.kafka.connect().await?;
    let partitions = partitions(&kafka, &options.topic).await?;
    let consumer = consumer(options, &kafka, &partitions).await?;
    let mut ends = if options.exit_on_end {
        Some(open_ends(&consumer, &options.topic, &partitions).await?)
    } else {
        None
    };
    let mut printed = 0;
    let mut out = Vec::new();
    while options.count.is_none_or(|count| printed < count) {
        if ends.as_ref().is_some_and(HashMap::is_empty) {
            break;
        }
        let records = consumer.poll(POLL).await.map_err(Failure::running)?;
        out.clear();
        let mut last = HashMap::new();
        for record in &records {
            if options.count.is_some_and(|count| printed >= count) {
                break;
            }
            write_record(record, format, &mut out);
            printed += 1;
            last.insert(record.partition, record.offset + 1);
        }
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&out)?;
        stdout.flush()?;
        drop(stdout);
        if options.group.is_some() && !last.is_empty() {
            let offsets = last.iter().map(|(&partition, &next)| {
                (TopicPartition::new(&*options.topic, partition), OffsetAndMetadata::new(next))
            });
            consumer.commit_offsets(offsets).await.map_err(Failure::running)?;
        }
        if let Some(ends) = &mut ends {
            reached(&consumer, &options.topic, ends).await;
        }
    }
    consumer.close().await.map_err(Failure::running)
}

async fn partitions(kafka: &Kafka, topic: &str) -> Result<Vec<i32>, Failure> {
    let admin = kafka.admin();
    let mut topics = admin
        .describe_topics([topic], DescribeTopicsOptions::default())
        .await
        .map_err(Failure::running)?;
    match topics.remove(topic) {
        Some(Ok(description)) => {
            Ok(description.partitions.iter().map(|partition| partition.partition).collect())
        }
        Some(Err(error)) => Err(Failure::Running(format!("topic '{topic}': {error}"))),
        None => Err(Failure::Running(format!("topic '{topic}' does not exist"))),
    }
}

async fn consumer(
    options: &Options,
    kafka: &Kafka,
    partitions: &[i32],
) -> Result<Consumer, Failure> {
    let reset = match options.offset.as_str() {
        "start" | "beginning" | "earliest" => AutoOffsetReset::Earliest,
        "end" | "latest" => AutoOffsetReset::Latest,
        _ => AutoOffsetReset::None,
    };
    let builder = match &options.group {
        Some(group) => kafka.consumer(group),
        None => kafka.consumer_without_group(),
    };
    let from = match reset {
        AutoOffsetReset::None => Some(options.offset.parse::<i64>().map_err(|_| {
            Failure::Usage(format!("'{}' is neither start, end nor an offset", options.offset))
        })?),
        _ => None,
    };
    let builder = builder.enable_auto_commit(false).auto_offset_reset(if from.is_some() {
        AutoOffsetReset::Earliest
    } else {
        reset
    });
    let consumer = builder.build().await.map_err(Failure::running)?;
    if options.group.is_some() {
        consumer.subscribe([&options.topic]).await.map_err(Failure::running)?;
    } else {
        consumer.assign(&options.topic, partitions.to_vec()).await.map_err(Failure::running)?;
        if let Some(from) = from {
            for &partition in partitions {
                consumer.seek(&options.topic, partition, from).await.map_err(Failure::running)?;
            }
        }
    }
    Ok(consumer)
}

/// The partitions that hold records now, with their ends.
async fn open_ends(
    consumer: &Consumer,
    topic: &str,
    partitions: &[i32],
) -> Result<HashMap<i32, i64>, Failure> {
    let mut ends = HashMap::new();
    for &partition in partitions {
        let (start, end) =
            consumer.fetch_watermarks(topic, partition).await.map_err(Failure::running)?;
        if end > start {
            ends.insert(partition, end);
        }
    }
    Ok(ends)
}

/// Drops the partitions whose end the consumer has reached.
async fn reached(consumer: &Consumer, topic: &str, ends: &mut HashMap<i32, i64>) {
    let mut open = HashMap::new();
    for (&partition, &end) in ends.iter() {
        let position = consumer.position(topic, partition).await;
        if position.is_none_or(|position| position < end) {
            open.insert(partition, end);
        }
    }
    *ends = open;
}

fn write_record(record: &ConsumerRecord, format: Option<&ConsumeFormat>, out: &mut Vec<u8>) {
    if let Some(format) = format {
        return format.write(record, out);
    }
    let text = |bytes: &Option<bytes::Bytes>| {
        bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let mut object = serde_json::Map::new();
    object.insert("topic".to_owned(), (*record.topic).into());
    object.insert("partition".to_owned(), record.partition.into());
    object.insert("offset".to_owned(), record.offset.into());
    object.insert("timestamp".to_owned(), record.timestamp.into());
    object.insert("key".to_owned(), text(&record.key).into());
    object.insert("value".to_owned(), text(&record.value).into());
    if !record.headers.is_empty() {
        let headers = record
            .headers
            .iter()
            .map(|(key, value)| serde_json::json!({ "key": key, "value": text(value) }));
        object.insert("headers".to_owned(), headers.collect());
    }
    out.extend_from_slice(serde_json::Value::Object(object).to_string().as_bytes());
    out.push(b'\n');
}
