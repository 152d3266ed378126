//! Settings of brokers and groups that are altered while the server runs: seen, remembered,
//! and in force.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::{AlterConfigsRequest, ListGroupsRequest};
use kafka_protocol::messages::{
    ApiVersionsRequest, ConsumerGroupHeartbeatRequest, DescribeConfigsRequest, GroupId,
    IncrementalAlterConfigsRequest, ListConfigResourcesRequest, alter_configs_request,
    incremental_alter_configs_request as incremental,
};
use thalweg_broker::{BrokerHandle, BrokerOptions};
use thalweg_core::env::Env;
use thalweg_core::partition_log::LogStore;
use thalweg_log::{Log, LogOptions};

use crate::client::{Client, batch, name, options, produce, start, text};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

const TOO_LARGE: i16 = 10;
const INVALID_CONFIG: i16 = 40;
const INVALID_REQUEST: i16 = 42;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

/// A broker on the embedded log.
struct Bench {
    log: Arc<Log>,
    client: Client,
    broker: BrokerHandle,
}

impl Bench {
    async fn open(data: &Path) -> Self {
        Self::open_with(data, options()).await
    }

    async fn open_with(data: &Path, options: BrokerOptions) -> Self {
        let log = Log::open(Env::real(), data, LogOptions::default()).expect("a log");
        let broker = start(log.clone(), options);
        let client = Client::connect(&broker).await;
        Self { log, client, broker }
    }

    async fn close(self) {
        drop(self.client);
        self.broker.shutdown().await;
        self.log.close().expect("closed");
    }

    /// Code and message.
    async fn alter(&mut self, at: (i8, &str), changes: &[(&str, i8, &str)]) -> (i16, String) {
        let changes = changes.iter().map(|(key, op, value)| {
            incremental::AlterableConfig::default()
                .with_name(text(key))
                .with_config_operation(*op)
                .with_value(Some(text(value)))
        });
        let resource = incremental::AlterConfigsResource::default()
            .with_resource_type(at.0)
            .with_resource_name(text(at.1))
            .with_configs(changes.collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let mut answer = self.client.call(1, &request).await;
        let response = answer.responses.remove(0);
        (response.error_code, response.error_message.unwrap_or_default().to_string())
    }

    async fn set(&mut self, at: (i8, &str), setting: &str, value: &str) {
        assert_eq!(self.alter(at, &[(setting, SET, value)]).await, (0, String::new()));
    }

    async fn describe(
        &mut self,
        at: (i8, &str),
    ) -> BTreeMap<String, DescribeConfigsResourceResult> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(at.0)
            .with_resource_name(text(at.1))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default()
            .with_resources(vec![resource])
            .with_include_synonyms(true)
            .with_include_documentation(true);
        let mut answer = self.client.call(4, &request).await;
        assert_eq!(answer.results[0].error_code, 0, "{:?}", answer.results[0].error_message);
        let rows = answer.results.remove(0).configs.into_iter();
        rows.map(|row| (row.name.to_string(), row)).collect()
    }

    /// Value and source of a setting, and then name, value and source of its synonyms.
    async fn setting(&mut self, at: (i8, &str), setting: &str) -> (String, Vec<String>) {
        let rows = self.describe(at).await;
        let row = rows.get(setting).expect("the setting");
        let value = row.value.as_ref().expect("a value");
        let synonym =
            |of: &kafka_protocol::messages::describe_configs_response::DescribeConfigsSynonym| {
                format!("{}={} {}", of.name, of.value.as_ref().expect("a value"), of.source)
            };
        (format!("{value} {}", row.config_source), row.synonyms.iter().map(synonym).collect())
    }

    async fn produce(&mut self, topic: &str, bytes: usize) -> i16 {
        let request = produce(topic, batch(&[&"x".repeat(bytes)]), -1);
        self.client.call(9, &request).await.responses[0].partition_responses[0].error_code
    }
}

