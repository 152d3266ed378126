//! The group coordinator, one rule at a time.

use bytes::Bytes;
use thalweg_core::ids::TopicPartition;

use super::coordinator::Coordinator;
use super::entry::{Entry, Line, MemberEntry};
use super::messages::*;
use super::replay::Replay;
use super::state::{CommittedOffset, GroupState};
use crate::error_code::{ErrorCode, NONE};
use crate::options::GroupOptions;

/// A coordinator with a clock of its own; what it wants persisted is applied at once.
struct Bench {
    coordinator: Coordinator,
    now: Now,
    token: Token,
    replies: Vec<(Token, Reply)>,
    entries: Vec<Entry>,
}

impl Bench {
    fn new() -> Self {
        Self {
            coordinator: Coordinator::new(GroupOptions::default()),
            now: Now { monotonic_ms: 1_000, wall_ms: 1_700_000_000_000 },
            token: 0,
            replies: Vec::new(),
            entries: Vec::new(),
        }
    }

    fn send(&mut self, input: Input) -> Token {
        self.token += 1;
        for output in self.coordinator.step(self.token, input, self.now) {
            match output {
                Output::Reply(token, reply) => self.replies.push((token, reply)),
                Output::Persist(entries) => {
                    entries.iter().for_each(|entry| self.coordinator.apply(entry));
                    self.entries.extend(entries);
                }
            }
        }
        self.token
    }

    fn advance(&mut self, ms: u64) {
        self.now.monotonic_ms += ms;
        self.now.wall_ms += ms as i64;
        self.send(Input::Tick);
    }

    fn reply(&mut self, token: Token) -> Option<Reply> {
        let at = self.replies.iter().position(|(of, _)| *of == token)?;
        Some(self.replies.remove(at).1)
    }

    fn joined(&mut self, token: Token) -> JoinReply {
        match self.reply(token) {
            Some(Reply::Join(reply)) => reply,
            other => panic!("no join reply but {other:?}"),
        }
    }

    fn synced(&mut self, token: Token) -> SyncReply {
        match self.reply(token) {
            Some(Reply::Sync(reply)) => reply,
            other => panic!("no sync reply but {other:?}"),
        }
    }

    fn code(&mut self, input: Input) -> i16 {
        let token = self.send(input);
        match self.reply(token) {
            Some(Reply::Code(code)) => code,
            Some(Reply::Codes(Ok(codes))) => codes.into_iter().find(|c| *c != NONE).unwrap_or(NONE),
            Some(Reply::Codes(Err(code))) => code.code(),
            other => panic!("no code but {other:?}"),
        }
    }

    fn state(&self) -> Option<GroupState> {
        Some(self.coordinator.describe("g")?.summary.state)
    }

    /// A group with these members, stable in its generation. The first leads.
    fn stable(&mut self, ids: &[&str]) -> i32 {
        let joins: Vec<_> = ids.iter().map(|id| self.send(Input::Join(new_member(id)))).collect();
        self.advance(200);
        let replies: Vec<_> = joins.into_iter().map(|token| self.joined(token)).collect();
        let generation = replies[0].generation;
        let assignments = ids.iter().map(|id| ((*id).to_owned(), text(id))).collect();
        for reply in replies.iter().rev() {
            let mut input = sync(&reply.member_id, generation);
            if reply.leader == reply.member_id {
                input.assignments = Vec::clone(&assignments);
            }
            self.send(Input::Sync(input));
        }
        self.replies.clear();
        assert_eq!(self.state(), Some(GroupState::Stable));
        generation
    }
}

fn text(of: &str) -> Bytes {
    Bytes::from(format!("partitions of {of}"))
}

fn member(id: &str, generation: i32) -> MemberRef {
    MemberRef { group: "g".into(), generation, member_id: id.into(), instance_id: None }
}

fn sync(id: &str, generation: i32) -> SyncInput {
    SyncInput {
        member: member(id, generation),
        protocol_type: None,
        protocol: None,
        assignments: Vec::new(),
    }
}

/// A join of a client old enough not to need an id first.
fn new_member(fresh_id: &str) -> JoinInput {
    JoinInput {
        group: "g".into(),
        member_id: String::new(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(b"topics"))],
        requires_known_id: false,
        can_skip_assignment: false,
        fresh_id: fresh_id.into(),
    }
}

fn commit(member: MemberRef, offset: i64) -> Input {
    let offsets = vec![CommitOffset {
        partition: TopicPartition::new("t", 0),
        offset,
        leader_epoch: -1,
        metadata: "m".into(),
    }];
    Input::Commit(CommitInput { member, offsets })
}

