//! The formats of records: what other programs read in `__consumer_offsets`.

use super::*;
use crate::group::record::{
    ClassicEntry, ClassicMember, ConsumerEntry, Current, MemberState, ResolvedRegex, Subscription,
};

/// Each kind of record once.
fn one_of_each() -> Vec<Entry> {
    let (group, partition) = ("group".to_owned(), TopicPartition::new("topic", 3));
    let offset = |expires_at: Option<i64>| Entry::Offset {
        group: group.clone(),
        partition: partition.clone(),
        offset: CommittedOffset {
            offset: 1_234_567,
            leader_epoch: if expires_at.is_some() { -1 } else { 5 },
            metadata: "métadonnées".into(),
            committed_at: 1_700_000_000_123,
            expires_at,
        },
    };
    let classic = ClassicEntry {
        group: group.clone(),
        at: 1_700_000_000_456,
        generation: 7,
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        leader: None,
        members: vec![MemberEntry {
            member_id: "client-1".into(),
            instance_id: Some("instance".into()),
            client_id: "client".into(),
            client_host: "127.0.0.1".into(),
            session_timeout_ms: 45_000,
            rebalance_timeout_ms: 300_000,
            subscription: Bytes::from_static(&[0, 1, 2]),
            assignment: Bytes::from_static(&[3, 4]),
        }],
    };
    let subscription = |classic| Subscription {
        instance_id: None,
        rack_id: Some("rack".into()),
        client_id: "client".into(),
        client_host: "127.0.0.1".into(),
        topics: ["a".into(), "b".into()].into(),
        regex: Some("t.*".into()),
        rebalance_timeout_ms: 300_000,
        assignor: Some("uniform".into()),
        classic,
    };
    let spoken = ClassicMember {
        session_timeout_ms: 45_000,
        protocols: vec![("range".into(), Bytes::from_static(&[9, 8]))],
    };
    let topic = TopicId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    let some = |of: &[i32]| of.iter().map(|at| (topic, *at)).collect::<Partitions>();
    let current = Current {
        epoch: 9,
        previous_epoch: 8,
        state: MemberState::Unrevoked,
        assigned: some(&[0, 1]),
        revoking: some(&[2]),
    };
    let resolved =
        ResolvedRegex { topics: ["topic".into()].into(), version: 3, at: 1_700_000_000_789 };
    let consumers = [
        ConsumerEntry::Epoch(Some((9, 77))),
        ConsumerEntry::Epoch(Some((9, 0))),
        ConsumerEntry::Member("m".into(), Some(subscription(None))),
        ConsumerEntry::Member("m".into(), Some(subscription(Some(spoken)))),
        ConsumerEntry::TargetEpoch(Some(9)),
        ConsumerEntry::Target("m".into(), Some(some(&[0, 1, 2]))),
        ConsumerEntry::Current("m".into(), Some(current)),
        ConsumerEntry::Regex("t.*".into(), Some(resolved)),
        ConsumerEntry::Current("m".into(), None),
        ConsumerEntry::Target("m".into(), None),
        ConsumerEntry::Member("m".into(), None),
        ConsumerEntry::Regex("t.*".into(), None),
        ConsumerEntry::TargetEpoch(None),
        ConsumerEntry::Epoch(None),
    ];
    let mut entries = vec![
        offset(None),
        offset(Some(1_800_000_000_000)),
        Entry::OffsetRemoved { group: group.clone(), partition: partition.clone() },
        Entry::Classic(Box::new(classic)),
        Entry::ClassicRemoved { group: group.clone() },
    ];
    let of_group = |entry| Entry::Consumer { group: group.clone(), entry };
    entries.extend(consumers.into_iter().map(of_group));
    entries
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Records as they are written since Thalweg has Kafka's formats. They must be readable
/// for ever, and by Kafka's tools.
#[test]
fn the_fixture_is_read_and_written() {
    let fixture = include_str!("../../../tests/fixtures/consumer_offsets_v1.hex");
    let lines = fixture.lines().filter(|line| !line.starts_with('#'));
    let records: Vec<(&str, &str)> =
        lines.map(|line| line.split_once(' ').expect("key and value")).collect();
    let written: Vec<_> = one_of_each()
        .iter()
        .map(|entry| {
            let (key, value) = entry.encode();
            (hex(&key), value.map_or("-".to_owned(), |value| hex(&value)))
        })
        .collect();
    let expected: Vec<_> = records.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    assert_eq!(written, expected);
    let bytes = |hex: &str| -> Vec<u8> {
        let digits = (0..hex.len() / 2).map(|at| &hex[2 * at..2 * at + 2]);
        digits.map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect()
    };
    for ((key, value), entry) in records.into_iter().zip(one_of_each()) {
        let (key, value) = (bytes(key), (value != "-").then(|| bytes(value)));
        assert_eq!(Entry::decode(&key, value.as_deref()), Ok(Some(entry)));
        assert!((0..key.len()).all(|length| Entry::decode(&key[..length], None).is_err()));
        if let Some(value) = value {
            let cut = |length| Entry::decode(&key, Some(&value[..length]));
            assert!((0..value.len()).all(|length| cut(length).is_err()));
        }
    }
}

/// What Kafka's own broker writes, byte for byte (OffsetCommitValue version 3).
#[test]
fn an_offset_is_as_kafka_writes_it() {
    let (key, value) = one_of_each()[0].encode();
    let topic = [&[0, 5][..], b"topic", &[0, 0, 0, 3]].concat();
    assert_eq!(key, [&[0, 1, 0, 5][..], b"group", &topic].concat());
    let value = value.expect("a value");
    assert_eq!(value[..14], [0, 3, 0, 0, 0, 0, 0, 0x12, 0xd6, 0x87, 0, 0, 0, 5]);
    assert_eq!(value[14..16], [0, 13]);
    assert_eq!(&value[16..29], "métadonnées".as_bytes());
    assert_eq!(value[29..], 1_700_000_000_123_i64.to_be_bytes());
}

#[test]
fn newer_versions_are_refused_and_other_kinds_passed_over() {
    let (key, value) = one_of_each()[0].encode();
    let mut value = value.expect("a value");
    value[1] = 5;
    let refused = Entry::decode(&key, Some(&value)).expect_err("a newer version");
    assert!(refused.contains("use the newer one"), "{refused}");
    // A share group's record, and metadata of topics that Kafka 4.0 wrote.
    assert_eq!(Entry::decode(&[0, 11, 0, 1, b'g'], Some(&[0, 0])), Ok(None));
    assert_eq!(Entry::decode(&[0, 4, 0, 1, b'g'], Some(&[0, 0])), Ok(None));
}
