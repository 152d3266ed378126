//! What clients can make the broker hold, and who waits for whom when it is used up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, FetchRequest, MetadataRequest,
};
use kafka_protocol::protocol::Encodable;
use thalweg_broker::{BrokerHandle, BrokerOptions};
use thalweg_core::authorizer::{Authorizer, Operation, Principal, Resource};
use thalweg_core::partition_log::LogStore;
use tokio::time::timeout;

use crate::client::{Client, batch, name, options, produce, start, text};
use crate::memory_log::MemoryLog;

const SOON: Duration = Duration::from_secs(10);
/// Nothing more happens when nothing has happened for so long.
const QUIET: Duration = Duration::from_millis(200);
const POLICY_VIOLATION: i16 = 44;
const INVALID_CONFIG: i16 = 40;

fn broker(change: impl FnOnce(&mut BrokerOptions)) -> (Arc<MemoryLog>, BrokerHandle) {
    let log = Arc::new(MemoryLog::default());
    let mut options = options();
    change(&mut options);
    let broker = start(log.clone(), options);
    (log, broker)
}

fn fetch(topic: &str) -> FetchRequest {
    let partition = FetchPartition::default().with_partition_max_bytes(50 << 20);
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(50 << 20)
        .with_topics(vec![topic])
}

async fn fetched_bytes(client: &mut Client, topic: &str) -> usize {
    let answer = timeout(SOON, client.call(11, &fetch(topic))).await.expect("an answer, soon");
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    partition.records.as_ref().map_or(0, bytes::Bytes::len)
}

/// One large batch, and many who fetch it and do not read: memory stays bounded, others
/// get small batches, and one who reads gets the large one when the others are let go.
#[tokio::test]
async fn readers_that_do_not_read_take_no_more_than_the_budget() {
    const BATCH: usize = 10 << 20;
    const BUDGET: usize = 32 << 20;
    let (log, broker) = broker(|options| {
        options.limits.fetch_bytes = BUDGET;
        options.limits.reader_timeout = Duration::from_millis(500);
    });
    let config = [("max.message.bytes".to_owned(), (16 << 20).to_string())];
    log.create_topic("large", 1, &config).expect("a topic");
    let large = batch(&[&"x".repeat(BATCH)]);
    log.partition("large", 0).expect("partition").append(large.clone()).expect("append");
    let mut reader = Client::connect(&broker).await;
    reader.create("small").await;
    reader.produce("small", &["a"]).await;
    let mut hogs = Vec::new();
    for _ in 0..12 {
        let mut hog = Client::connect(&broker).await;
        hog.send(11, &fetch("large")).await;
        hogs.push(hog);
    }
    assert_eq!(fetched_bytes(&mut reader, "small").await, batch(&["a"]).len());
    let whole = async { while fetched_bytes(&mut reader, "large").await < large.len() {} };
    timeout(Duration::from_secs(30), whole).await.expect("its turn");
    assert!(log.read_bytes_most() <= BUDGET, "{} bytes were held", log.read_bytes_most());
    drop(hogs);
}

/// Counts how often it is asked about topics.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Authorizer for Counting {
    fn authorize(&self, _: &Principal, _: Operation, resource: Resource<'_>) -> bool {
        let counts = matches!(resource, Resource::Topic(_));
        self.0.fetch_add(usize::from(counts), Ordering::Relaxed);
        true
    }
}

/// Waits until a counter moves no more.
async fn settled(counter: &AtomicUsize) -> usize {
    loop {
        let before = counter.load(Ordering::Relaxed);
        tokio::time::sleep(QUIET).await;
        if counter.load(Ordering::Relaxed) == before {
            return before;
        }
    }
}

#[tokio::test]
async fn answers_are_not_made_faster_than_they_are_read() {
    const REQUESTS: usize = 120;
    let asked = Arc::new(Counting::default());
    let (log, broker) = broker(|options| {
        options.limits.answer_bytes = 16 << 20;
        options.authorizer = asked.clone();
    });
    log.create_topic("wide", 10_000, &[]).expect("a topic");
    let wide = MetadataRequestTopic::default().with_name(Some(name("wide")));
    let request = MetadataRequest::default().with_topics(Some(vec![wide]));
    let (mut hog, mut other) = (Client::connect(&broker).await, Client::connect(&broker).await);
    for _ in 0..REQUESTS {
        hog.send(1, &request).await;
    }
    let made = settled(&asked.0).await;
    assert!((1..80).contains(&made), "{made} answers of 260 kB wait for one reader");
    let described = timeout(SOON, other.call(1, &request)).await.expect("others are answered");
    assert_eq!(described.topics[0].partitions.len(), 10_000);
    for _ in 0..REQUESTS {
        let (_, answer) = hog.receive::<MetadataRequest>(1).await;
        assert_eq!(answer.topics[0].partitions.len(), 10_000);
    }
}

