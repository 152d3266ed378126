//! What administrators ask for: settings, deletions, sizes, leaders, pages of topics; in
//! every version that the broker advertises.

use std::ops::RangeInclusive;
use std::sync::Arc;

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, alter_configs_request, incremental_alter_configs_request, *,
};
use thalweg_broker::{BrokerHandle, BrokerOptions};
use thalweg_core::env::Env;
use thalweg_core::partition_log::LogStore;
use thalweg_log::{Log, LogOptions};

use crate::client::{Client, batch, name, options, produce, start, text};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const UNKNOWN: i16 = 3;
const OUT_OF_RANGE: i16 = 1;
const INVALID_TOPIC: i16 = 17;
const INVALID_ASSIGNMENT: i16 = 39;
const INVALID_CONFIG: i16 = 40;
const INVALID_REQUEST: i16 = 42;
const POLICY_VIOLATION: i16 = 44;
const ELECTION_NOT_NEEDED: i16 = 84;
const NO_REASSIGNMENT: i16 = 85;

/// A broker on the embedded log.
struct Bench {
    log: Arc<Log>,
    client: Client,
    data: tempfile::TempDir,
    _broker: BrokerHandle,
}

impl Bench {
    async fn new() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let log = Log::open(Env::real(), data.path(), LogOptions::default()).expect("a log");
        let options = BrokerOptions { data_dir: data.path().to_owned(), ..options() };
        let broker = start(log.clone(), options);
        let client = Client::connect(&broker).await;
        Self { log, client, data, _broker: broker }
    }

    async fn versions(&mut self, key: ApiKey) -> RangeInclusive<i16> {
        let answer = self.client.call(4, &ApiVersionsRequest::default()).await;
        let api = answer.api_keys.iter().find(|api| api.api_key == key as i16).expect("advertised");
        api.min_version..=api.max_version
    }

    async fn create(&mut self, topic: &str, partitions: i32, config: &[(&str, &str)]) {
        let config = config.iter().map(|(key, value)| {
            CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(-1)
            .with_configs(config.collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        assert_eq!(self.client.call(7, &request).await.topics[0].error_code, 0);
    }

    async fn describe(
        &mut self,
        version: i16,
        kind: i8,
        of: &str,
    ) -> Vec<DescribeConfigsResourceResult> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(of))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default()
            .with_resources(vec![resource])
            .with_include_synonyms(true)
            .with_include_documentation(version >= 3);
        let mut answer = self.client.call(version, &request).await;
        assert_eq!(answer.results[0].error_code, 0);
        answer.results.remove(0).configs
    }

    async fn setting(&mut self, topic: &str, setting: &str) -> (String, i8) {
        let settings = self.describe(4, TOPIC, topic).await;
        let found = settings.iter().find(|entry| entry.name == text(setting)).expect("the setting");
        (found.value.as_ref().expect("a value").to_string(), found.config_source)
    }
}

#[tokio::test]
async fn settings_are_described_in_full() {
    let mut bench = Bench::new().await;
    bench.create("topic", 1, &[("retention.ms", "1000")]).await;
    for version in bench.versions(ApiKey::DescribeConfigs).await {
        let topic = bench.describe(version, TOPIC, "topic").await;
        let broker = bench.describe(version, BROKER, "1").await;
        let names = |settings: &[DescribeConfigsResourceResult]| {
            settings.iter().map(|setting| setting.name.to_string()).collect::<Vec<_>>()
        };
        for wanted in ["cleanup.policy", "max.message.bytes", "retention.ms", "segment.ms"] {
            assert!(names(&topic).contains(&wanted.to_owned()), "{wanted}");
        }
        for wanted in ["log.dirs", "log.retention.ms", "message.max.bytes", "node.id", "listeners"]
        {
            assert!(names(&broker).contains(&wanted.to_owned()), "{wanted}");
        }
        for settings in [&topic, &broker] {
            assert!(names(settings).is_sorted_by(|a, b| a < b), "each once");
            for setting in settings {
                let first = setting.synonyms.first().expect("where the value comes from");
                assert_eq!((&first.value, first.source), (&setting.value, setting.config_source));
                assert!(!setting.is_sensitive);
                let said = setting.documentation.as_ref().is_some_and(|text| !text.is_empty());
                assert_eq!(said, version >= 3, "{:?}", setting.name);
                assert_eq!(setting.config_type != 0, version >= 3, "{:?}", setting.name);
            }
        }
        assert!(topic.iter().all(|setting| !setting.read_only));
        let alterable = |name: &str| name.starts_with("log.") && name != "log.dirs";
        for setting in &broker {
            let others = ["broker.id", "listeners", "node.id", "num.partitions"];
            assert!(!setting.read_only || !alterable(&setting.name), "{:?}", setting.name);
            assert!(setting.read_only || !others.contains(&&*setting.name), "{:?}", setting.name);
        }
        let retention = topic.iter().find(|setting| setting.name == text("retention.ms"));
        let retention = retention.expect("retention.ms");
        assert_eq!(retention.config_source, 1);
        assert_eq!(retention.synonyms[1].name, text("log.retention.ms"));
    }
}

