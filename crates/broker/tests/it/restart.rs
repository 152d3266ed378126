//! A broker on the embedded log, ended and started again on the same directory.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::InitProducerIdRequest;
use thalweg_broker::{Broker, BrokerHandle, GroupOptions, TransactionOptions};
use thalweg_core::env::Env;
use thalweg_core::ids::TopicPartition;
use thalweg_core::partition_log::LogStore;
use thalweg_core::record_batch::{BatchBuilder, Compression, NewRecord};
use thalweg_log::{Log, LogOptions};

use crate::client::{Client, options, produce, start};

fn open(directory: &Path) -> (Arc<Log>, BrokerHandle) {
    let log = Log::open(Env::real(), directory, LogOptions::default()).expect("a log");
    let broker = start(log.clone(), options());
    (log, broker)
}

#[tokio::test]
async fn what_was_promised_is_there_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cluster_ids = Vec::new();
    let mut producer_ids = Vec::new();
    for round in 0..3_i64 {
        let (log, broker) = open(directory.path());
        let mut client = Client::connect(&broker).await;
        cluster_ids.push(broker.cluster_id());
        client.create("topic").await;
        let answer = client.produce("topic", &["a"]).await;
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (0, round));

        let request = InitProducerIdRequest::default().with_transactional_id(None);
        producer_ids.push(client.call(4, &request).await.producer_id.0);
        producer_ids.push(client.call(4, &request).await.producer_id.0);

        let at = TopicPartition::new("topic", 0);
        if let Some(group) = broker.describe_group("job") {
            assert_eq!(group.offsets[0].1.offset, round - 1);
        } else {
            assert_eq!(round, 0);
        }
        let offsets = vec![(at, round, String::new())];
        broker.commit_group_offsets("job", offsets).await.expect("commit");
        drop(client);
        broker.shutdown().await;
        log.close().expect("close");
    }
    assert!(cluster_ids.iter().all(|id| *id == cluster_ids[0]), "{cluster_ids:?}");
    let distinct: std::collections::BTreeSet<_> = producer_ids.iter().collect();
    assert_eq!(distinct.len(), producer_ids.len(), "{producer_ids:?}");
}

/// Jobs start before the door is open, and read and write offsets of groups.
#[tokio::test]
async fn offsets_are_there_before_the_door_is_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = TopicPartition::new("topic", 3);
    for round in 0..3 {
        let log = Log::open(Env::real(), directory.path(), LogOptions::default()).expect("a log");
        let state = Broker::open(
            Env::real(),
            log.clone(),
            GroupOptions::default(),
            TransactionOptions::default(),
        )
        .expect("state");
        let offsets = state.offsets();
        assert_eq!(offsets.committed("g", &at).expect("read"), (round > 0).then_some(round));
        assert_eq!(offsets.committed("other", &at).expect("read"), None);
        offsets.commit_soon("g", vec![(at.clone(), round + 1, String::new())]);
        assert_eq!(offsets.committed("g", &at).expect("read"), Some(round + 1));
        let broker = state.serve(options()).expect("a broker");
        let group = broker.describe_group("g").expect("the group");
        assert_eq!(group.offsets[0].1.offset, round + 1);
        broker.shutdown().await;
        log.close().expect("close");
        assert!(offsets.committed("g", &at).is_ok(), "what is durable can still be read");
    }
}

/// A producer that knows which of its records are refused may send the others again.
#[tokio::test]
async fn each_refused_record_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let (log, broker) = open(directory.path());
    let settings = [("cleanup.policy".to_owned(), "compact".to_owned())];
    log.create_topic("compacted", 1, &settings).expect("a topic");
    let mut client = Client::connect(&broker).await;
    let keyless: Vec<_> = (0..30).filter(|number| number % 10 == 3).collect();
    for codec in Compression::ALL {
        let mut batch = BatchBuilder::new(codec);
        for number in 0..30 {
            let key = (!keyless.contains(&number)).then_some(&b"key"[..]);
            batch
                .push(&NewRecord { key, value: Some(b"v"), ..NewRecord::default() })
                .expect("room");
        }
        let batch = batch.build().expect("a batch");
        for version in [7, 8, 9] {
            let answer = client.call(version, &produce("compacted", batch.clone(), -1)).await;
            let partition = &answer.responses[0].partition_responses[0];
            assert_eq!((partition.error_code, partition.base_offset), (87, -1));
            let named: Vec<_> = partition.record_errors.iter().map(|e| e.batch_index).collect();
            assert_eq!(named, if version < 8 { vec![] } else { keyless.clone() }, "{codec}");
            let first = partition.record_errors.first();
            let reason = first.map(|e| e.batch_index_error_message.as_deref().expect("a reason"));
            assert_eq!(reason.is_some_and(|reason| reason.contains("without a key")), version >= 8);
            assert_eq!(partition.error_message.is_some(), version >= 8);
        }
    }
    // Where the batch as a whole is at fault, no record is.
    let answer = client.call(9, &produce("compacted", Bytes::from_static(b"none"), -1)).await;
    let partition = &answer.responses[0].partition_responses[0];
    assert_eq!((partition.error_code, partition.record_errors.len()), (87, 0));
    drop(client);
    broker.shutdown().await;
    log.close().expect("close");
}
