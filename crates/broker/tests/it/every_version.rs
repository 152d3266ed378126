//! Every API in every version that the broker advertises: asked and answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use uuid::Uuid;

use crate::client::{Client, batch, name, options, produce, start, text};
use crate::memory_log::MemoryLog;

const ENTITY_NOT_FOUND: i16 = 69;

/// A client, and the versions of each API that the broker advertises.
struct Bench {
    client: Client,
    versions: BTreeMap<i16, std::ops::RangeInclusive<i16>>,
    _broker: thalweg_broker::BrokerHandle,
}

impl Bench {
    async fn new() -> Self {
        let mut options = options();
        options.groups.initial_rebalance_delay_ms = 0;
        let broker = start(Arc::new(MemoryLog::default()), options);
        let mut client = Client::connect(&broker).await;
        let answer = client.call(4, &ApiVersionsRequest::default()).await;
        let range = |api: &api_versions_response::ApiVersion| {
            (api.api_key, api.min_version..=api.max_version)
        };
        let versions = answer.api_keys.iter().map(range).collect();
        Self { client, versions, _broker: broker }
    }

    fn versions_of(&self, key: ApiKey) -> std::ops::RangeInclusive<i16> {
        self.versions[&(key as i16)].clone()
    }

    async fn topic_id(&mut self, topic: &str) -> Uuid {
        let named = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![named]));
        self.client.call(12, &request).await.topics[0].topic_id
    }
}

#[tokio::test]
async fn api_versions() {
    let mut bench = Bench::new().await;
    for version in bench.versions_of(ApiKey::ApiVersions) {
        let request = match version {
            3.. => ApiVersionsRequest::default()
                .with_client_software_name(text("test"))
                .with_client_software_version(text("1")),
            _ => ApiVersionsRequest::default(),
        };
        let answer = bench.client.call(version, &request).await;
        assert_eq!((answer.error_code, answer.api_keys.len()), (0, bench.versions.len()));
        let in_force = |name: &str| {
            let found = answer.finalized_features.iter().find(|found| found.name == text(name));
            found.map(|found| found.max_version_level)
        };
        assert_eq!(in_force("group.version"), (version >= 3).then_some(1));
        assert!(version >= 4 || answer.supported_features.iter().all(|of| of.min_version > 0));
    }
    // What librdkafka and kafka-python look for before they use a feature.
    assert_eq!(bench.versions_of(ApiKey::Produce), 0..=12);
    assert_eq!(bench.versions_of(ApiKey::JoinGroup), 0..=9);
    assert_eq!(bench.versions_of(ApiKey::ListOffsets), 1..=9);
}

#[tokio::test]
async fn metadata() {
    let mut bench = Bench::new().await;
    bench.client.create("topic").await;
    let id = bench.topic_id("topic").await;
    for version in bench.versions_of(ApiKey::Metadata) {
        let topic = MetadataRequestTopic::default().with_name(Some(name("topic")));
        let missing = MetadataRequestTopic::default().with_name(Some(name("bad name")));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![topic, missing]))
            .with_allow_auto_topic_creation(true)
            .with_include_topic_authorized_operations(version >= 8);
        let answer = bench.client.call(version, &request).await;
        assert_eq!(answer.brokers.len(), 1);
        assert_eq!(answer.topics[0].partitions[0].leader_id, answer.brokers[0].node_id);
        assert_eq!((answer.topics[0].error_code, answer.topics[1].error_code), (0, 17));
        assert_eq!(answer.topics[0].topic_id, if version >= 10 { id } else { Uuid::nil() });
        let operations = answer.topics[0].topic_authorized_operations;
        assert_eq!(operations > 0, version >= 8);

        let all = if version == 0 { Some(Vec::new()) } else { None };
        let answer = bench.client.call(version, &MetadataRequest::default().with_topics(all)).await;
        let names: Vec<_> = answer.topics.iter().filter_map(|topic| topic.name.clone()).collect();
        assert!(names.contains(&name("topic")) && names.contains(&name("__consumer_offsets")));
        let internal = answer.topics.iter().filter(|topic| topic.is_internal).count();
        assert_eq!(internal, if version >= 1 { 3 } else { 0 });

        if version >= 10 {
            for (asked, code) in [(id, 0), (Uuid::from_u128(7), 100)] {
                let topic = MetadataRequestTopic::default().with_name(None).with_topic_id(asked);
                let request = MetadataRequest::default().with_topics(Some(vec![topic]));
                if version >= 12 {
                    let answer = bench.client.call(version, &request).await;
                    assert_eq!(answer.topics[0].error_code, code);
                    assert_eq!(answer.topics[0].topic_id, asked);
                }
            }
        }
    }
}

