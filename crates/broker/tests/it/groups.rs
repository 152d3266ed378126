//! Groups: commits and what is remembered of them.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest};
use thalweg_broker::{CommitError, GroupState};
use thalweg_core::ids::TopicPartition;
use tokio::time::timeout;

use crate::client::{Client, name, options, start, text};
use crate::memory_log::MemoryLog;

fn commit(group: &str, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(name("topic"))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default().with_group_id(GroupId(text(group))).with_topics(vec![topic])
}

fn code(answer: &kafka_protocol::messages::OffsetCommitResponse) -> i16 {
    answer.topics[0].partitions[0].error_code
}

fn at(partition: i32) -> TopicPartition {
    TopicPartition::new("topic", partition)
}

#[tokio::test]
async fn a_commit_is_answered_when_it_is_durable() {
    let log = Arc::new(MemoryLog::default());
    let broker = start(log.clone(), options());
    let mut client = Client::connect(&broker).await;
    client.create("topic").await;
    log.hold(true);
    client.send(8, &commit("group", 5)).await;
    assert!(timeout(Duration::from_millis(100), client.receive_frame()).await.is_err());
    log.hold(false);
    assert_eq!(code(&client.receive::<OffsetCommitRequest>(8).await.1), 0);
    log.fill_disk(true);
    assert_eq!(code(&client.call(8, &commit("group", 6)).await), 15, "retriable");
    let group = broker.describe_group("group").expect("group");
    assert_eq!(group.offsets[0].1.offset, 5, "what was not written is not true");
    log.fill_disk(false);
    assert_eq!(code(&client.call(8, &commit("group", 6)).await), 0);
}

#[tokio::test]
async fn a_job_commits_from_inside() {
    let broker = start(Arc::new(MemoryLog::default()), options());
    let offsets = vec![(at(0), 7, "epoch 3".to_owned()), (at(1), 8, String::new())];
    broker.commit_group_offsets("job", offsets).await.expect("commit");
    let group = broker.describe_group("job").expect("group");
    assert_eq!(group.summary.state, GroupState::Empty);
    let found: Vec<_> = group.offsets.iter().map(|(at, o)| (at.clone(), o.offset)).collect();
    assert_eq!(found, [(at(0), 7), (at(1), 8)]);
    assert_eq!(group.offsets[0].1.metadata, "epoch 3");
    assert_eq!(broker.groups().len(), 1);
    let nameless = broker.commit_group_offsets("", vec![(at(0), 1, String::new())]).await;
    assert!(matches!(nameless, Err(CommitError::Refused { .. })));
}

/// The internal topic grows with every commit; what it still needs does not.
#[tokio::test]
async fn what_is_remembered_is_written_anew_before_it_grows_without_bound() {
    let log = Arc::new(MemoryLog::default());
    let mut broker = start(log.clone(), options());
    for round in 0..60 {
        let offsets = (0..5_000).map(|partition| (at(partition), round, String::new())).collect();
        broker.commit_group_offsets("job", offsets).await.expect("commit");
    }
    let pinned = log.pinned("__consumer_offsets");
    assert!(pinned > 100_000, "pinned from {pinned} of 300000 on");
    for _ in 0..2 {
        broker.shutdown().await;
        broker = start(log.clone(), options());
        let again = log.pinned("__consumer_offsets");
        assert!(again >= pinned, "pinned from {again} of more than {pinned} on");
        let group = broker.describe_group("job").expect("group");
        assert_eq!(group.offsets.len(), 5_000);
        assert!(group.offsets.iter().all(|(_, offset)| offset.offset == 59));
    }
}
