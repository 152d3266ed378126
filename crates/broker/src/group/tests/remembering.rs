//! What is written down of groups, and what a restart makes of it.

use super::*;

#[test]
fn a_restart_keeps_members_assignments_and_offsets() {
    let mut bench = Bench::new();
    let generation = bench.stable(&["one", "two"]);
    bench.send(commit(member("one", generation), 42));
    let mut replay = Replay::new(GroupOptions::default(), bench.now);
    for entry in &bench.entries {
        let line = Line::decode(&Line::Change(entry.clone()).encode()).expect("own line");
        replay.take(line);
    }
    let before = bench.coordinator.describe("g");
    bench.coordinator = replay.finish();
    assert_eq!(bench.coordinator.describe("g"), before);
    assert_eq!(bench.code(Input::Heartbeat(member("two", generation))), NONE);
}

#[test]
fn a_snapshot_counts_only_when_it_is_complete() {
    let mut bench = Bench::new();
    bench.stable(&["one"]);
    bench.send(commit(member("one", 1), 7));
    let parts = bench.coordinator.entries(bench.now).into_iter().map(Line::SnapshotPart);
    let mut snapshot = vec![Line::SnapshotBegin];
    snapshot.extend(parts);
    snapshot.push(Line::SnapshotEnd);
    let other = Line::Change(Entry::Offset {
        group: "h".into(),
        partition: TopicPartition::new("t", 1),
        offset: CommittedOffset {
            offset: 1,
            leader_epoch: -1,
            metadata: String::new(),
            committed_at: 1,
        },
    });
    let before = std::slice::from_ref(&other);
    let replayed = |lines: &[Line]| {
        let mut replay = Replay::new(GroupOptions::default(), bench.now);
        lines.iter().cloned().for_each(|line| replay.take(line));
        replay.finish()
    };
    let whole = replayed(&[before, &snapshot[..]].concat());
    assert_eq!(whole.describe("g"), bench.coordinator.describe("g"));
    assert!(whole.describe("h").is_none(), "what was before a snapshot is gone");
    for cut in 0..snapshot.len() {
        let cut_short = [before, &snapshot[..cut], before].concat();
        let state = replayed(&cut_short);
        assert!(state.describe("h").is_some() && state.describe("g").is_none(), "cut at {cut}");
    }
}

/// Every kind of line once.
fn one_of_each() -> Vec<Line> {
    let offset = Entry::Offset {
        group: "group".into(),
        partition: TopicPartition::new("topic", 3),
        offset: CommittedOffset {
            offset: 1_234_567,
            leader_epoch: 5,
            metadata: "métadonnées".into(),
            committed_at: 1_700_000_000_123,
        },
    };
    let generation = Entry::Generation {
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
    };
    let partition = TopicPartition::new("topic", 3);
    vec![
        Line::Change(offset.clone()),
        Line::Change(Entry::OffsetRemoved { group: "group".into(), partition }),
        Line::Change(generation),
        Line::Change(Entry::GroupRemoved { group: "group".into() }),
        Line::SnapshotBegin,
        Line::SnapshotPart(offset),
        Line::SnapshotEnd,
    ]
}

/// Lines as version 1 writes them. They must be readable for ever.
#[test]
fn the_fixture_of_version_1_is_read() {
    let fixture = include_str!("../../../tests/fixtures/group_state_v1.hex");
    let lines: Vec<_> = fixture.lines().filter(|line| !line.starts_with('#')).collect();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let expected: Vec<_> = one_of_each();
    assert_eq!(lines, expected.iter().map(|line| hex(&line.encode())).collect::<Vec<_>>());
    for (line, expected) in lines.iter().zip(expected) {
        let bytes: Vec<_> = (0..line.len() / 2)
            .map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).expect("hex"))
            .collect();
        assert_eq!(Line::decode(&bytes), Ok(expected));
        assert!((0..bytes.len()).all(|length| Line::decode(&bytes[..length]).is_err()));
    }
}