fn incremental(
    resource: (i8, &str),
    changes: &[(&str, i8, Option<&str>)],
) -> IncrementalAlterConfigsRequest {
    let changes = changes.iter().map(|(key, operation, value)| {
        incremental_alter_configs_request::AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(*operation)
            .with_value(value.map(text))
    });
    let resource = incremental_alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(resource.0)
        .with_resource_name(text(resource.1))
        .with_configs(changes.collect());
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
}

#[tokio::test]
async fn settings_are_altered_one_by_one() {
    let (set, delete, append, subtract) = (0, 1, 2, 3);
    for version in Bench::new().await.versions(ApiKey::IncrementalAlterConfigs).await {
        let mut bench = Bench::new().await;
        bench.create("topic", 2, &[("retention.ms", "1000"), ("segment.ms", "9000")]).await;
        let changes = [
            ("retention.ms", set, Some("2000")),
            ("segment.ms", delete, None),
            ("cleanup.policy", append, Some("compact")),
        ];
        let mut request = incremental((TOPIC, "topic"), &changes).with_validate_only(true);
        for (validate_only, retention) in [(true, "1000"), (false, "2000")] {
            request.validate_only = validate_only;
            let answer = bench.client.call(version, &request).await;
            assert_eq!((answer.responses.len(), answer.responses[0].error_code), (1, 0));
            let found = bench.setting("topic", "retention.ms").await;
            assert_eq!(found, (retention.to_owned(), 1));
        }
        assert_eq!(bench.setting("topic", "segment.ms").await.1, 5);
        let policy = bench.setting("topic", "cleanup.policy").await.0;
        assert_eq!(policy, "delete,compact");
        let changes = [("cleanup.policy", subtract, Some("compact"))];
        bench.client.call(version, &incremental((TOPIC, "topic"), &changes)).await;
        assert_eq!(bench.setting("topic", "cleanup.policy").await.0, "delete");
        for (resource, changes, code) in [
            ((TOPIC, "nowhere"), ("retention.ms", set, Some("1")), UNKNOWN),
            ((TOPIC, "bad name"), ("retention.ms", set, Some("1")), INVALID_TOPIC),
            ((TOPIC, "__consumer_offsets"), ("retention.ms", set, Some("1")), INVALID_TOPIC),
            ((TOPIC, "topic"), ("retention.sm", set, Some("1")), INVALID_CONFIG),
            ((TOPIC, "topic"), ("retention.ms", set, Some("soon")), INVALID_CONFIG),
            ((TOPIC, "topic"), ("retention.ms", append, Some("1")), INVALID_CONFIG),
            ((TOPIC, "topic"), ("retention.ms", set, None), INVALID_REQUEST),
            ((TOPIC, "topic"), ("retention.ms", 9, Some("1")), INVALID_REQUEST),
            ((TOPIC, "topic"), ("cleanup.policy", set, Some("shred")), INVALID_CONFIG),
            ((TOPIC, "topic"), ("max.message.bytes", set, Some("2147483647")), INVALID_CONFIG),
            ((BROKER, "1"), ("num.partitions", set, Some("1")), INVALID_REQUEST),
            ((16, "metrics"), ("interval.ms", set, Some("1")), INVALID_REQUEST),
        ] {
            let answer = bench.client.call(version, &incremental(resource, &[changes])).await;
            let response = &answer.responses[0];
            assert_eq!(response.error_code, code, "{resource:?} {changes:?}");
            assert!(response.error_message.as_ref().is_some_and(|message| !message.is_empty()));
        }
        assert_eq!(bench.setting("topic", "retention.ms").await.0, "2000");
        let mut twice = incremental((TOPIC, "topic"), &[("retention.ms", set, Some("3000"))]);
        twice.resources.push(twice.resources[0].clone());
        let answer = bench.client.call(version, &twice).await;
        let codes: Vec<_> = answer.responses.iter().map(|response| response.error_code).collect();
        assert_eq!(codes, [INVALID_REQUEST]);
    }
}

