//! Every handler asks the authorizer, and does nothing where it says no.

use std::sync::Arc;

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::*;
use thalweg_core::authorizer::{Authorizer, Operation, Principal, Resource};
use thalweg_core::partition_log::LogStore;

use crate::client::{Client, batch, name, options, produce, start, text};
use crate::memory_log::MemoryLog;

/// Nobody may do anything.
struct DenyAll;

impl Authorizer for DenyAll {
    fn authorize(&self, _: &Principal, _: Operation, _: Resource<'_>) -> bool {
        false
    }
}

const TOPIC: i16 = 29;
const GROUP: i16 = 30;
const CLUSTER: i16 = 31;
const TRANSACTIONAL_ID: i16 = 53;

#[tokio::test]
async fn who_may_nothing_gets_nothing() {
    let log = Arc::new(MemoryLog::default());
    log.create_topic("topic", 1, &[]).expect("a topic");
    let mut options = options();
    options.authorizer = Arc::new(DenyAll);
    let broker = start(log.clone(), options);
    let offsets = vec![(thalweg_core::ids::TopicPartition::new("topic", 0), 1, String::new())];
    broker.commit_group_offsets("group", offsets).await.expect("from inside");
    let mut client = Client::connect(&broker).await;
    topics(&mut client).await;
    groups(&mut client).await;
    cluster(&mut client).await;
    partitions(&mut client).await;
    transactions(&mut client).await;
    assert_eq!(log.topic("topic").expect("still there").partitions, 1);
    assert!(log.topic("new").is_none());
    assert!(broker.describe_group("group").is_some());
}

async fn topics(client: &mut Client) {
    let all = client.call(5, &MetadataRequest::default().with_topics(None)).await;
    assert!(all.topics.is_empty(), "topics are not even seen");
    for topic in ["topic", "new"] {
        let named = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![named]));
        assert_eq!(client.call(5, &request).await.topics[0].error_code, TOPIC);
    }

    let answer = client.call(9, &produce("topic", batch(&["a"]), -1)).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, TOPIC);

    let topic = FetchTopic::default()
        .with_topic(name("topic"))
        .with_partitions(vec![FetchPartition::default()]);
    let answer = client.call(8, &FetchRequest::default().with_topics(vec![topic])).await;
    assert_eq!(answer.responses[0].partitions[0].error_code, TOPIC);

    let topic = ListOffsetsTopic::default()
        .with_name(name("topic"))
        .with_partitions(vec![ListOffsetsPartition::default()]);
    let answer = client.call(5, &ListOffsetsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, TOPIC);

    let topic = CreatableTopic::default()
        .with_name(name("new"))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let answer = client.call(5, &CreateTopicsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(answer.topics[0].error_code, TOPIC);

    let topic = DeleteTopicState::default().with_name(Some(name("topic")));
    let answer = client.call(6, &DeleteTopicsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(answer.responses[0].error_code, TOPIC);

    let topic = CreatePartitionsTopic::default().with_name(name("topic")).with_count(5);
    let answer = client.call(2, &CreatePartitionsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(answer.results[0].error_code, TOPIC);

    let resource = |kind| {
        DescribeConfigsResource::default().with_resource_type(kind).with_resource_name(match kind {
            2 => text("topic"),
            32 => text("group"),
            _ => text("1"),
        })
    };
    let request = DescribeConfigsRequest::default().with_resources(vec![
        resource(2),
        resource(4),
        resource(32),
    ]);
    let answer = client.call(4, &request).await;
    let codes: Vec<_> = answer.results.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [TOPIC, CLUSTER, GROUP]);
    settings(client).await;
    records(client).await;
}

async fn settings(client: &mut Client) {
    let resource = |kind, name| {
        incremental_alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
    };
    let resources =
        vec![resource(2, "topic"), resource(2, "new"), resource(4, "1"), resource(32, "g")];
    let request = IncrementalAlterConfigsRequest::default().with_resources(resources);
    let answer = client.call(1, &request).await;
    let codes: Vec<_> = answer.responses.iter().map(|response| response.error_code).collect();
    assert_eq!(codes, [TOPIC, TOPIC, CLUSTER, GROUP]);
    let answer = client.call(1, &ListConfigResourcesRequest::default()).await;
    assert_eq!((answer.error_code, answer.config_resources.len()), (CLUSTER, 0));
    let resource = alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("topic"));
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    assert_eq!(client.call(2, &request).await.responses[0].error_code, TOPIC);
}