#[tokio::test]
async fn produce_and_fetch() {
    let mut bench = Bench::new().await;
    bench.client.create("topic").await;
    let id = bench.topic_id("topic").await;
    for (round, version) in bench.versions_of(ApiKey::Produce).filter(|v| *v >= 3).enumerate() {
        let request = produce("topic", batch(&["a", "b"]), -1);
        let answer = bench.client.call(version, &request).await;
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (0, 2 * round as i64));
        let unknown = produce("nowhere", batch(&["a"]), 1);
        let answer = bench.client.call(version, &unknown).await;
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (3, -1));
        assert_eq!(partition.error_message.is_some(), version >= 8);
    }
    for version in bench.versions_of(ApiKey::Fetch) {
        for isolation in [0, 1] {
            let partition = |index, offset| {
                FetchPartition::default()
                    .with_partition(index)
                    .with_fetch_offset(offset)
                    .with_partition_max_bytes(1 << 20)
            };
            let topic = FetchTopic::default()
                .with_partitions(vec![partition(0, 3), partition(9, 0)])
                .with_topic(if version >= 13 { name("") } else { name("topic") })
                .with_topic_id(if version >= 13 { id } else { Uuid::nil() });
            let request = FetchRequest::default()
                .with_max_bytes(1 << 20)
                .with_isolation_level(isolation)
                .with_topics(vec![topic]);
            let answer = bench.client.call(version, &request).await;
            let [good, missing] = &answer.responses[0].partitions[..] else { panic!("two") };
            assert_eq!(
                (good.error_code, good.high_watermark, good.last_stable_offset),
                (0, 20, 20)
            );
            let records = good.records.as_ref().expect("records");
            // Whole batches from the one that holds offset 3 on.
            assert_eq!(records[..8], 2_i64.to_be_bytes());
            assert_eq!(records.len(), 9 * batch(&["a", "b"]).len());
            assert_eq!(good.aborted_transactions.is_some(), isolation == 1);
            assert_eq!((missing.error_code, missing.high_watermark), (3, -1));
        }
    }
}

#[tokio::test]
async fn list_offsets() {
    let mut bench = Bench::new().await;
    bench.client.create("topic").await;
    bench.client.produce("topic", &["a", "b", "c"]).await;
    for version in bench.versions_of(ApiKey::ListOffsets) {
        for (timestamp, expected) in
            [(-1, (3, -1)), (-2, (0, -1)), (1_001, (1, 1_001)), (9_999, (-1, -1)), (-3, (2, 1_002))]
        {
            let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
            let topic = ListOffsetsTopic::default()
                .with_name(name("topic"))
                .with_partitions(vec![partition]);
            let request = ListOffsetsRequest::default().with_topics(vec![topic]);
            let answer = bench.client.call(version, &request).await;
            let found = &answer.topics[0].partitions[0];
            assert_eq!(found.error_code, 0);
            assert_eq!((found.offset, found.timestamp), expected, "v{version} {timestamp}");
        }
    }
}

#[tokio::test]
async fn find_coordinator() {
    let explained = |message: &Option<kafka_protocol::protocol::StrBytes>| {
        message.as_ref().is_some_and(|message| !message.is_empty())
    };
    let mut bench = Bench::new().await;
    for version in bench.versions_of(ApiKey::FindCoordinator) {
        for (key_type, code) in [(0, 0), (1, 0), (2, 42)] {
            if key_type > 0 && version == 0 {
                continue;
            }
            let request = FindCoordinatorRequest::default().with_key_type(key_type);
            let request = match version {
                4.. => request.with_coordinator_keys(vec![text("a"), text("b")]),
                _ => request.with_key(text("a")),
            };
            let answer = bench.client.call(version, &request).await;
            let found = match version {
                4.. => {
                    assert_eq!(answer.coordinators.len(), 2);
                    let first = &answer.coordinators[0];
                    (first.error_code, first.node_id, explained(&first.error_message))
                }
                _ => (answer.error_code, answer.node_id, explained(&answer.error_message)),
            };
            let node = BrokerId(if code == 0 { 1 } else { -1 });
            assert_eq!(found, (code, node, code != 0 && version >= 1));
        }
    }
}

