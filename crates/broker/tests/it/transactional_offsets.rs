//! Offsets committed in transactions, over sockets and on the embedded log.

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::*;

use crate::client::{Client, name, text};
use crate::transactional::{BOTH, Bench, Mode, NONE, Producer};

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_TXN_STATE: i16 = 48;
const UNSTABLE_OFFSET_COMMIT: i16 = 88;
const PRODUCER_FENCED: i16 = 90;
const TRANSACTION_ABORTABLE: i16 = 120;

fn version(mode: Mode) -> i16 {
    if mode == Mode::Classic { 4 } else { 5 }
}

impl Producer {
    /// Brings the group's offsets into the transaction where the protocol wants that.
    async fn add_offsets(&mut self) {
        if self.mode == Mode::EpochBump {
            return;
        }
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.named())
            .with_producer_id(ProducerId(self.id))
            .with_producer_epoch(self.epoch)
            .with_group_id(GroupId(text("group")));
        assert_eq!(self.client.call(3, &request).await.error_code, NONE);
    }

    fn offset(&self, offset: i64) -> TxnOffsetCommitRequest {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_committed_offset(offset)
            .with_committed_metadata(Some(text("so far")));
        let missing = TxnOffsetCommitRequestPartition::default().with_partition_index(9);
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(name("topic"))
            .with_partitions(vec![missing, partition]);
        TxnOffsetCommitRequest::default()
            .with_transactional_id(self.named())
            .with_group_id(GroupId(text("group")))
            .with_producer_id(ProducerId(self.id))
            .with_producer_epoch(self.epoch)
            .with_topics(vec![topic])
    }

    /// Commits an offset in the transaction; the code.
    async fn commit(&mut self, version: i16, request: &TxnOffsetCommitRequest) -> i16 {
        let answer = self.client.call(version, request).await;
        let [missing, partition] = &answer.topics[0].partitions[..] else { panic!("two") };
        assert_eq!((missing.partition_index, missing.error_code), (9, 3));
        partition.error_code
    }
}

/// Offset of the group, and code; asked for by one who wants only what is stable, or not.
async fn offset(bench: &Bench, stable: bool) -> (i64, i16) {
    let mut client = Client::connect(&bench.broker).await;
    let topic = OffsetFetchRequestTopics::default()
        .with_name(name("topic"))
        .with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text("group")))
        .with_topics(Some(vec![topic]));
    let request =
        OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(stable);
    let answer = client.call(9, &request).await;
    let found = &answer.groups[0].topics[0].partitions[0];
    (found.committed_offset, found.error_code)
}

#[tokio::test]
async fn offsets_count_with_their_transaction() {
    for mode in BOTH {
        let mut bench = Bench::new();
        let mut producer = Producer::new(&bench.broker, "tx", mode).await;
        let mut expected = -1;
        for (round, commits) in [(1, true), (2, false), (3, true)] {
            producer.write(0, "a").await;
            producer.add_offsets().await;
            let request = producer.offset(round);
            assert_eq!(producer.commit(version(mode), &request).await, NONE);
            for _ in 0..2 {
                assert_eq!(offset(&bench, false).await, (expected, NONE));
                assert_eq!(offset(&bench, true).await, (-1, UNSTABLE_OFFSET_COMMIT));
                bench = bench.restart().await;
                producer.client = Client::connect(&bench.broker).await;
            }
            assert_eq!(producer.end(commits).await, NONE);
            expected = if commits { round } else { expected };
            for _ in 0..2 {
                assert_eq!(offset(&bench, true).await, (expected, NONE));
                bench = bench.restart().await;
                producer.client = Client::connect(&bench.broker).await;
            }
        }
    }
}

#[tokio::test]
async fn every_version_is_verified() {
    let bench = Bench::new();
    let mut producer = Producer::new(&bench.broker, "tx", Mode::Classic).await;
    producer.write(0, "a").await;
    for version in 0..=4 {
        let request = old(producer.offset(5), version);
        let code = if version >= 4 { TRANSACTION_ABORTABLE } else { INVALID_TXN_STATE };
        assert_eq!(producer.commit(version, &request).await, code, "v{version}, not added");
    }
    producer.add_offsets().await;
    for version in 0..=4 {
        let request = old(producer.offset(i64::from(version)), version);
        assert_eq!(producer.commit(version, &request).await, NONE, "v{version}");
        let zombie = request.with_producer_epoch(producer.epoch - 1);
        let code = if version >= 2 { PRODUCER_FENCED } else { INVALID_PRODUCER_EPOCH };
        assert_eq!(producer.commit(version, &zombie).await, code, "v{version}, fenced");
    }
    assert_eq!(producer.end(true).await, NONE);
    assert_eq!(offset(&bench, true).await, (4, NONE));
    let late = producer.offset(9);
    let code = producer.commit(4, &late).await;
    let allowed = [TRANSACTION_ABORTABLE, COORDINATOR_LOAD_IN_PROGRESS];
    assert!(allowed.contains(&code), "after the end: {code}");
    assert_eq!(offset(&bench, true).await, (4, NONE));
}

/// Versions before 3 know of no members.
fn old(request: TxnOffsetCommitRequest, version: i16) -> TxnOffsetCommitRequest {
    if version >= 3 { request } else { request.with_generation_id(-1) }
}

#[tokio::test]
async fn a_consumer_that_was_replaced_fences_its_producer() {
    for mode in BOTH {
        let bench = Bench::new();
        let mut producer = Producer::new(&bench.broker, "tx", mode).await;
        let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
        let join = JoinGroupRequest::default()
            .with_group_id(GroupId(text("group")))
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(10_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        let joined = producer.client.call(3, &join).await;
        assert_eq!((joined.error_code, joined.generation_id), (NONE, 1));
        producer.add_offsets().await;
        let version = version(mode);
        let as_member = |request: TxnOffsetCommitRequest, id: &str, generation| {
            request.with_member_id(text(id)).with_generation_id(generation)
        };
        let good = as_member(producer.offset(1), &joined.member_id, 1);
        assert_eq!(producer.commit(version, &good).await, NONE);
        let stale = as_member(producer.offset(2), &joined.member_id, 0);
        assert_eq!(producer.commit(version, &stale).await, ILLEGAL_GENERATION);
        let stranger = as_member(producer.offset(3), "stranger", 1);
        assert_eq!(producer.commit(version, &stranger).await, UNKNOWN_MEMBER_ID);
        assert_eq!(producer.end(true).await, NONE);
        assert_eq!(offset(&bench, true).await, (1, NONE));
    }
}

#[tokio::test]
async fn the_later_of_two_commits_wins() {
    let bench = Bench::new();
    let mut producer = Producer::new(&bench.broker, "tx", Mode::EpochBump).await;
    let request = producer.offset(1);
    assert_eq!(producer.commit(5, &request).await, NONE);
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(2);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(name("topic"))
        .with_partitions(vec![partition]);
    let plain = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("group")))
        .with_topics(vec![topic]);
    let answer = producer.client.call(8, &plain).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, NONE);
    assert_eq!(producer.end(true).await, NONE);
    assert_eq!(offset(&bench, true).await, (2, NONE));
    let bench = bench.restart().await;
    assert_eq!(offset(&bench, true).await, (2, NONE));
}
