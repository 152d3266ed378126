//! The Kafka door as a client sees it: connecting, making topics, reading one whole.

use std::time::Duration;

use anyhow::{Context, bail};
use krafka::admin::{
    CreateTopicsOptions, DescribeTopicsOptions, ListOffsetsOptions, ListTopicsOptions, NewTopic,
    OffsetSpec,
};
use krafka::consumer::{AutoOffsetReset, Consumer, IsolationLevel, TopicPartition};
use krafka::{ConsumerRecord, Kafka};

use crate::model::{Log, Stored};

/// A connection whose requests give up after `patience`.
pub(crate) async fn connect(address: &str, patience: Duration) -> krafka::Result<Kafka> {
    Kafka::builder(address)
        .client_id("kill-test")
        .connect_timeout(patience)
        .request_timeout(patience)
        .metadata_recovery_rebootstrap_trigger(Duration::from_secs(5))
        .connect()
        .await
}

/// Makes a topic.
pub(crate) async fn create_topic(
    kafka: &Kafka,
    name: &str,
    partitions: i32,
    segment_bytes: u32,
) -> anyhow::Result<()> {
    let topic = NewTopic::new(name, partitions, 1)?;
    let topic = topic.with_config("segment.bytes", segment_bytes.to_string());
    let made = kafka.admin().create_topics([topic], CreateTopicsOptions::default()).await?;
    made.into_iter().try_for_each(|(name, result)| result.with_context(|| format!("topic {name}")))
}

/// A consumer that belongs to no group and begins at the beginning.
pub(crate) async fn consumer(
    kafka: &Kafka,
    isolation: IsolationLevel,
    topics: &[String],
) -> krafka::Result<Consumer> {
    let consumer = kafka
        .consumer_without_group()
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .isolation_level(isolation)
        .fetch_max_wait(Duration::from_millis(100))
        .metrics_push(false)
        .build()
        .await?;
    consumer.subscribe(topics).await?;
    Ok(consumer)
}

/// Number of partitions of a topic; `None` where there is no such topic.
pub(crate) async fn partitions(kafka: &Kafka, topic: &str) -> anyhow::Result<Option<i32>> {
    let options = DescribeTopicsOptions::default();
    let described = kafka.admin().describe_topics([topic], options).await?;
    Ok(match described.into_values().next() {
        Some(Ok(description)) => Some(i32::try_from(description.partitions.len())?),
        _ => None,
    })
}

/// The end of each partition, as a reader of committed data sees it.
pub(crate) async fn ends(kafka: &Kafka, topic: &str) -> anyhow::Result<Vec<i64>> {
    let count = partitions(kafka, topic).await?.unwrap_or(0);
    let specs = (0..count).map(|p| (TopicPartition::new(topic, p), OffsetSpec::Latest));
    let options = ListOffsetsOptions::default().read_committed(true);
    let listed = kafka.admin().list_offsets(specs, options).await?;
    let mut ends = vec![0; usize::try_from(count)?];
    for (partition, listed) in listed {
        ends[usize::try_from(partition.partition())?] = listed?.offset;
    }
    Ok(ends)
}

fn stored(record: ConsumerRecord) -> Stored {
    let mut stored = Stored::new(record.offset, record.value.unwrap_or_default());
    for (name, value) in record.headers {
        let text = value.and_then(|value| String::from_utf8(value.to_vec()).ok());
        stored.headers.extend(text.map(|text| (name, text)));
    }
    stored
}

/// Names of all topics.
pub(crate) async fn topics(address: &str) -> anyhow::Result<Vec<String>> {
    let kafka = connect(address, Duration::from_secs(10)).await?;
    Ok(kafka.admin().list_topics(ListTopicsOptions::default()).await?)
}

/// Reads a topic from the beginning to its present end. No topic is an empty one.
pub(crate) async fn read_all(
    address: &str,
    topic: &str,
    deadline: Duration,
) -> anyhow::Result<Log> {
    // A connection of its own: nothing cached by others can hide what is there.
    let kafka = connect(address, Duration::from_secs(10)).await?;
    let ends = ends(&kafka, topic).await?;
    let mut log: Log = vec![Vec::new(); ends.len()];
    if ends.iter().all(|&end| end == 0) {
        return Ok(log);
    }
    let topics = [topic.to_owned()];
    let consumer = consumer(&kafka, IsolationLevel::ReadCommitted, &topics).await?;
    let mut read = vec![0; ends.len()];
    let reading = tokio::time::timeout(deadline, async {
        while read.iter().zip(&ends).any(|(read, end)| read < end) {
            for record in consumer.poll(Duration::from_millis(500)).await? {
                log[usize::try_from(record.partition)?].push(stored(record));
            }
            // Markers and aborted records are passed over: nothing is handed out for them.
            for (partition, read) in read.iter_mut().enumerate() {
                let position = consumer.position(topic, i32::try_from(partition)?).await;
                *read = position.unwrap_or(*read);
            }
        }
        anyhow::Ok(())
    });
    match reading.await {
        Ok(result) => result?,
        Err(_) => bail!("topic {topic}: read up to {read:?} after {deadline:?}, ends are {ends:?}"),
    }
    consumer.close().await?;
    Ok(log)
}