/// Joins a group as its only member; the member id.
async fn join(client: &mut Client, version: i16, group: &str, instance: Option<&str>) -> String {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(bytes::Bytes::from_static(b"subscription"));
    let mut request = JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_session_timeout_ms(10_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    if version >= 1 {
        request.rebalance_timeout_ms = 10_000;
    }
    request.group_instance_id = instance.filter(|_| version >= 5).map(text);
    let mut answer = client.call(version, &request).await;
    if version >= 4 && request.group_instance_id.is_none() {
        assert_eq!(answer.error_code, 79, "must come back with its id");
        request.member_id = answer.member_id.clone();
        answer = client.call(version, &request).await;
    }
    assert_eq!((answer.error_code, answer.generation_id), (0, 1), "v{version}");
    assert_eq!(answer.leader, answer.member_id);
    assert_eq!(answer.members.len(), 1);
    assert_eq!(answer.protocol_name, Some(text("range")));
    answer.member_id.to_string()
}

#[tokio::test]
async fn join_sync_heartbeat_leave() {
    let mut bench = Bench::new().await;
    for round in 0..=9 {
        let at_most = |key| round.min(*bench.versions[&(key as i16)].end());
        let (sync, beat, leave) =
            (at_most(ApiKey::SyncGroup), at_most(ApiKey::Heartbeat), at_most(ApiKey::LeaveGroup));
        for instance in [None, Some("instance")] {
            let group = format!("group-{round}-{}", instance.unwrap_or_default());
            let member = join(&mut bench.client, round, &group, instance).await;
            let assignment = SyncGroupRequestAssignment::default()
                .with_member_id(text(&member))
                .with_assignment(bytes::Bytes::from_static(b"assignment"));
            let request = SyncGroupRequest::default()
                .with_group_id(GroupId(text(&group)))
                .with_generation_id(1)
                .with_member_id(text(&member))
                .with_protocol_type((sync >= 5).then(|| text("consumer")))
                .with_protocol_name((sync >= 5).then(|| text("range")))
                .with_assignments(vec![assignment]);
            let answer = bench.client.call(sync, &request).await;
            assert_eq!((answer.error_code, &answer.assignment[..]), (0, &b"assignment"[..]));

            let request = HeartbeatRequest::default()
                .with_group_id(GroupId(text(&group)))
                .with_generation_id(1)
                .with_member_id(text(&member));
            assert_eq!(bench.client.call(beat, &request).await.error_code, 0);
            let stale = request.with_generation_id(7);
            assert_eq!(bench.client.call(beat, &stale).await.error_code, 22);

            let request = LeaveGroupRequest::default().with_group_id(GroupId(text(&group)));
            let request = match leave {
                3.. => {
                    let member = MemberIdentity::default().with_member_id(text(&member));
                    request.with_members(vec![member])
                }
                _ => request.with_member_id(text(&member)),
            };
            let answer = bench.client.call(leave, &request).await;
            let gone = answer.members.first().map_or(answer.error_code, |member| member.error_code);
            assert_eq!(gone, 0);
        }
    }
}

#[tokio::test]
async fn offset_commit_and_fetch() {
    let mut bench = Bench::new().await;
    bench.client.create("topic").await;
    for version in bench.versions_of(ApiKey::OffsetCommit) {
        let partition = |index| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(index)
                .with_committed_offset(i64::from(version))
                .with_committed_metadata(Some(text("so far")))
        };
        let topic = OffsetCommitRequestTopic::default()
            .with_name(name("topic"))
            .with_partitions(vec![partition(5), partition(0)]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(&format!("group-{version}"))))
            .with_topics(vec![topic]);
        let answer = bench.client.call(version, &request).await;
        let codes: Vec<_> = answer.topics[0].partitions.iter().map(|p| p.error_code).collect();
        assert_eq!(codes, [3, 0], "the partition that exists");
    }
    for version in bench.versions_of(ApiKey::OffsetFetch) {
        for all in [false, true] {
            if all && version < 2 {
                continue;
            }
            let mut request = OffsetFetchRequest::default();
            if version >= 8 {
                let topic = OffsetFetchRequestTopics::default()
                    .with_name(name("topic"))
                    .with_partition_indexes(vec![0]);
                let group = OffsetFetchRequestGroup::default()
                    .with_group_id(GroupId(text("group-9")))
                    .with_topics((!all).then(|| vec![topic]));
                let other = group.clone().with_group_id(GroupId(text("group-8")));
                request.groups = vec![other.clone(), group, other];
            } else {
                let topic = OffsetFetchRequestTopic::default()
                    .with_name(name("topic"))
                    .with_partition_indexes(vec![0]);
                request.group_id = GroupId(text("group-9"));
                request.topics = (!all).then(|| vec![topic]);
            }
            let answer = bench.client.call(version, &request).await;
            let found = match version {
                8.. => {
                    assert_eq!(answer.groups.len(), 2, "each group once");
                    let found = &answer.groups[1].topics[0].partitions[0];
                    (found.committed_offset, found.metadata.clone())
                }
                _ => {
                    let found = &answer.topics[0].partitions[0];
                    (found.committed_offset, found.metadata.clone())
                }
            };
            assert_eq!(found, (9, Some(text("so far"))), "v{version} all={all}");
        }
    }
}