#[test]
fn the_first_rebalance_waits_for_more_members() {
    let mut bench = Bench::new();
    let one = bench.send(Input::Join(new_member("one")));
    bench.advance(60);
    let two = bench.send(Input::Join(new_member("two")));
    bench.advance(60);
    assert!(bench.replies.is_empty(), "the second join prolongs the wait");
    bench.advance(60);
    let (one, two) = (bench.joined(one), bench.joined(two));
    assert_eq!((one.generation, two.generation), (1, 1));
    assert_eq!((one.leader.as_str(), two.leader.as_str()), ("one", "one"));
    assert_eq!((one.members.len(), two.members.len()), (2, 0));
    assert_eq!(one.protocol.as_deref(), Some("range"));
}

#[test]
fn everybody_gets_what_the_leader_says() {
    let mut bench = Bench::new();
    let joins = ["one", "two"].map(|id| bench.send(Input::Join(new_member(id))));
    bench.advance(200);
    for token in joins {
        bench.joined(token);
    }
    let follower = bench.send(Input::Sync(sync("two", 1)));
    assert!(bench.replies.is_empty(), "the follower waits for the leader");
    let mut input = sync("one", 1);
    input.assignments = vec![("one".into(), text("one")), ("two".into(), text("two"))];
    let leader = bench.send(Input::Sync(input));
    assert_eq!(bench.synced(leader).assignment, text("one"));
    assert_eq!(bench.synced(follower).assignment, text("two"));
    let again = bench.send(Input::Sync(sync("two", 1)));
    assert_eq!(bench.synced(again).assignment, text("two"));
}

#[test]
fn a_new_client_must_come_back_with_its_id() {
    let mut bench = Bench::new();
    let join = JoinInput { requires_known_id: true, ..new_member("given") };
    let token = bench.send(Input::Join(join.clone()));
    let refused = bench.joined(token);
    assert_eq!(refused.error_code, ErrorCode::MemberIdRequired.code());
    assert_eq!(refused.member_id, "given");
    let token = bench.send(Input::Join(JoinInput { member_id: "given".into(), ..join.clone() }));
    bench.advance(200);
    assert_eq!(bench.joined(token).error_code, NONE);
    let stranger = JoinInput { member_id: "made up".into(), ..join };
    let token = bench.send(Input::Join(stranger));
    assert_eq!(bench.joined(token).error_code, ErrorCode::UnknownMemberId.code());
}

#[test]
fn an_id_that_is_not_used_is_forgotten_with_its_group() {
    let mut bench = Bench::new();
    bench.send(Input::Join(JoinInput { requires_known_id: true, ..new_member("given") }));
    assert_eq!(bench.state(), Some(GroupState::Empty));
    bench.advance(10_001);
    assert_eq!(bench.state(), None);
}

#[test]
fn a_silent_member_is_taken_for_dead_and_the_others_join_again() {
    let mut bench = Bench::new();
    let generation = bench.stable(&["one", "two"]);
    bench.advance(9_000);
    assert_eq!(bench.code(Input::Heartbeat(member("two", generation))), NONE);
    bench.advance(2_000);
    let heartbeat = Input::Heartbeat(member("two", generation));
    assert_eq!(bench.code(heartbeat), ErrorCode::RebalanceInProgress.code());
    let join = JoinInput { member_id: "two".into(), ..new_member("-") };
    let token = bench.send(Input::Join(join));
    let reply = bench.joined(token);
    assert_eq!((reply.generation, reply.leader.as_str()), (generation + 1, "two"));
    let heartbeat = Input::Heartbeat(member("one", generation));
    assert_eq!(bench.code(heartbeat), ErrorCode::UnknownMemberId.code());
}

#[test]
fn who_does_not_join_again_in_time_is_out() {
    let mut bench = Bench::new();
    let generation = bench.stable(&["one", "two"]);
    let third = bench.send(Input::Join(new_member("three")));
    let back = bench.send(Input::Join(JoinInput { member_id: "one".into(), ..new_member("-") }));
    for _ in 0..13 {
        bench.advance(5_000);
        bench.send(Input::Heartbeat(member("two", generation)));
    }
    assert_eq!(bench.joined(third).generation, generation + 1);
    assert_eq!(bench.joined(back).members.len(), 2);
}