async fn records(client: &mut Client) {
    let topic = delete_records_request::DeleteRecordsTopic::default()
        .with_name(name("topic"))
        .with_partitions(vec![Default::default()]);
    let answer = client.call(2, &DeleteRecordsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, TOPIC);
    let topic = offset_for_leader_epoch_request::OffsetForLeaderTopic::default()
        .with_topic(name("topic"))
        .with_partitions(vec![Default::default()]);
    let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
    assert_eq!(client.call(4, &request).await.topics[0].partitions[0].error_code, TOPIC);
    let all = DescribeTopicPartitionsRequest::default().with_response_partition_limit(100);
    assert!(client.call(0, &all).await.topics.is_empty(), "topics are not even seen");
    let topic = describe_topic_partitions_request::TopicRequest::default().with_name(name("topic"));
    let answer = client.call(0, &all.with_topics(vec![topic])).await;
    assert_eq!(answer.topics[0].error_code, TOPIC);
}

async fn groups(client: &mut Client) {
    let group = || GroupId(text("group"));
    let request = FindCoordinatorRequest::default().with_key(text("group"));
    assert_eq!(client.call(2, &request).await.error_code, GROUP);
    let request =
        JoinGroupRequest::default().with_group_id(group()).with_protocol_type(text("consumer"));
    assert_eq!(client.call(5, &request).await.error_code, GROUP);
    let request = SyncGroupRequest::default().with_group_id(group());
    assert_eq!(client.call(3, &request).await.error_code, GROUP);
    let request = HeartbeatRequest::default().with_group_id(group());
    assert_eq!(client.call(3, &request).await.error_code, GROUP);
    let request = ConsumerGroupHeartbeatRequest::default().with_group_id(group());
    assert_eq!(client.call(1, &request).await.error_code, GROUP);
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group()]);
    assert_eq!(client.call(1, &request).await.groups[0].error_code, GROUP);
    let request = LeaveGroupRequest::default()
        .with_group_id(group())
        .with_members(vec![MemberIdentity::default()]);
    assert_eq!(client.call(3, &request).await.error_code, GROUP);

    let topic = OffsetCommitRequestTopic::default()
        .with_name(name("topic"))
        .with_partitions(vec![OffsetCommitRequestPartition::default()]);
    let request = OffsetCommitRequest::default().with_group_id(group()).with_topics(vec![topic]);
    assert_eq!(client.call(7, &request).await.topics[0].partitions[0].error_code, GROUP);
    let topic = TxnOffsetCommitRequestTopic::default()
        .with_name(name("topic"))
        .with_partitions(vec![TxnOffsetCommitRequestPartition::default()]);
    let request = TxnOffsetCommitRequest::default().with_group_id(group()).with_topics(vec![topic]);
    let answer = client.call(3, &request).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, TRANSACTIONAL_ID);
    let wanted = OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![wanted]);
    assert_eq!(client.call(8, &request).await.groups[0].error_code, GROUP);

    let request = DescribeGroupsRequest::default().with_groups(vec![group()]);
    assert_eq!(client.call(5, &request).await.groups[0].error_code, GROUP);
    assert!(client.call(4, &ListGroupsRequest::default()).await.groups.is_empty());
    let request = DeleteGroupsRequest::default().with_groups_names(vec![group()]);
    assert_eq!(client.call(2, &request).await.results[0].error_code, GROUP);
    let request = OffsetDeleteRequest::default().with_group_id(group());
    assert_eq!(client.call(0, &request).await.error_code, GROUP);
}