#[tokio::test]
async fn describe_list_delete_groups() {
    let mut bench = Bench::new().await;
    bench.client.create("topic").await;
    join(&mut bench.client, 5, "alive", None).await;
    for version in bench.versions_of(ApiKey::DescribeGroups) {
        let request = DescribeGroupsRequest::default()
            .with_groups(vec![GroupId(text("alive")), GroupId(text("nobody"))])
            .with_include_authorized_operations(version >= 3);
        let answer = bench.client.call(version, &request).await;
        let [alive, nobody] = &answer.groups[..] else { panic!("two groups") };
        assert_eq!(alive.group_state, text("CompletingRebalance"));
        assert_eq!(alive.members[0].client_id, text("test"));
        assert_eq!(nobody.group_state, text("Dead"));
        assert_eq!(nobody.error_code, if version >= 6 { ENTITY_NOT_FOUND } else { 0 });
    }
    for version in bench.versions_of(ApiKey::ListGroups) {
        let answer = bench.client.call(version, &ListGroupsRequest::default()).await;
        assert_eq!(answer.groups.len(), 1);
        assert_eq!(answer.groups[0].protocol_type, text("consumer"));
        if version >= 4 {
            let filter = ListGroupsRequest::default().with_states_filter(vec![text("Stable")]);
            assert!(bench.client.call(version, &filter).await.groups.is_empty());
        }
    }
    for version in bench.versions_of(ApiKey::DeleteGroups) {
        let names = vec![GroupId(text("alive")), GroupId(text("nobody"))];
        let request = DeleteGroupsRequest::default().with_groups_names(names);
        let answer = bench.client.call(version, &request).await;
        let codes: Vec<_> = answer.results.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [68, ENTITY_NOT_FOUND]);
    }
    let partition = OffsetDeleteRequestPartition::default();
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(name("topic"))
        .with_partitions(vec![partition]);
    let request = OffsetDeleteRequest::default()
        .with_group_id(GroupId(text("nobody")))
        .with_topics(vec![topic.clone()]);
    assert_eq!(bench.client.call(0, &request).await.error_code, ENTITY_NOT_FOUND);
    let request = request.with_group_id(GroupId(text("alive")));
    let answer = bench.client.call(0, &request).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, 86, "unreadable subscription");
}