/// What all brokers were altered to holds where this one has nothing of its own, and topics
/// follow where they have nothing of their own; before and after a restart.
#[tokio::test]
async fn topics_follow_the_broker() {
    let data = tempfile::tempdir().expect("a directory");
    let mut bench = Bench::open(data.path()).await;
    for topic in ["follows", "has-its-own"] {
        bench.client.create(topic).await;
    }
    bench.set((TOPIC, "has-its-own"), "max.message.bytes", "2000000").await;
    assert_eq!(bench.produce("follows", 10_000).await, 0);
    bench.set((BROKER, ""), "message.max.bytes", "5000").await;
    bench.set((BROKER, ""), "log.retention.ms", "7000").await;
    bench.set((BROKER, "1"), "log.retention.ms", "9000").await;
    for round in 0..2 {
        assert_eq!(bench.produce("follows", 10_000).await, TOO_LARGE, "round {round}");
        assert_eq!(bench.produce("follows", 1_000).await, 0);
        assert_eq!(bench.produce("has-its-own", 10_000).await, 0);
        bench.client.create(&format!("new-{round}")).await;
        assert_eq!(bench.produce(&format!("new-{round}"), 10_000).await, TOO_LARGE);

        let expected = ["log.retention.ms=9000 2", "log.retention.ms=7000 3"];
        let built_in = "log.retention.ms=604800000 5";
        for (at, setting) in
            [((BROKER, "1"), "log.retention.ms"), ((TOPIC, "follows"), "retention.ms")]
        {
            let (value, synonyms) = bench.setting(at, setting).await;
            assert_eq!((&*value, &synonyms[..2]), ("9000 2", &expected.map(str::to_owned)[..]));
            assert_eq!(synonyms[2..], [built_in]);
        }
        let of_all = bench.describe((BROKER, "")).await;
        assert_eq!(of_all.keys().collect::<Vec<_>>(), ["log.retention.ms", "message.max.bytes"]);
        assert_eq!(bench.setting((BROKER, ""), "log.retention.ms").await.0, "7000 3");
        let own = bench.setting((TOPIC, "has-its-own"), "max.message.bytes").await;
        let expected = ["max.message.bytes=2000000 1", "message.max.bytes=5000 3"];
        assert_eq!((&*own.0, &own.1[..2]), ("2000000 1", &expected.map(str::to_owned)[..]));
        // The server's own topics keep what they were made with.
        let internal = bench.setting((TOPIC, "__producer_ids"), "segment.ms").await;
        assert_eq!(internal.1, ["log.roll.ms=604800000 5"]);
        bench.close().await;
        bench = Bench::open(data.path()).await;
    }
    assert_eq!(bench.alter((BROKER, ""), &[("message.max.bytes", DELETE, "")]).await.0, 0);
    assert_eq!(bench.produce("follows", 10_000).await, 0, "as it was built in");
    assert_eq!(bench.setting((TOPIC, "follows"), "max.message.bytes").await.0, "1048588 5");
}

#[tokio::test]
async fn internal_topics_do_not_follow() {
    let data = tempfile::tempdir().expect("a directory");
    let mut bench = Bench::open(data.path()).await;
    bench.set((BROKER, ""), "log.cleanup.policy", "compact").await;
    let internal = bench.setting((TOPIC, "__consumer_offsets"), "cleanup.policy").await;
    assert_eq!(internal, ("delete 5".to_owned(), vec!["log.cleanup.policy=delete 5".to_owned()]));
    // Its records have no keys, which a compacted topic would refuse.
    let taken = kafka_protocol::messages::InitProducerIdRequest::default();
    let taken = taken.with_transactional_id(None);
    assert_eq!(bench.client.call(4, &taken).await.error_code, 0);
    bench.client.create("topic").await;
    let answer = bench.client.produce("topic", &["keyless"]).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 87, "INVALID_RECORD");
}

