//! Fetch: waiting, waking, limits.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use tokio::time::{Instant, timeout};

use crate::client::{Client, batch, name, options, start};
use crate::memory_log::MemoryLog;

/// Longer than any test: a fetch that sleeps through its wait fails the test.
const LONG_MS: i32 = 60_000;
const SOON: Duration = Duration::from_secs(10);

async fn bench() -> (Arc<MemoryLog>, thalweg_broker::BrokerHandle, Client, Client) {
    let log = Arc::new(MemoryLog::default());
    let broker = start(log.clone(), options());
    let mut writer = Client::connect(&broker).await;
    let reader = Client::connect(&broker).await;
    writer.create("topic").await;
    writer.create("other").await;
    (log, broker, writer, reader)
}

fn fetch(topics: &[(&str, i64)], max_wait_ms: i32, min_bytes: i32) -> FetchRequest {
    let topic = |(topic, offset): &(&str, i64)| {
        let partition =
            FetchPartition::default().with_fetch_offset(*offset).with_partition_max_bytes(1 << 20);
        FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition])
    };
    FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(min_bytes)
        .with_max_bytes(50 << 20)
        .with_topics(topics.iter().map(topic).collect())
}

async fn partitions(reader: &mut Client, request: &FetchRequest) -> Vec<PartitionData> {
    let answer = timeout(SOON, reader.call(12, request)).await.expect("an answer, soon");
    assert_eq!((answer.error_code, answer.session_id), (0, 0));
    answer.responses.into_iter().flat_map(|topic| topic.partitions).collect()
}

fn bytes(partition: &PartitionData) -> usize {
    partition.records.as_ref().map_or(0, bytes::Bytes::len)
}

#[tokio::test]
async fn a_waiting_fetch_is_woken_by_an_append() {
    let (_log, _broker, mut writer, mut reader) = bench().await;
    reader.send(12, &fetch(&[("topic", 0), ("other", 0)], LONG_MS, 1)).await;
    assert!(timeout(Duration::from_millis(50), reader.receive_frame()).await.is_err());
    writer.produce("other", &["a"]).await;
    let answer = timeout(SOON, reader.receive::<FetchRequest>(12)).await.expect("woken").1;
    assert_eq!(bytes(&answer.responses[0].partitions[0]), 0);
    assert_eq!(bytes(&answer.responses[1].partitions[0]), batch(&["a"]).len());
}

#[tokio::test]
async fn what_is_not_durable_is_not_read() {
    let (log, _broker, mut writer, mut reader) = bench().await;
    log.hold(true);
    writer.send(9, &crate::client::produce("topic", batch(&["a"]), -1)).await;
    reader.send(12, &fetch(&[("topic", 0)], LONG_MS, 1)).await;
    assert!(timeout(Duration::from_millis(50), reader.receive_frame()).await.is_err());
    log.hold(false);
    let answer = timeout(SOON, reader.receive::<FetchRequest>(12)).await.expect("woken").1;
    assert_eq!(answer.responses[0].partitions[0].high_watermark, 1);
}

#[tokio::test]
async fn a_fetch_waits_for_as_many_bytes_as_it_wants() {
    let (_log, _broker, mut writer, mut reader) = bench().await;
    let one = batch(&["a"]).len();
    reader.send(12, &fetch(&[("topic", 0)], LONG_MS, 3 * one as i32)).await;
    for round in 0..3 {
        assert!(
            timeout(Duration::from_millis(20), reader.receive_frame()).await.is_err(),
            "{round}"
        );
        writer.produce("topic", &["a"]).await;
    }
    let answer = timeout(SOON, reader.receive::<FetchRequest>(12)).await.expect("enough").1;
    let records = answer.responses[0].partitions[0].records.clone().expect("records");
    // Read in three steps, and still one batch after the other.
    assert_eq!(records.len(), 3 * one);
    let offsets: Vec<_> = records.chunks(one).map(|batch| batch[7]).collect();
    assert_eq!(offsets, [0, 1, 2]);
}

#[tokio::test]
async fn a_fetch_that_waited_in_vain_is_empty() {
    let (_log, _broker, _writer, mut reader) = bench().await;
    let began = Instant::now();
    let found = partitions(&mut reader, &fetch(&[("topic", 0)], 100, 1)).await;
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!((found[0].error_code, bytes(&found[0])), (0, 0));
}

#[tokio::test]
async fn the_first_batch_comes_whole_and_the_limits_hold_after_it() {
    let (_log, _broker, mut writer, mut reader) = bench().await;
    let large = "x".repeat(10_000);
    for topic in ["topic", "topic", "other"] {
        writer.produce(topic, &[&large]).await;
    }
    let one = batch(&[&large]).len();
    let mut request = fetch(&[("topic", 0), ("other", 0)], LONG_MS, 1).with_max_bytes(1);
    let found = partitions(&mut reader, &request).await;
    assert_eq!((bytes(&found[0]), bytes(&found[1])), (one, 0));
    request.max_bytes = 50 << 20;
    for topic in &mut request.topics {
        topic.partitions[0].partition_max_bytes = 100;
    }
    let found = partitions(&mut reader, &request).await;
    assert_eq!((bytes(&found[0]), bytes(&found[1])), (one, one));
}

#[tokio::test]
async fn errors_are_answered_at_once() {
    let (_log, _broker, _writer, mut reader) = bench().await;
    let found = partitions(&mut reader, &fetch(&[("topic", 5)], LONG_MS, 1)).await;
    assert_eq!(found[0].error_code, 1, "offset out of range");
    let found = partitions(&mut reader, &fetch(&[("topic", 0), ("no", 0)], LONG_MS, 1)).await;
    assert_eq!((found[0].error_code, found[1].error_code), (0, 3));
    let mut newer = fetch(&[("topic", 0)], LONG_MS, 1);
    newer.topics[0].partitions[0].current_leader_epoch = 3;
    assert_eq!(partitions(&mut reader, &newer).await[0].error_code, 75);
    let session = fetch(&[("topic", 0)], LONG_MS, 1).with_session_id(9).with_session_epoch(1);
    assert_eq!(reader.call(12, &session).await.error_code, 70);
}
