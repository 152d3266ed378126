//! Quotas: set, seen, remembered, and felt.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{
    AlterClientQuotasRequest, DescribeClientQuotasRequest, FetchRequest, MetadataRequest,
};
use thalweg_broker::BrokerHandle;
use thalweg_core::env::Env;
use thalweg_log::{Log, LogOptions};
use tokio::time::{Instant, timeout};

use crate::client::{Client, batch, name, options, produce, start, text};
use crate::memory_log::MemoryLog;

const INVALID_REQUEST: i16 = 42;

fn broker() -> BrokerHandle {
    start(Arc::new(MemoryLog::default()), options())
}

/// Parts of an entity: type and name, `None` for the default.
type Parts<'a> = &'a [(&'a str, Option<&'a str>)];

fn entry(entity: Parts<'_>, quotas: &[(&str, Option<f64>)]) -> EntryData {
    let parts = entity.iter().map(|(of_type, name)| {
        EntityData::default().with_entity_type(text(of_type)).with_entity_name(name.map(text))
    });
    let ops = quotas.iter().map(|(key, value)| {
        OpData::default()
            .with_key(text(key))
            .with_value(value.unwrap_or_default())
            .with_remove(value.is_none())
    });
    EntryData::default().with_entity(parts.collect()).with_ops(ops.collect())
}

async fn alter(client: &mut Client, entries: Vec<EntryData>) -> Vec<i16> {
    let request = AlterClientQuotasRequest::default().with_entries(entries);
    let answer = client.call(1, &request).await;
    answer.entries.iter().map(|entry| entry.error_code).collect()
}

/// What a description says: entities as `type=name`, quotas as `name=value`.
async fn describe(
    client: &mut Client,
    version: i16,
    components: &[(&str, i8, Option<&str>)],
    strict: bool,
) -> Vec<String> {
    let component = |(of_type, match_type, of): &(&str, i8, Option<&str>)| {
        ComponentData::default()
            .with_entity_type(text(of_type))
            .with_match_type(*match_type)
            .with_match(of.map(text))
    };
    let request = DescribeClientQuotasRequest::default()
        .with_components(components.iter().map(component).collect())
        .with_strict(strict);
    let answer = client.call(version, &request).await;
    assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    let entry = |entry: &kafka_protocol::messages::describe_client_quotas_response::EntryData| {
        let parts = entry.entity.iter().map(|part| {
            let name = part.entity_name.as_ref().map_or("*", |name| name.as_str());
            format!("{}={name}", part.entity_type)
        });
        let values = entry.values.iter().map(|value| format!("{}={}", value.key, value.value));
        parts.chain(values).collect::<Vec<_>>().join(" ")
    };
    answer.entries.expect("entries").iter().map(entry).collect()
}

const ALICE: &str = "user=alice request_percentage=50";
const ALL: &str = "client-id=* producer_byte_rate=1000";
const PAIR: &str = "user=alice client-id=c consumer_byte_rate=7";