#[tokio::test]
async fn consumer_groups() {
    let mut bench = Bench::new().await;
    bench.client.create("topic").await;
    let id = bench.topic_id("topic").await;
    for version in bench.versions_of(ApiKey::ConsumerGroupHeartbeat) {
        let group = GroupId(text(&format!("group-{version}")));
        let beat = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(group.clone())
            .with_member_id(text("member"));
        let first =
            beat.clone().with_rebalance_timeout_ms(30_000).with_topic_partitions(Some(Vec::new()));
        let first = match version {
            0 => first.with_subscribed_topic_names(Some(vec![name("topic")])),
            _ => first.with_subscribed_topic_regex(Some(text("top.*"))),
        };
        let answer = bench.client.call(version, &first).await;
        assert_eq!((answer.error_code, answer.member_epoch), (0, 1), "{:?}", answer.error_message);
        assert_eq!(answer.member_id, Some(text("member")));
        let assigned = answer.assignment.expect("an assignment").topic_partitions;
        assert_eq!((assigned[0].topic_id, &assigned[0].partitions[..]), (id, &[0][..]));
        let answer = bench.client.call(version, &beat.clone().with_member_epoch(1)).await;
        assert_eq!((answer.error_code, answer.assignment), (0, None));
        let answer = bench.client.call(version, &beat.clone().with_member_epoch(7)).await;
        assert_eq!((answer.error_code, answer.member_epoch), (110, 0));
        assert!(answer.error_message.is_some_and(|message| !message.is_empty()));
    }
    for version in bench.versions_of(ApiKey::ConsumerGroupDescribe) {
        let groups = ["group-1", "nobody", "group-1"].map(|group| GroupId(text(group)));
        let request = ConsumerGroupDescribeRequest::default()
            .with_group_ids(groups.to_vec())
            .with_include_authorized_operations(true);
        let answer = bench.client.call(version, &request).await;
        let [group, nobody] = &answer.groups[..] else { panic!("each group once") };
        assert_eq!((group.error_code, nobody.error_code), (0, ENTITY_NOT_FOUND));
        assert_eq!((group.group_epoch, group.assignment_epoch), (1, 1));
        assert_eq!((&*group.group_state, &*group.assignor_name), ("Stable", "uniform"));
        let member = &group.members[0];
        assert_eq!(member.subscribed_topic_regex, Some(text("top.*")));
        assert_eq!(member.assignment.topic_partitions[0].topic_name, name("topic"));
        assert_eq!(member.assignment, member.target_assignment);
        assert_eq!(member.member_type, if version >= 1 { 1 } else { -1 });
    }
    let listed = ListGroupsRequest::default();
    let of_type = |of| listed.clone().with_types_filter(vec![text(of)]);
    assert_eq!(bench.client.call(5, &of_type("Consumer")).await.groups.len(), 2);
    assert!(bench.client.call(5, &of_type("classic")).await.groups.is_empty());
    let found = &bench.client.call(5, &listed).await.groups[0];
    assert_eq!((&*found.group_type, &*found.group_state), ("consumer", "Stable"));
    assert_eq!(found.protocol_type, text("consumer"));
    let classic = DescribeGroupsRequest::default().with_groups(vec![GroupId(text("group-1"))]);
    let answer = bench.client.call(6, &classic).await;
    assert_eq!((answer.groups[0].error_code, &*answer.groups[0].group_state), (69, "Dead"));
}

#[tokio::test]
async fn init_producer_id() {
    let mut bench = Bench::new().await;
    let mut seen = std::collections::BTreeSet::new();
    for version in bench.versions_of(ApiKey::InitProducerId) {
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let answer = bench.client.call(version, &request).await;
        assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
        assert!(seen.insert(answer.producer_id.0), "an id is given once");
        let request = request.with_transactional_id(Some(TransactionalId(text("tx"))));
        let answer = bench.client.call(version, &request).await;
        assert_eq!((answer.error_code, answer.producer_id.0), (50, -1), "no timeout");
    }
}