#[tokio::test]
async fn what_cannot_be_altered_is_refused() {
    let data = tempfile::tempdir().expect("a directory");
    let mut bench = Bench::open(data.path()).await;
    for (at, change, code, says) in [
        (
            (BROKER, "1"),
            ("num.partitions", SET, "3"),
            INVALID_REQUEST,
            "Cannot update these configs dynamically: Set(num.partitions)",
        ),
        ((BROKER, ""), ("log.dirs", SET, "/"), INVALID_REQUEST, "Set(log.dirs)"),
        (
            (BROKER, "2"),
            ("log.retention.ms", SET, "3"),
            INVALID_REQUEST,
            "Unexpected broker id, expected 1, but received 2",
        ),
        (
            (BROKER, "1"),
            ("log.retention.ms", SET, "soon"),
            INVALID_REQUEST,
            "Invalid value soon for configuration log.retention.ms",
        ),
        ((BROKER, "1"), ("message.max.bytes", SET, "2147483647"), INVALID_REQUEST, "at most"),
        ((BROKER, "1"), ("max.connections", SET, "-1"), INVALID_REQUEST, "between 0"),
        ((BROKER, "1"), ("log.retention.ms", APPEND, "3"), INVALID_CONFIG, "no list"),
        (
            (BROKER, ""),
            ("sasl.kerberos.min.time.before.relogin", SET, "3"),
            INVALID_REQUEST,
            "broker id must be specified: Set(sasl.kerberos.min.time.before.relogin)",
        ),
        (
            (GROUP, "g"),
            ("share.session.timeout.ms", SET, "45000"),
            INVALID_CONFIG,
            "Unknown group config name: share.session.timeout.ms",
        ),
        (
            (GROUP, "g"),
            ("consumer.session.timeout.ms", SET, "99999999"),
            INVALID_CONFIG,
            "consumer.session.timeout.ms must be less than or equal to \
             group.consumer.max.session.timeout.ms",
        ),
        ((GROUP, ""), ("consumer.session.timeout.ms", SET, "1"), INVALID_REQUEST, "Default group"),
    ] {
        let (found, message) = bench.alter(at, &[change]).await;
        assert_eq!(found, code, "{at:?} {change:?}: {message}");
        assert!(message.contains(says), "{change:?}: {message}");
    }
    assert!(bench.describe((BROKER, "")).await.is_empty());
    assert!(bench.log.topic("__dynamic_configs").is_none(), "nothing to remember");
}

/// AlterConfigs takes away what it does not name.
#[tokio::test]
async fn all_at_once() {
    let data = tempfile::tempdir().expect("a directory");
    let mut bench = Bench::open(data.path()).await;
    bench.set((BROKER, "1"), "log.retention.ms", "1000").await;
    for (validate_only, left) in [(true, "1000 2"), (false, "604800000 5")] {
        let config = alter_configs_request::AlterableConfig::default()
            .with_name(text("log.segment.bytes"))
            .with_value(Some(text("100000")));
        let resource = alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(BROKER)
            .with_resource_name(text("1"))
            .with_configs(vec![config]);
        let request = AlterConfigsRequest::default()
            .with_resources(vec![resource])
            .with_validate_only(validate_only);
        assert_eq!(bench.client.call(2, &request).await.responses[0].error_code, 0);
        assert_eq!(bench.setting((BROKER, "1"), "log.retention.ms").await.0, left);
    }
    assert_eq!(bench.setting((BROKER, "1"), "log.segment.bytes").await.0, "100000 2");
    assert_eq!(bench.alter((BROKER, "1"), &[("log.cleanup.policy", APPEND, "compact")]).await.0, 0);
    let policy = bench.setting((BROKER, "1"), "log.cleanup.policy").await.0;
    assert_eq!(policy, "delete,compact 2");
}

/// Connections are bounded anew at once, and what the server was told when it was started
/// stays overridden.
#[tokio::test]
async fn altered_settings_win_over_the_told_ones() {
    let data = tempfile::tempdir().expect("a directory");
    let told = || {
        let mut options = options();
        options.limits.connections_per_ip = 1;
        options
    };
    let mut bench = Bench::open_with(data.path(), told()).await;
    assert!(bench.client.answers().await);
    assert!(bench.broker.overridden().is_empty());
    assert!(Client::connect(&bench.broker).await.is_closed().await);
    bench.set((BROKER, "1"), "max.connections.per.ip", "2").await;
    for _ in 0..2 {
        let mut second = Client::connect(&bench.broker).await;
        assert_eq!(second.call(0, &ApiVersionsRequest::default()).await.error_code, 0);
        assert!(bench.client.answers().await);
        let expected = ("max.connections.per.ip", "1".to_owned(), "2".to_owned());
        assert_eq!(bench.broker.overridden(), [expected]);
        let (value, synonyms) = bench.setting((BROKER, "1"), "max.connections.per.ip").await;
        let shown = [
            "max.connections.per.ip=2 2",
            "max.connections.per.ip=1 4",
            "max.connections.per.ip=2147483647 5",
        ];
        assert_eq!((&*value, synonyms), ("2 2", shown.map(str::to_owned).to_vec()));
        drop(second);
        bench.close().await;
        bench = Bench::open_with(data.path(), told()).await;
        assert!(bench.client.answers().await);
    }
}