#[tokio::test]
async fn quotas_are_set_seen_and_remembered() {
    let data = tempfile::tempdir().expect("a directory");
    for round in 0..2 {
        let log = Log::open(Env::real(), data.path(), LogOptions::default()).expect("a log");
        let broker = start(log.clone(), options());
        let mut client = Client::connect(&broker).await;
        if round == 0 {
            let entries = vec![
                entry(&[("client-id", None)], &[("producer_byte_rate", Some(1000.0))]),
                entry(&[("user", Some("alice"))], &[("request_percentage", Some(50.0))]),
                entry(
                    &[("user", Some("alice")), ("client-id", Some("c"))],
                    &[("consumer_byte_rate", Some(7.0)), ("producer_byte_rate", Some(9.0))],
                ),
            ];
            let check = AlterClientQuotasRequest::default()
                .with_entries(entries.clone())
                .with_validate_only(true);
            assert_eq!(client.call(0, &check).await.entries.len(), 3);
            assert!(describe(&mut client, 0, &[], false).await.is_empty());
            assert_eq!(alter(&mut client, entries).await, [0, 0, 0]);
            let parts = [("user", Some("alice")), ("client-id", Some("c"))];
            let removed = vec![entry(&parts, &[("producer_byte_rate", None)])];
            assert_eq!(alter(&mut client, removed).await, [0]);
        }
        for version in 0..=1 {
            for (components, strict, expected) in [
                (&[][..], false, vec![ALL, ALICE, PAIR]),
                (&[("client-id", 2, None)], false, vec![ALL, PAIR]),
                (&[("client-id", 2, None)], true, vec![ALL]),
                (&[("client-id", 1, None)], true, vec![ALL]),
                (&[("user", 0, Some("alice"))], false, vec![ALICE, PAIR]),
                (&[("user", 0, Some("alice"))], true, vec![ALICE]),
                (&[("user", 0, Some("alice")), ("client-id", 0, Some("c"))], true, vec![PAIR]),
                (&[("user", 0, Some("bob"))], false, vec![]),
                (&[("ip", 2, None)], false, vec![]),
            ] {
                let mut found = describe(&mut client, version, components, strict).await;
                found.sort_by_key(|entry| expected.iter().position(|wanted| wanted == entry));
                assert_eq!(found, expected, "v{version} {components:?} {strict}, round {round}");
            }
        }
        broker.shutdown().await;
        log.close().expect("closed");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let broker = broker();
    let mut client = Client::connect(&broker).await;
    let rate = [("producer_byte_rate", Some(10.0))];
    for bad in [
        entry(&[], &rate),
        entry(&[("planet", Some("mars"))], &rate),
        entry(&[("user", Some("a")), ("user", Some("b"))], &rate),
        entry(&[("user", Some("a"))], &[("no_such_rate", Some(1.0))]),
        entry(&[("user", Some("a"))], &[("producer_byte_rate", Some(0.0))]),
        entry(&[("user", Some("a"))], &[("producer_byte_rate", Some(1.5))]),
        entry(&[("user", Some("a"))], &[("request_percentage", Some(f64::NAN))]),
        entry(&[("user", Some("a"))], &[rate[0], rate[0]]),
    ] {
        let good = entry(&[("user", Some("good"))], &rate);
        assert_eq!(alter(&mut client, vec![bad.clone(), good]).await, [INVALID_REQUEST, 0]);
    }
    let twice = entry(&[("user", Some("twice"))], &rate);
    let refused = [INVALID_REQUEST; 2];
    assert_eq!(alter(&mut client, vec![twice.clone(), twice]).await, refused);
    assert_eq!(describe(&mut client, 1, &[], false).await, ["user=good producer_byte_rate=10"]);
    let request = DescribeClientQuotasRequest::default()
        .with_components(vec![ComponentData::default().with_entity_type(text("planet"))]);
    assert_eq!(client.call(1, &request).await.error_code, INVALID_REQUEST);
}

/// Asserts that nothing is answered until a time that the client was told is over.
async fn is_held_off(client: &mut Client, throttle_time_ms: i32, told_at: Instant) {
    let wait = Duration::from_millis(throttle_time_ms as u64);
    assert!(!wait.is_zero());
    assert!(timeout(Duration::from_secs(20), client.answers()).await.expect("an answer"));
    let held = told_at.elapsed();
    // The clock of the broker began a little earlier.
    assert!(held + Duration::from_millis(50) >= wait, "held off for {held:?} of {wait:?}");
}

#[tokio::test]
async fn producers_are_slowed_down() {
    let broker = broker();
    let mut admin = Client::connect(&broker).await.named("admin");
    admin.create("topic").await;
    let rate = [("producer_byte_rate", Some(100_000.0))];
    assert_eq!(alter(&mut admin, vec![entry(&[("client-id", None)], &rate)]).await, [0]);
    let records = batch(&[&"x".repeat(140_000)]);
    for version in [3, 12] {
        let mut client = Client::connect(&broker).await.named(&format!("v{version}"));
        let answer = client.call(version, &produce("topic", records.clone(), -1)).await;
        let told_at = Instant::now();
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0, "but not refused");
        assert!((300..=500).contains(&answer.throttle_time_ms), "{}", answer.throttle_time_ms);
        // Each client has the default for itself.
        assert!(timeout(Duration::from_millis(200), admin.answers()).await.expect("at once"));
        is_held_off(&mut client, answer.throttle_time_ms, told_at).await;
    }
    // Without acknowledgement there is no answer that says so.
    let mut client = Client::connect(&broker).await.named("silent");
    let sent_at = Instant::now();
    client.send(9, &produce("topic", records.clone(), 0)).await;
    is_held_off(&mut client, 300, sent_at).await;
}

