//! What is written down of groups, and what a restart makes of it.

use super::*;
use crate::group::record::ClassicEntry;
use crate::group::record::legacy::{LegacyEntry, LegacyLine};

#[test]
fn a_restart_keeps_members_assignments_and_offsets() {
    let mut bench = Bench::new();
    let generation = bench.stable(&["one", "two"]);
    bench.send(commit(member("one", generation), 42));
    let before = bench.coordinator.describe("g");
    bench.restart();
    assert_eq!(bench.coordinator.describe("g"), before);
    assert_eq!(bench.code(Input::Heartbeat(member("two", generation))), NONE);
}

/// All can be written anew, and the records before that may go, all or some.
#[test]
fn what_is_written_anew_takes_the_place_of_all_before() {
    let mut bench = Bench::new();
    bench.stable(&["one"]);
    bench.send(commit(member("one", 1), 7));
    bench.send(commit(MemberRef::nobody("gone"), 1));
    bench.send(Input::DeleteGroup("gone".into()));
    let before = bench.log.clone();
    let anew: Vec<_> =
        bench.coordinator.entries(bench.now).into_iter().map(Logged::Entry).collect();
    for from in 0..=before.len() {
        let log = [&before[from..], &anew[..]].concat();
        let state = replayed(&log, bench.now);
        assert_eq!(state.describe("g"), bench.coordinator.describe("g"), "from {from}");
        assert!(state.describe("gone").is_none());
    }
}

fn legacy(lines: &[LegacyLine]) -> Coordinator {
    let now = Now { monotonic_ms: 0, wall_ms: 0 };
    let mut replay = Replay::new(GroupOptions::default(), now);
    (0..).zip(lines).for_each(|(record, line)| replay.take_legacy(line, record));
    replay.finish(Default::default())
}

fn legacy_offset(group: &str) -> LegacyLine {
    LegacyLine::Change(LegacyEntry::Entry(Box::new(Entry::Offset {
        group: group.into(),
        partition: TopicPartition::new("t", 1),
        offset: CommittedOffset {
            offset: 1,
            leader_epoch: -1,
            metadata: String::new(),
            committed_at: 1,
            expires_at: None,
        },
    })))
}

#[test]
fn a_snapshot_of_version_1_counts_only_when_it_is_complete() {
    let LegacyLine::Change(offset) = legacy_offset("g") else { panic!("a change") };
    let snapshot =
        [LegacyLine::SnapshotBegin, LegacyLine::SnapshotPart(offset), LegacyLine::SnapshotEnd];
    let before = [legacy_offset("h")];
    let whole = legacy(&[&before, &snapshot[..]].concat());
    assert!(whole.describe("g").is_some());
    assert!(whole.describe("h").is_none(), "what was before a snapshot is gone");
    for cut in 0..snapshot.len() {
        let state = legacy(&[&before, &snapshot[..cut], &before].concat());
        assert!(state.describe("h").is_some() && state.describe("g").is_none(), "cut at {cut}");
    }
}

#[test]
fn a_group_of_version_1_goes_with_its_offsets() {
    let gone = LegacyLine::Change(LegacyEntry::GroupRemoved("g".into()));
    assert!(legacy(&[legacy_offset("g"), gone]).describe("g").is_none());
}

/// Every kind of line of version 1 once.
fn one_of_each() -> Vec<LegacyLine> {
    let offset = LegacyEntry::Entry(Box::new(Entry::Offset {
        group: "group".into(),
        partition: TopicPartition::new("topic", 3),
        offset: CommittedOffset {
            offset: 1_234_567,
            leader_epoch: 5,
            metadata: "métadonnées".into(),
            committed_at: 1_700_000_000_123,
            expires_at: None,
        },
    }));
    let generation = Entry::Classic(Box::new(ClassicEntry {
        group: "group".into(),
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
    }));
    let partition = TopicPartition::new("topic", 3);
    let removed = Entry::OffsetRemoved { group: "group".into(), partition };
    vec![
        LegacyLine::Change(offset.clone()),
        LegacyLine::Change(LegacyEntry::Entry(Box::new(removed))),
        LegacyLine::Change(LegacyEntry::Entry(Box::new(generation))),
        LegacyLine::Change(LegacyEntry::GroupRemoved("group".into())),
        LegacyLine::SnapshotBegin,
        LegacyLine::SnapshotPart(offset),
        LegacyLine::SnapshotEnd,
    ]
}

/// Payloads as version 1 wrote them. They must be readable for ever.
#[test]
fn the_fixture_of_version_1_is_read() {
    let fixture = include_str!("../../../tests/fixtures/group_state_v1.hex");
    let lines: Vec<_> = fixture.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), one_of_each().len());
    for (line, expected) in lines.iter().zip(one_of_each()) {
        let mut framed = vec![1];
        let hex = (0..line.len() / 2).map(|at| &line[2 * at..2 * at + 2]);
        framed.extend(hex.map(|byte| u8::from_str_radix(byte, 16).expect("hex")));
        let value = [&crc32c::crc32c(&framed).to_be_bytes()[..], &framed].concat();
        assert_eq!(LegacyLine::decode(&value), Ok(expected));
        assert!((0..value.len()).all(|length| LegacyLine::decode(&value[..length]).is_err()));
        let mut newer = value;
        newer[4] = 2;
        assert!(LegacyLine::decode(&newer).is_err());
    }
}
