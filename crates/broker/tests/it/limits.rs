//! What a client cannot do to the broker.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest};
use kafka_protocol::protocol::Decodable;
use thalweg_broker::{BrokerHandle, BrokerOptions};
use thalweg_core::partition_log::LogStore;

use crate::client::{Client, batch, name, options, produce, start};
use crate::memory_log::MemoryLog;

fn broker(change: impl FnOnce(&mut BrokerOptions)) -> BrokerHandle {
    let mut options = options();
    change(&mut options);
    start(Arc::new(MemoryLog::default()), options)
}

/// Start of a frame: key, version, correlation id, no client id.
fn header(key: i16, version: i16) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(77);
    frame.put_i16(-1);
    frame
}

#[tokio::test]
async fn a_newer_api_versions_request_is_answered_in_version_0() {
    let broker = broker(|_| {});
    let mut client = Client::connect(&broker).await;
    let mut frame = header(18, 99);
    frame.put_slice(&[1, 2, 3]);
    client.send_frame(&frame).await;
    let mut answer = client.receive_frame().await.expect("an answer").slice(4..);
    let answer = ApiVersionsResponse::decode(&mut answer, 0).expect("version 0");
    assert_eq!(answer.error_code, 35);
    assert_eq!((answer.api_keys[0].api_key, answer.api_keys[0].max_version), (18, 4));
    assert!(client.answers().await, "the connection goes on");
}

#[tokio::test]
async fn what_is_no_request_ends_the_connection() {
    let broker = broker(|_| {});
    let huge_count = {
        let mut frame = header(3, 1);
        frame.put_i32(i32::MAX);
        frame
    };
    let cases: &[(&str, Vec<u8>)] = &[
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("a TLS hello", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
        ("a negative length", vec![0xff; 20]),
        ("a length of nothing", vec![0; 20]),
        ("an unknown API", framed(&header(999, 0))),
        ("a transaction API", framed(&header(24, 0))),
        ("a version that is too new", framed(&header(3, 99))),
        ("produce version 0", framed(&header(0, 0))),
        ("a count beyond the request", framed(&huge_count)),
        ("a client id beyond the request", framed(&[0, 3, 0, 1, 0, 0, 0, 1, 0x7f, 0xff])),
    ];
    for (what, bytes) in cases {
        let mut client = Client::connect(&broker).await;
        client.send_raw(bytes).await;
        assert!(client.is_closed().await, "{what}");
    }
    assert!(Client::connect(&broker).await.answers().await, "others are not concerned");
}

fn framed(frame: &[u8]) -> Vec<u8> {
    let mut out = (frame.len() as i32).to_be_bytes().to_vec();
    out.extend_from_slice(frame);
    out
}

#[tokio::test]
async fn a_frame_that_is_too_large_ends_the_connection() {
    let broker = broker(|options| {
        options.limits.frame_bytes = 10_000;
        options.limits.control_frame_bytes = 1_000;
    });
    for (key, length, closed) in [(3, 1_001, true), (0, 10_001, true), (0, 10_000, false)] {
        let mut client = Client::connect(&broker).await;
        let mut start = BytesMut::new();
        start.put_i32(length);
        start.put_slice(&header(key, 9));
        client.send_raw(&start).await;
        let ended = tokio::time::timeout(Duration::from_millis(100), client.is_closed()).await;
        assert_eq!(ended.unwrap_or(false), closed, "{key} {length}");
    }
}

#[tokio::test]
async fn a_stalled_request_is_given_up() {
    let broker = broker(|options| {
        options.limits.frame_timeout = Duration::from_millis(50);
        options.limits.idle_timeout = Duration::from_secs(600);
    });
    for part in [&[0, 0][..], &[0, 0, 0, 100, 0, 18, 0], &[0, 1, 0, 0, 0, 0, 0, 9]] {
        let mut client = Client::connect(&broker).await;
        client.send_raw(part).await;
        assert!(client.is_closed().await);
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let broker = broker(|options| options.limits.idle_timeout = Duration::from_millis(50));
    let mut client = Client::connect(&broker).await;
    assert!(client.answers().await);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn connections_are_counted() {
    let broker = broker(|options| options.limits.connections = 2);
    let mut one = Client::connect(&broker).await;
    let mut two = Client::connect(&broker).await;
    assert!(one.answers().await && two.answers().await);
    assert!(Client::connect(&broker).await.is_closed().await, "one too many");
    drop(one);
    // The place is free again as soon as the broker has seen the end.
    let free = async {
        loop {
            let mut next = Client::connect(&broker).await;
            next.send(0, &ApiVersionsRequest::default()).await;
            if next.receive_frame().await.is_some() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), free).await.expect("a place");
    assert!(two.answers().await);
}

#[tokio::test]
async fn connections_of_an_address_are_counted() {
    let broker = broker(|options| options.limits.connections_per_ip = 1);
    let mut one = Client::connect(&broker).await;
    assert!(one.answers().await);
    assert!(Client::connect(&broker).await.is_closed().await, "one too many");
    assert!(one.answers().await, "the first is not concerned");
}

/// Requests larger than the whole budget still get their turn, one at a time.
#[tokio::test]
async fn the_memory_for_requests_is_shared() {
    let broker = broker(|options| options.limits.request_bytes = 20_000);
    let value = "x".repeat(50_000);
    let mut tasks = Vec::new();
    Client::connect(&broker).await.create("topic").await;
    for _ in 0..8 {
        let (mut client, batch) = (Client::connect(&broker).await, batch(&[&value]));
        tasks.push(tokio::spawn(async move {
            for _ in 0..10 {
                let answer = client.call(9, &produce("topic", batch.clone(), -1)).await;
                assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
            }
        }));
    }
    for task in tasks {
        task.await.expect("a client");
    }
}

/// What is left over is answered so that clients ask again, and then it is its turn.
#[tokio::test]
async fn one_request_creates_so_many_topics_and_no_more() {
    let mut options = options();
    options.limits.auto_created_partitions = 10;
    options.default_partitions = 3;
    let log = Arc::new(MemoryLog::default());
    let broker = start(log.clone(), options);
    let mut client = Client::connect(&broker).await;
    let topic = |n| MetadataRequestTopic::default().with_name(Some(name(&format!("new-{n}"))));
    let request = MetadataRequest::default()
        .with_topics(Some((0..5_000).map(topic).collect()))
        .with_allow_auto_topic_creation(true);
    for round in 1..=2 {
        let answer = client.call(9, &request).await;
        assert_eq!(answer.topics.len(), 5_000);
        let codes = answer.topics.iter().map(|topic| topic.error_code);
        let (created, refused): (Vec<i16>, Vec<i16>) = codes.partition(|code| *code == 0);
        assert_eq!(created.len(), 3 * round, "three of three partitions in each round");
        assert!(refused.iter().all(|code| *code == 5), "LEADER_NOT_AVAILABLE");
        let named = log.topics().into_iter().filter(|topic| topic.name.starts_with("new-"));
        assert_eq!(named.count(), 3 * round);
    }
}

#[tokio::test]
async fn shutdown_ends_connections() {
    let broker = broker(|_| {});
    let mut client = Client::connect(&broker).await;
    assert!(client.answers().await);
    broker.shutdown().await;
    assert!(client.is_closed().await);
}