#[tokio::test]
async fn create_extend_delete_topics() {
    let mut bench = Bench::new().await;
    let topic = |name_of: &str, partitions, factor: i16| {
        CreatableTopic::default()
            .with_name(name(name_of))
            .with_num_partitions(partitions)
            .with_replication_factor(factor)
    };
    let config = |key: &str, value: &str| {
        vec![CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))]
    };
    for version in bench.versions_of(ApiKey::CreateTopics) {
        let good = format!("good-{version}");
        let topics = vec![
            topic(&good, 3, 1).with_configs(config("retention.ms", "1000")),
            topic("bad name", 1, 1),
            topic("replicas", 1, 3),
            topic("none", 0, 1),
            topic("setting", 1, 1).with_configs(config("no.such.setting", "1")),
            topic("value", 1, 1).with_configs(config("retention.ms", "soon")),
            topic("__own", 1, 1),
            topic("twice", 1, 1),
            topic("twice", 1, 1),
        ];
        let request = CreateTopicsRequest::default().with_topics(topics).with_validate_only(true);
        for validate_only in [true, false] {
            let request = request.clone().with_validate_only(validate_only);
            let answer = bench.client.call(version, &request).await;
            let codes: Vec<_> = answer.topics.iter().map(|topic| topic.error_code).collect();
            // What is named twice is answered once.
            assert_eq!(codes, [0, 17, 38, 37, 40, 40, 17, 42], "v{version}");
            assert!(answer.topics[1..].iter().all(|topic| topic.error_message.is_some()));
            if version >= 5 {
                assert_eq!(answer.topics[0].num_partitions, 3);
                let configs = answer.topics[0].configs.as_ref().expect("settings");
                let own = configs.iter().find(|config| config.name == text("retention.ms"));
                assert_eq!(own.and_then(|config| config.value.clone()), Some(text("1000")));
            }
        }
        let answer = bench.client.call(version, &request).await;
        assert_eq!(answer.topics[0].error_code, 36, "exists now");
    }
    for version in bench.versions_of(ApiKey::CreatePartitions) {
        let count = 10 + i32::from(version);
        let extend = |of: &str, count| {
            CreatePartitionsTopic::default().with_name(name(of)).with_count(count)
        };
        let (good, twice) = (extend("good-7", count), extend("good-5", 20));
        let topics = vec![good, extend("good-6", 2), extend("nowhere", 2), twice.clone(), twice];
        let request = CreatePartitionsRequest::default().with_topics(topics);
        let answer = bench.client.call(version, &request).await;
        let codes: Vec<_> = answer.results.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [0, 37, 3, 42]);
    }
    for version in bench.versions_of(ApiKey::DeleteTopics) {
        let good = format!("good-{}", version.max(2));
        let request = DeleteTopicsRequest::default();
        let request = match version {
            6.. => {
                let id = bench.topic_id(&good).await;
                let by_id = |id| DeleteTopicState::default().with_name(None).with_topic_id(id);
                request.with_topics(vec![by_id(id), by_id(Uuid::from_u128(3))])
            }
            _ => request.with_topic_names(vec![name(&good), name("nowhere")]),
        };
        let answer = bench.client.call(version, &request).await;
        let codes: Vec<_> = answer.responses.iter().map(|result| result.error_code).collect();
        // Versions 1 and 2 were both given good-2.
        let expected = if version == 2 { [3, 3] } else { [0, if version >= 6 { 100 } else { 3 }] };
        assert_eq!(codes, expected, "v{version}");
    }
}

#[tokio::test]
async fn describe_configs_and_cluster() {
    let mut bench = Bench::new().await;
    bench.client.create("topic").await;
    for version in bench.versions_of(ApiKey::DescribeConfigs) {
        let resource = |kind, name| {
            DescribeConfigsResource::default()
                .with_resource_type(kind)
                .with_resource_name(text(name))
                .with_configuration_keys(None)
        };
        let resources =
            vec![resource(2, "topic"), resource(4, "1"), resource(2, "nowhere"), resource(9, "x")];
        let request = DescribeConfigsRequest::default()
            .with_resources(resources)
            .with_include_synonyms(true)
            .with_include_documentation(version >= 3);
        let answer = bench.client.call(version, &request).await;
        let codes: Vec<_> = answer.results.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [0, 0, 3, 42]);
        let value = |of: usize, key: &str| {
            let configs = &answer.results[of].configs;
            configs.iter().find(|config| config.name == text(key)).and_then(|c| c.value.clone())
        };
        assert_eq!(value(0, "cleanup.policy"), Some(text("delete")));
        assert_eq!(value(1, "num.partitions"), Some(text("1")));
    }
    for version in bench.versions_of(ApiKey::DescribeCluster) {
        let answer = bench.client.call(version, &DescribeClusterRequest::default()).await;
        assert_eq!((answer.error_code, answer.brokers.len()), (0, 1));
        assert_eq!(answer.cluster_id.len(), 22);
    }
}