#[test]
fn a_leader_that_never_assigns_is_out() {
    let mut bench = Bench::new();
    let joins = ["one", "two"].map(|id| bench.send(Input::Join(new_member(id))));
    bench.advance(200);
    for token in joins {
        bench.joined(token);
    }
    let follower = bench.send(Input::Sync(sync("two", 1)));
    for _ in 0..13 {
        bench.advance(5_000);
        bench.send(Input::Heartbeat(member("one", 1)));
    }
    assert_eq!(bench.synced(follower).error_code, ErrorCode::RebalanceInProgress.code());
    let members = bench.coordinator.describe("g").expect("group").members;
    assert_eq!(members.iter().map(|m| &*m.member_id).collect::<Vec<_>>(), ["two"]);
}

#[test]
fn leaving_rebalances_and_the_last_one_leaves_an_empty_group() {
    let mut bench = Bench::new();
    let generation = bench.stable(&["one", "two"]);
    let leave =
        |id: &str| Input::Leave(LeaveInput { group: "g".into(), members: vec![(id.into(), None)] });
    assert_eq!(bench.code(leave("two")), NONE);
    assert_eq!(bench.state(), Some(GroupState::PreparingRebalance));
    assert_eq!(bench.code(leave("two")), ErrorCode::UnknownMemberId.code());
    assert_eq!(bench.code(leave("one")), NONE);
    assert_eq!(bench.state(), Some(GroupState::Empty));
    assert_eq!(bench.coordinator.describe("g").expect("group").generation, generation + 1);
}

#[test]
fn protocols_must_fit() {
    let mut bench = Bench::new();
    let with = |id: &str, names: &[&str]| JoinInput {
        protocols: names.iter().map(|name| ((*name).into(), Bytes::new())).collect(),
        ..new_member(id)
    };
    let one = bench.send(Input::Join(with("one", &["range", "sticky"])));
    let two = bench.send(Input::Join(with("two", &["sticky", "range"])));
    let three = bench.send(Input::Join(with("three", &["sticky", "range", "own"])));
    let odd = bench.send(Input::Join(with("odd", &["own"])));
    assert_eq!(bench.joined(odd).error_code, ErrorCode::InconsistentGroupProtocol.code());
    let other = JoinInput { protocol_type: "connect".into(), ..with("c", &["range"]) };
    let other = bench.send(Input::Join(other));
    assert_eq!(bench.joined(other).error_code, ErrorCode::InconsistentGroupProtocol.code());
    bench.advance(200);
    for token in [one, two, three] {
        assert_eq!(bench.joined(token).protocol.as_deref(), Some("sticky"), "two votes of three");
    }
}

#[test]
fn commits_are_checked() {
    let mut bench = Bench::new();
    let simple = member("", -1);
    assert_eq!(bench.code(commit(simple.clone(), 5)), NONE, "no group, no members");
    assert_eq!(bench.code(commit(member("x", 3), 5)), ErrorCode::UnknownMemberId.code());
    let generation = bench.stable(&["one"]);
    assert_eq!(bench.code(commit(simple, 6)), ErrorCode::UnknownMemberId.code());
    let stale = commit(member("one", generation - 1), 7);
    assert_eq!(bench.code(stale), ErrorCode::IllegalGeneration.code());
    assert_eq!(bench.code(commit(member("one", generation), 8)), NONE);
    let at = TopicPartition::new("t", 0);
    assert_eq!(bench.coordinator.offset("g", &at).expect("committed").offset, 8);
    let fresh = MemberRef { group: "other".into(), ..member("one", 1) };
    assert_eq!(bench.code(commit(fresh, 9)), ErrorCode::IllegalGeneration.code());
    let long =
        CommitOffset { partition: at, offset: 1, leader_epoch: -1, metadata: "x".repeat(4097) };
    let member = member("one", generation);
    let input = Input::Commit(CommitInput { member, offsets: vec![long] });
    assert_eq!(bench.code(input), ErrorCode::OffsetMetadataTooLarge.code());
}

#[test]
fn nothing_is_committed_before_it_is_applied() {
    let mut bench = Bench::new();
    let outputs = bench.coordinator.step(1, commit(member("", -1), 5), bench.now);
    assert!(matches!(outputs[0], Output::Persist(_)));
    assert!(bench.coordinator.offsets("g").is_empty());
}