async fn partitions(client: &mut Client) {
    let answer = client.call(1, &DescribeClientQuotasRequest::default()).await;
    assert_eq!((answer.error_code, answer.entries), (CLUSTER, None));
    let entries = vec![Default::default()];
    let answer = client.call(1, &AlterClientQuotasRequest::default().with_entries(entries)).await;
    assert_eq!(answer.entries[0].error_code, CLUSTER);
    let answer = client.call(4, &DescribeLogDirsRequest::default().with_topics(None)).await;
    assert_eq!((answer.error_code, answer.results.len()), (CLUSTER, 0));
    let answer = client.call(2, &ElectLeadersRequest::default()).await;
    assert_eq!(answer.error_code, CLUSTER);
    let answer = client.call(1, &AlterPartitionReassignmentsRequest::default()).await;
    assert_eq!(answer.error_code, CLUSTER);
    let answer = client.call(0, &ListPartitionReassignmentsRequest::default()).await;
    assert_eq!(answer.error_code, CLUSTER);
}

async fn cluster(client: &mut Client) {
    let request = InitProducerIdRequest::default().with_transactional_id(None);
    assert_eq!(client.call(4, &request).await.error_code, CLUSTER);
    assert_eq!(client.call(0, &DescribeClusterRequest::default()).await.error_code, CLUSTER);
    // Everybody may ask what can be asked.
    assert_eq!(client.call(2, &ApiVersionsRequest::default()).await.error_code, 0);
}

async fn transactions(client: &mut Client) {
    let id = || TransactionalId(text("tx"));
    let request = FindCoordinatorRequest::default().with_key_type(1).with_key(text("tx"));
    assert_eq!(client.call(2, &request).await.error_code, TRANSACTIONAL_ID);
    let request = InitProducerIdRequest::default().with_transactional_id(Some(id()));
    assert_eq!(client.call(4, &request).await.error_code, TRANSACTIONAL_ID);
    let partition =
        AddPartitionsToTxnTopic::default().with_name(name("topic")).with_partitions(vec![0]);
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id())
        .with_v3_and_below_topics(vec![partition.clone()]);
    let answer = client.call(3, &request).await;
    let added = &answer.results_by_topic_v3_and_below[0].results_by_partition[0];
    assert_eq!(added.partition_error_code, TRANSACTIONAL_ID);
    assert_eq!(client.call(4, &AddPartitionsToTxnRequest::default()).await.error_code, CLUSTER);
    let request = AddOffsetsToTxnRequest::default().with_transactional_id(id());
    assert_eq!(client.call(3, &request).await.error_code, TRANSACTIONAL_ID);
    let request = EndTxnRequest::default().with_transactional_id(id());
    assert_eq!(client.call(5, &request).await.error_code, TRANSACTIONAL_ID);
    let topic =
        WritableTxnMarkerTopic::default().with_name(name("topic")).with_partition_indexes(vec![0]);
    let marker = WritableTxnMarker::default().with_topics(vec![topic]);
    let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
    let answer = client.call(1, &request).await;
    assert_eq!(answer.markers[0].topics[0].partitions[0].error_code, CLUSTER);
    let topic = TopicRequest::default().with_name(name("topic")).with_partition_indexes(vec![0]);
    let request = DescribeProducersRequest::default().with_topics(vec![topic]);
    assert_eq!(client.call(0, &request).await.topics[0].partitions[0].error_code, TOPIC);
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id()]);
    let answer = client.call(0, &request).await;
    assert_eq!(answer.transaction_states[0].error_code, TRANSACTIONAL_ID);
    let answer = client.call(1, &ListTransactionsRequest::default()).await;
    assert!(answer.transaction_states.is_empty());
}