#[tokio::test]
async fn settings_are_altered_all_at_once() {
    let mut bench = Bench::new().await;
    for version in bench.versions(ApiKey::AlterConfigs).await {
        let topic = format!("topic-{version}");
        bench.create(&topic, 1, &[("retention.ms", "1000"), ("segment.ms", "9000")]).await;
        let config = alter_configs_request::AlterableConfig::default()
            .with_name(text("retention.ms"))
            .with_value(Some(text("2000")));
        let resource = alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(&topic))
            .with_configs(vec![config]);
        let mut request = AlterConfigsRequest::default().with_resources(vec![resource]);
        assert_eq!(bench.client.call(version, &request).await.responses[0].error_code, 0);
        assert_eq!(bench.setting(&topic, "retention.ms").await, ("2000".to_owned(), 1));
        assert_eq!(bench.setting(&topic, "segment.ms").await.1, 5, "what is not named goes");
        request.resources[0].configs[0].value = None;
        let answer = bench.client.call(version, &request).await;
        assert_eq!(answer.responses[0].error_code, INVALID_REQUEST);
    }
}

/// What was altered is in force: for producers at once, and after a restart.
#[tokio::test]
async fn altered_settings_hold() {
    let mut bench = Bench::new().await;
    bench.create("topic", 1, &[]).await;
    let large = batch(&[&"x".repeat(2 << 20)]);
    let outcome = async |client: &mut Client| {
        let answer = client.call(9, &produce("topic", large.clone(), -1)).await;
        answer.responses[0].partition_responses[0].error_code
    };
    assert_eq!(outcome(&mut bench.client).await, 10);
    let request = incremental((TOPIC, "topic"), &[("max.message.bytes", 0, Some("4000000"))]);
    assert_eq!(bench.client.call(1, &request).await.responses[0].error_code, 0);
    assert_eq!(outcome(&mut bench.client).await, 0);
    let Bench { log, data, client, _broker } = bench;
    drop(client);
    _broker.shutdown().await;
    log.close().expect("closed");
    drop(log);
    let log = Log::open(Env::real(), data.path(), LogOptions::default()).expect("again");
    let config = log.topic("topic").expect("the topic").config;
    assert_eq!(config, [("max.message.bytes".to_owned(), "4000000".to_owned())]);
}

fn delete(topic: &str, partition: i32, offset: i64) -> DeleteRecordsRequest {
    let partition =
        DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
    let topic =
        DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(1_000)
}

#[tokio::test]
async fn records_are_deleted() {
    let mut bench = Bench::new().await;
    bench.create("compacted", 1, &[("cleanup.policy", "compact")]).await;
    for version in bench.versions(ApiKey::DeleteRecords).await {
        let topic = format!("topic-{version}");
        bench.create(&topic, 1, &[]).await;
        for _ in 0..5 {
            bench.client.produce(&topic, &["a", "b"]).await;
        }
        for (request, expected) in [
            (delete(&topic, 0, 3), (0, 3)),
            (delete(&topic, 0, 1), (0, 3)),
            (delete(&topic, 0, 11), (OUT_OF_RANGE, -1)),
            (delete(&topic, 0, -2), (OUT_OF_RANGE, -1)),
            (delete(&topic, 1, 0), (UNKNOWN, -1)),
            (delete("nowhere", 0, 0), (UNKNOWN, -1)),
            (delete("compacted", 0, 0), (POLICY_VIOLATION, -1)),
            (delete("__consumer_offsets", 0, 0), (INVALID_TOPIC, -1)),
            (delete(&topic, 0, -1), (0, 10)),
        ] {
            let answer = bench.client.call(version, &request).await;
            let partition = &answer.topics[0].partitions[0];
            assert_eq!((partition.error_code, partition.low_watermark), expected, "{request:?}");
        }
        assert_eq!(list(&mut bench.client, 5, &topic, -2).await, (0, 10, -1));
    }
}

/// Error, offset and timestamp that ListOffsets gives.
async fn list(client: &mut Client, version: i16, topic: &str, timestamp: i64) -> (i16, i64, i64) {
    let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let answer =
        client.call(version, &ListOffsetsRequest::default().with_topics(vec![topic])).await;
    let partition = &answer.topics[0].partitions[0];
    assert_eq!(partition.leader_epoch, if version >= 4 && partition.offset >= 0 { 0 } else { -1 });
    (partition.error_code, partition.offset, partition.timestamp)
}