fn create(topics: &[(&str, i32)]) -> CreateTopicsRequest {
    let topic = |(topic, partitions): &(&str, i32)| {
        CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(*partitions)
            .with_replication_factor(1)
    };
    CreateTopicsRequest::default()
        .with_topics(topics.iter().map(topic).collect())
        .with_timeout_ms(1_000)
}

#[tokio::test]
async fn partitions_are_limited_in_a_request_and_in_all() {
    let (log, broker) = broker(|options| options.limits.partitions = 5_012);
    let mut client = Client::connect(&broker).await;
    let mut codes = async |request: CreateTopicsRequest| -> Vec<i16> {
        let answer = client.call(5, &request).await;
        answer.topics.iter().map(|topic| topic.error_code).collect()
    };
    let request = create(&[("a", 5_000), ("b", 5_001)]);
    assert_eq!(codes(request).await, [POLICY_VIOLATION; 2]);
    assert!(log.topic("a").is_none() && log.topic("b").is_none());
    let internal: i32 = log.topics().iter().map(|topic| topic.partitions).sum();
    let free = 12 - internal;
    assert_eq!(codes(create(&[("a", 5_000), ("b", free)])).await, [0, 0]);
    assert_eq!(codes(create(&[("c", 1)])).await, [POLICY_VIOLATION]);
    let named = MetadataRequestTopic::default().with_name(Some(name("d")));
    let request = MetadataRequest::default().with_topics(Some(vec![named]));
    let answer = client.call(1, &request).await;
    assert_eq!(answer.topics[0].error_code, POLICY_VIOLATION, "nor on first use");
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![name("b")]);
    assert_eq!(client.call(3, &delete).await.responses[0].error_code, 0);
    let answer = client.call(5, &create(&[("c", 1)])).await;
    assert_eq!(answer.topics[0].error_code, 0, "room again");
}

#[tokio::test]
async fn batches_must_fit_into_memory_several_times() {
    let (_log, broker) = broker(|_| {});
    let mut client = Client::connect(&broker).await;
    for (bytes, code) in [(i32::MAX, INVALID_CONFIG), (65 << 20, INVALID_CONFIG), (64 << 20, 0)] {
        let config = CreatableTopicConfig::default()
            .with_name(text("max.message.bytes"))
            .with_value(Some(text(&bytes.to_string())));
        let mut request = create(&[("topic", 1)]);
        request.topics[0].configs = vec![config];
        let topic = &client.call(5, &request).await.topics[0];
        assert_eq!(topic.error_code, code, "{bytes}: {:?}", topic.error_message);
    }
}

/// Peers that name a length and then send little hold up nobody: neither small requests
/// nor long ones.
#[tokio::test]
async fn slow_senders_hold_up_nobody() {
    let (_log, broker) = broker(|options| {
        options.limits.request_bytes = 6 << 20;
        options.limits.frame_bytes = 4 << 20;
    });
    let mut client = Client::connect(&broker).await;
    client.create("topic").await;
    let mut frame = BytesMut::new();
    produce("topic", batch(&[&"x".repeat(3 << 20)]), -1).encode(&mut frame, 9).expect("encode");
    let mut slow = Vec::new();
    for sent in [100, 1_000, 100_000, 200_000] {
        let mut peer = Client::connect(&broker).await;
        peer.begin_frame(0, 9, frame.len(), &frame[..sent]).await;
        slow.push(peer);
    }
    assert!(timeout(SOON, client.answers()).await.expect("small requests pass"));
    let large = "x".repeat(900_000);
    let answer = timeout(SOON, client.produce("topic", &[&large])).await.expect("so do others");
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    // Those who go on get on.
    for (mut peer, sent) in slow.into_iter().zip([100, 1_000, 100_000, 200_000]) {
        peer.send_raw(&frame[sent..]).await;
        assert!(timeout(SOON, peer.receive_frame()).await.expect("an answer").is_some());
    }
}

#[tokio::test]
async fn a_request_has_to_be_there_in_time() {
    let (_log, broker) = broker(|options| {
        options.limits.frame_timeout = Duration::from_millis(200);
    });
    let mut client = Client::connect(&broker).await;
    client.begin_frame(18, 0, 10_000, &[]).await;
    // A byte now and then is not enough.
    let dripped = async {
        while timeout(Duration::from_millis(20), client.receive_frame()).await.is_err() {
            client.send_raw(&[0]).await;
        }
    };
    timeout(Duration::from_secs(3), dripped).await.expect("closed");
}