/// A group's own settings are told to its members at once, remembered, and taken away.
#[tokio::test]
async fn groups_have_settings_of_their_own() {
    let data = tempfile::tempdir().expect("a directory");
    let mut bench = Bench::open(data.path()).await;
    bench.client.create("topic").await;
    let beat = |group: &str, epoch| {
        let first = epoch == 0;
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_member_id(text("member"))
            .with_member_epoch(epoch)
            .with_rebalance_timeout_ms(if first { 30_000 } else { -1 })
            .with_subscribed_topic_names(first.then(|| vec![name("topic")]))
            .with_topic_partitions(first.then(Vec::new))
    };
    for group in ["g", "other"] {
        let answer = bench.client.call(0, &beat(group, 0)).await;
        assert_eq!((answer.error_code, answer.heartbeat_interval_ms), (0, 1_000));
    }
    let changes = [
        ("consumer.heartbeat.interval.ms", SET, "5000"),
        ("consumer.session.timeout.ms", SET, "50000"),
    ];
    assert_eq!(bench.alter((GROUP, "g"), &changes).await, (0, String::new()));
    for _ in 0..2 {
        for (group, interval) in [("g", 5_000), ("other", 1_000)] {
            let answer = bench.client.call(0, &beat(group, 1)).await;
            assert_eq!((answer.error_code, answer.heartbeat_interval_ms), (0, interval));
        }
        let (value, synonyms) = bench.setting((GROUP, "g"), "consumer.session.timeout.ms").await;
        let expected =
            ["consumer.session.timeout.ms=50000 8", "group.consumer.session.timeout.ms=45000 5"];
        assert_eq!((&*value, synonyms), ("50000 8", expected.map(str::to_owned).to_vec()));
        let other = bench.setting((GROUP, "nobody"), "consumer.session.timeout.ms").await;
        assert_eq!(other.0, "45000 5");
        bench.close().await;
        bench = Bench::open(data.path()).await;
    }
    let gone = changes.map(|(name, _, _)| (name, DELETE, ""));
    assert_eq!(bench.alter((GROUP, "g"), &gone).await.0, 0);
    assert_eq!(bench.client.call(0, &beat("g", 1)).await.heartbeat_interval_ms, 1_000);
}

#[tokio::test]
async fn what_has_settings_is_listed() {
    let data = tempfile::tempdir().expect("a directory");
    let mut bench = Bench::open(data.path()).await;
    bench.client.create("topic").await;
    bench.set((GROUP, "g"), "consumer.session.timeout.ms", "50000").await;
    let listed = async |client: &mut Client, version, types: &[i8]| {
        let request = ListConfigResourcesRequest::default().with_resource_types(types.to_vec());
        let answer = client.call(version, &request).await;
        let found = answer.config_resources.into_iter();
        let found = found.map(|found| (found.resource_type, found.resource_name.to_string()));
        (answer.error_code, found.collect::<Vec<_>>())
    };
    let group = (GROUP, "g".to_owned());
    assert_eq!(listed(&mut bench.client, 0, &[]).await, (0, Vec::new()), "clients' metrics only");
    assert_eq!(listed(&mut bench.client, 1, &[GROUP]).await, (0, vec![group.clone()]));
    assert_eq!(listed(&mut bench.client, 1, &[BROKER]).await, (0, vec![(BROKER, "1".to_owned())]));
    assert_eq!(listed(&mut bench.client, 1, &[16, 8]).await, (0, Vec::new()));
    assert_eq!(listed(&mut bench.client, 1, &[99]).await, (35, Vec::new()));
    let (code, all) = listed(&mut bench.client, 1, &[]).await;
    assert_eq!(code, 0);
    assert!(all.contains(&group) && all.contains(&(TOPIC, "topic".to_owned())), "{all:?}");
    // A group with settings and nothing else is none.
    let groups = bench.client.call(5, &ListGroupsRequest::default()).await;
    assert!(groups.groups.is_empty());
}