#[tokio::test]
async fn offsets_are_listed_in_all_forms() {
    let mut bench = Bench::new().await;
    bench.create("topic", 1, &[]).await;
    bench.create("empty", 1, &[]).await;
    for _ in 0..3 {
        // Timestamps 1000, 1001, 1002.
        bench.client.produce("topic", &["a", "b", "c"]).await;
    }
    bench.client.call(2, &delete("topic", 0, 2)).await;
    let versions = bench.versions(ApiKey::ListOffsets).await;
    assert_eq!(versions, 1..=9, "more would be a hint at a newer broker for kafka-python");
    for version in versions {
        for (timestamp, expected) in [
            (-1, (0, 9, -1)),
            (-2, (0, 2, -1)),
            (-3, (0, 2, 1002)),
            (-4, (0, 2, -1)),
            (-5, (0, -1, -1)),
            (-6, (INVALID_REQUEST, -1, -1)),
            (0, (0, 2, 1002)),
            (1000, (0, 2, 1002)),
            (1002, (0, 2, 1002)),
            (1003, (0, -1, -1)),
        ] {
            let found = list(&mut bench.client, version, "topic", timestamp).await;
            assert_eq!(found, expected, "v{version}, {timestamp}");
        }
        for (timestamp, offset) in [(-1, 0), (-2, 0), (-3, -1), (-4, 0), (-5, -1), (0, -1)] {
            let found = list(&mut bench.client, version, "empty", timestamp).await;
            assert_eq!(found, (0, offset, -1), "v{version}, {timestamp}, empty");
        }
        assert_eq!(list(&mut bench.client, version, "nowhere", -1).await.0, UNKNOWN);
    }
}

#[tokio::test]
async fn the_room_that_partitions_take() {
    let mut bench = Bench::new().await;
    bench.create("topic", 2, &[]).await;
    bench.create("empty", 1, &[]).await;
    bench.client.produce("topic", &["a"]).await;
    let bytes = bench.log.partition("topic", 0).expect("partition").size_bytes() as i64;
    assert!(bytes > 0);
    for version in bench.versions(ApiKey::DescribeLogDirs).await {
        let topic = |of: &str, partitions: &[i32]| {
            DescribableLogDirTopic::default()
                .with_topic(name(of))
                .with_partitions(partitions.to_vec())
        };
        let some = vec![topic("topic", &[0, 7]), topic("nowhere", &[0])];
        for (wanted, sizes) in [(Some(some), vec![bytes]), (None, vec![bytes, 0])] {
            let request = DescribeLogDirsRequest::default().with_topics(wanted);
            let answer = bench.client.call(version, &request).await;
            assert_eq!((answer.error_code, answer.results.len()), (0, 1));
            let dir = &answer.results[0];
            assert_eq!(dir.log_dir, text(&bench.data.path().display().to_string()));
            let found = dir.topics.iter().find(|found| found.name == name("topic"));
            let found = &found.expect("the topic").partitions;
            assert!(found.iter().all(|found| found.offset_lag == 0 && !found.is_future_key));
            let found: Vec<_> = found.iter().map(|found| found.partition_size).collect();
            assert_eq!(found, sizes);
            if version >= 4 {
                assert!(dir.usable_bytes > 0 && dir.total_bytes > dir.usable_bytes);
            }
        }
    }
}

#[tokio::test]
async fn there_is_one_leader_epoch() {
    let mut bench = Bench::new().await;
    bench.create("topic", 1, &[]).await;
    bench.client.produce("topic", &["a", "b"]).await;
    for version in bench.versions(ApiKey::OffsetForLeaderEpoch).await {
        for (topic, current, epoch, expected) in [
            ("topic", -1, 0, (0, 0, 2)),
            ("topic", 0, 0, (0, 0, 2)),
            ("topic", 0, 5, (0, -1, -1)),
            ("topic", 3, 0, (75, -1, -1)),
            ("nowhere", -1, 0, (UNKNOWN, -1, -1)),
        ] {
            let partition = OffsetForLeaderPartition::default()
                .with_current_leader_epoch(current)
                .with_leader_epoch(epoch);
            let topic = OffsetForLeaderTopic::default()
                .with_topic(name(topic))
                .with_partitions(vec![partition]);
            let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
            let answer = bench.client.call(version, &request).await;
            let found = &answer.topics[0].partitions[0];
            assert_eq!((found.error_code, found.leader_epoch, found.end_offset), expected);
        }
    }
}