fn fetch(topic: &str, offset: i64) -> FetchRequest {
    let partition =
        FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(50 << 20);
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition]);
    FetchRequest::default().with_max_bytes(50 << 20).with_topics(vec![topic])
}

#[tokio::test]
async fn consumers_are_slowed_down() {
    let broker = broker();
    let mut admin = Client::connect(&broker).await.named("admin");
    admin.create("topic").await;
    for _ in 0..4 {
        admin.produce("topic", &[&"x".repeat(60_000)]).await;
    }
    let rate = [("consumer_byte_rate", Some(200_000.0))];
    assert_eq!(alter(&mut admin, vec![entry(&[("user", Some("ANONYMOUS"))], &rate)]).await, [0]);
    for version in [4, 16] {
        let mut client = Client::connect(&broker).await.named("reader");
        let mut request = fetch("topic", 0);
        if version >= 13 {
            let all = admin.call(12, &MetadataRequest::default().with_topics(None)).await;
            let topic = all.topics.iter().find(|topic| topic.name == Some(name("topic")));
            request.topics[0].topic_id = topic.expect("the topic").topic_id;
        }
        let answer = client.call(version, &request).await;
        let told_at = Instant::now();
        // The second pays for what the first one read: all clients of a user share its quota.
        let bytes: usize = answer
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| partition.records.as_ref().map_or(0, bytes::Bytes::len))
            .sum();
        let (records, expected) = match version {
            4 => (240_000..=250_000, 190..=250),
            _ => (0..=0, 900..=1_250),
        };
        assert!(records.contains(&bytes), "{bytes}");
        assert!(expected.contains(&answer.throttle_time_ms), "{}", answer.throttle_time_ms);
        is_held_off(&mut client, answer.throttle_time_ms, told_at).await;
        let answer = timeout(Duration::from_secs(20), client.call(version, &request)).await;
        let answer = answer.expect("an answer");
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        assert!(partition.records.as_ref().is_some_and(|bytes| bytes.len() > 240_000), "gets on");
    }
}

#[tokio::test]
async fn requests_are_slowed_down() {
    let broker = broker();
    let mut admin = Client::connect(&broker).await.named("admin");
    let share = [("request_percentage", Some(0.1))];
    assert_eq!(alter(&mut admin, vec![entry(&[("client-id", Some("busy"))], &share)]).await, [0]);
    for version in [3, 9, 12] {
        let mut client = Client::connect(&broker).await.named("busy");
        let request = MetadataRequest::default().with_topics(None);
        let throttled = async {
            loop {
                let answer = client.call(version, &request).await;
                if answer.throttle_time_ms > 0 {
                    return answer.throttle_time_ms;
                }
            }
        };
        let throttle_time_ms = timeout(Duration::from_secs(20), throttled).await.expect("at last");
        assert!(throttle_time_ms <= 1_000);
        is_held_off(&mut client, throttle_time_ms, Instant::now()).await;
    }
    // Who has no quota is not concerned, and once it is gone nobody is.
    for _ in 0..200 {
        let answer = admin.call(9, &MetadataRequest::default().with_topics(None)).await;
        assert_eq!(answer.throttle_time_ms, 0);
    }
    let gone = entry(&[("client-id", Some("busy"))], &[("request_percentage", None)]);
    assert_eq!(alter(&mut admin, vec![gone]).await, [0]);
    let mut client = Client::connect(&broker).await.named("busy");
    for _ in 0..200 {
        let answer = client.call(9, &MetadataRequest::default().with_topics(None)).await;
        assert_eq!(answer.throttle_time_ms, 0);
    }
}