#[test]
fn a_static_member_takes_its_place_again_without_a_rebalance() {
    let mut bench = Bench::new();
    let join = |fresh: &str| JoinInput {
        instance_id: Some("i".into()),
        can_skip_assignment: true,
        ..new_member(fresh)
    };
    let first = bench.send(Input::Join(join("i-1")));
    bench.advance(200);
    assert_eq!(bench.joined(first).member_id, "i-1");
    let as_instance = |id: &str| MemberRef { instance_id: Some("i".into()), ..member(id, 1) };
    let assignments = vec![("i-1".into(), text("i"))];
    let input = SyncInput { member: as_instance("i-1"), assignments, ..sync("", 1) };
    bench.send(Input::Sync(input));
    let second = bench.send(Input::Join(join("i-2")));
    let reply = bench.joined(second);
    assert_eq!((reply.generation, &*reply.member_id), (1, "i-2"));
    assert!(reply.skip_assignment && reply.leader == "i-2");
    let input = SyncInput { member: as_instance("i-2"), ..sync("", 1) };
    let token = bench.send(Input::Sync(input));
    assert_eq!(bench.synced(token).assignment, text("i"));
    let former = Input::Heartbeat(as_instance("i-1"));
    assert_eq!(bench.code(former), ErrorCode::FencedInstanceId.code());
    assert_eq!(bench.code(Input::Heartbeat(as_instance("i-2"))), NONE);
    let gone = LeaveInput { group: "g".into(), members: vec![(String::new(), Some("i".into()))] };
    assert_eq!(bench.code(Input::Leave(gone)), NONE, "sent away by its instance id");
    assert_eq!(bench.state(), Some(GroupState::Empty));
}

#[test]
fn sizes_are_bounded() {
    let mut bench = Bench::new();
    bench.coordinator.options.max_members = 1;
    bench.coordinator.options.max_groups = 1;
    bench.coordinator.options.max_group_bytes = 10_000;
    let large = vec![("range".into(), Bytes::from(vec![0; 20_000]))];
    bench.send(Input::Join(new_member("one")));
    let second = bench.send(Input::Join(new_member("two")));
    assert_eq!(bench.joined(second).error_code, ErrorCode::GroupMaxSizeReached.code());
    let update = JoinInput { member_id: "one".into(), protocols: large, ..new_member("-") };
    let update = bench.send(Input::Join(update));
    assert_eq!(bench.joined(update).error_code, ErrorCode::GroupMaxSizeReached.code());
    let other = bench.send(Input::Join(JoinInput { group: "h".into(), ..new_member("h") }));
    assert_eq!(bench.joined(other).error_code, ErrorCode::PolicyViolation.code());
    let fresh = MemberRef { group: "h".into(), ..member("", -1) };
    assert_eq!(bench.code(commit(fresh, 1)), ErrorCode::PolicyViolation.code());
}

#[test]
fn timeouts_must_be_sensible() {
    let mut bench = Bench::new();
    for session_timeout_ms in [-1, 0, 999, i32::MAX] {
        let token = bench.send(Input::Join(JoinInput { session_timeout_ms, ..new_member("x") }));
        assert_eq!(bench.joined(token).error_code, ErrorCode::InvalidSessionTimeout.code());
    }
    assert_eq!(bench.state(), None);
}

#[test]
fn groups_are_deleted_only_without_members() {
    let mut bench = Bench::new();
    let delete = || Input::DeleteGroup("g".into());
    assert_eq!(bench.code(delete()), ErrorCode::GroupIdNotFound.code());
    let generation = bench.stable(&["one"]);
    bench.send(commit(member("one", generation), 3));
    assert_eq!(bench.code(delete()), ErrorCode::NonEmptyGroup.code());
    let gone = LeaveInput { group: "g".into(), members: vec![("one".into(), None)] };
    bench.send(Input::Leave(gone));
    assert_eq!(bench.code(delete()), NONE);
    assert_eq!(bench.state(), None);
}

#[test]
fn offsets_are_deleted_on_request_with_their_topic_and_by_age() {
    let mut bench = Bench::new();
    bench.send(commit(member("", -1), 3));
    let partitions = vec![TopicPartition::new("t", 0)];
    let delete = Input::DeleteOffsets { group: "g".into(), partitions };
    assert_eq!(bench.code(delete), NONE);
    assert!(bench.coordinator.offsets("g").is_empty());
    bench.send(commit(member("", -1), 4));
    bench.send(Input::TopicDeleted("t".into()));
    assert!(bench.coordinator.offsets("g").is_empty());
    bench.send(commit(member("", -1), 5));
    let week = bench.coordinator.options.offset_retention_ms;
    bench.advance(week - 1_000);
    assert_eq!(bench.coordinator.offsets("g").len(), 1);
    bench.advance(700_000);
    assert_eq!(bench.state(), None, "the offsets and with them the group");
}

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
    let fixture = include_str!("../../tests/fixtures/group_state_v1.hex");
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