#[tokio::test]
async fn the_only_broker_leads_and_holds_everything() {
    let mut bench = Bench::new().await;
    bench.create("topic", 2, &[]).await;
    for version in bench.versions(ApiKey::ElectLeaders).await {
        let topic =
            |of: &str| TopicPartitions::default().with_topic(name(of)).with_partitions(vec![0, 1]);
        let request = ElectLeadersRequest::default()
            .with_topic_partitions(Some(vec![topic("topic"), topic("nowhere")]));
        let answer = bench.client.call(version, &request).await;
        let codes = |at: usize| -> Vec<i16> {
            let results = &answer.replica_election_results[at].partition_result;
            results.iter().map(|result| result.error_code).collect()
        };
        assert_eq!((codes(0), codes(1)), (vec![ELECTION_NOT_NEEDED; 2], vec![UNKNOWN; 2]));
        let all = ElectLeadersRequest::default().with_topic_partitions(None);
        let answer = bench.client.call(version, &all).await;
        assert_eq!((answer.error_code, answer.replica_election_results.len()), (0, 0));
    }
    for version in bench.versions(ApiKey::AlterPartitionReassignments).await {
        for (topic, replicas, code) in [
            ("topic", Some(vec![1]), 0),
            ("topic", Some(vec![2]), INVALID_ASSIGNMENT),
            ("topic", Some(vec![1, 2]), INVALID_ASSIGNMENT),
            ("topic", Some(vec![]), INVALID_ASSIGNMENT),
            ("topic", None, NO_REASSIGNMENT),
            ("nowhere", Some(vec![1]), UNKNOWN),
        ] {
            let replicas = replicas.map(|nodes| nodes.into_iter().map(BrokerId).collect());
            let partition = ReassignablePartition::default().with_replicas(replicas);
            let topic = ReassignableTopic::default()
                .with_name(name(topic))
                .with_partitions(vec![partition]);
            let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
            let answer = bench.client.call(version, &request).await;
            assert_eq!(answer.error_code, 0);
            assert_eq!(answer.responses[0].partitions[0].error_code, code);
        }
    }
    for version in bench.versions(ApiKey::ListPartitionReassignments).await {
        let request = ListPartitionReassignmentsRequest::default().with_topics(None);
        let answer = bench.client.call(version, &request).await;
        assert_eq!((answer.error_code, answer.topics.len()), (0, 0));
    }
}

#[tokio::test]
async fn topics_come_page_by_page() {
    let mut bench = Bench::new().await;
    for (topic, partitions) in [("a", 3), ("b", 1), ("c", 4)] {
        bench.create(topic, partitions, &[]).await;
    }
    for limit in [1, 2, 3, 5, 100] {
        let topics = ["c", "a", "b", "nowhere"];
        let topics = topics.map(|topic| TopicRequest::default().with_name(name(topic))).to_vec();
        let mut request = DescribeTopicPartitionsRequest::default()
            .with_topics(topics)
            .with_response_partition_limit(limit);
        let mut found = Vec::new();
        loop {
            let answer = bench.client.call(0, &request).await;
            let count: usize = answer.topics.iter().map(|topic| topic.partitions.len()).sum();
            assert!(count <= limit as usize && !answer.topics.is_empty());
            for topic in answer.topics {
                let of = topic.name.expect("a name").to_string();
                if topic.error_code != 0 {
                    found.push((of, -i32::from(topic.error_code)));
                    continue;
                }
                assert!(
                    topic.partitions.iter().all(|partition| partition.leader_id == BrokerId(1))
                );
                let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
                found.extend(indexes.map(|index| (of.clone(), index)));
            }
            let Some(next) = answer.next_cursor else { break };
            let cursor = describe_topic_partitions_request::Cursor::default()
                .with_topic_name(next.topic_name)
                .with_partition_index(next.partition_index);
            request.cursor = Some(cursor);
        }
        let expected = [("a", 3), ("b", 1), ("c", 4)];
        let mut expected: Vec<_> = expected
            .iter()
            .flat_map(|(topic, partitions)| (0..*partitions).map(|at| ((*topic).to_owned(), at)))
            .collect();
        expected.push(("nowhere".into(), -i32::from(UNKNOWN)));
        assert_eq!(found, expected, "limit {limit}");
    }
    let all = DescribeTopicPartitionsRequest::default().with_response_partition_limit(2_000);
    let answer = bench.client.call(0, &all).await;
    let names: Vec<_> = answer.topics.iter().filter(|topic| !topic.is_internal).collect();
    assert_eq!(names.len(), 3);
}
