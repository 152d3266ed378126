//! From the classic protocol to consumer groups and back, while members stay.

use super::*;
use crate::group::describe::GroupType;
use crate::group::embedded;

fn classic(fresh_id: &str, owned: Option<&[(&str, i32)]>) -> JoinInput {
    let subscription = embedded::encode_subscription(&["t"], owned);
    JoinInput { protocols: vec![("range".into(), subscription)], ..new_member(fresh_id) }
}

fn consumer(id: &str) -> HeartbeatInput {
    HeartbeatInput {
        group: "g".into(),
        member_id: id.into(),
        rebalance_timeout_ms: Some(30_000),
        topics: Some(vec!["t".into()]),
        owned: Some(Partitions::default()),
        fresh_id: "fresh".into(),
        ..HeartbeatInput::default()
    }
}

fn said(assignment: &Bytes) -> Vec<i32> {
    let topics = embedded::assignment(assignment).expect("an assignment");
    topics.into_iter().flat_map(|(_, partitions)| partitions).collect()
}

impl Bench {
    /// A classic group of one member with all four partitions.
    fn classic_group() -> (Self, i32) {
        let mut bench = Self::new();
        bench.topics(&[("t", 4)]);
        let token = bench.send(Input::Join(classic("old", None)));
        bench.advance(200);
        let generation = bench.joined(token).generation;
        let all = [("t".to_owned(), (0..4).collect())].into();
        let assignments = vec![("old".to_owned(), embedded::encode_assignment(0, &all))];
        let token = bench.send(Input::Sync(SyncInput { assignments, ..sync("old", generation) }));
        assert_eq!(bench.synced(token).error_code, NONE);
        (bench, generation)
    }

    fn kind(&self) -> GroupType {
        self.coordinator.describe("g").expect("group").summary.group_type
    }

    fn beat(&mut self, input: HeartbeatInput) -> ConsumerReply {
        let token = self.send(Input::ConsumerHeartbeat(Box::new(input)));
        match self.reply(token) {
            Some(Reply::Consumer(reply)) => reply,
            other => panic!("no heartbeat reply but {other:?}"),
        }
    }

    fn rejoin(&mut self, id: &str, owned: Option<&[(&str, i32)]>) -> i32 {
        let join = JoinInput { member_id: id.into(), ..classic("-", owned) };
        let token = self.send(Input::Join(join));
        let reply = self.joined(token);
        assert_eq!((reply.error_code, reply.member_id.as_str()), (NONE, id));
        assert!(reply.leader.is_empty() && reply.members.is_empty(), "nobody leads");
        reply.generation
    }
}

#[test]
fn members_of_both_protocols_share_a_group() {
    let (mut bench, generation) = Bench::classic_group();
    let joined = bench.beat(consumer("new"));
    assert_eq!((joined.error_code, bench.kind()), (NONE, GroupType::Consumer));
    assert_eq!(joined.assignment, Some(Partitions::default()), "the other has all of it");
    assert!(joined.epoch > generation);
    bench.restart();

    let alive = Input::Heartbeat(member("old", generation));
    assert_eq!(bench.code(alive), ErrorCode::RebalanceInProgress.code());
    // An eager member gave everything away before it joins again.
    let generation = bench.rejoin("old", None);
    let token = bench.send(Input::Sync(sync("old", generation)));
    assert_eq!(said(&bench.synced(token).assignment).len(), 2);
    assert_eq!(bench.code(Input::Heartbeat(member("old", generation))), NONE);
    assert_eq!(bench.code(commit(member("old", generation), 5)), NONE);
    let stale = commit(member("old", generation - 1), 5);
    assert_eq!(bench.code(stale), ErrorCode::IllegalGeneration.code());
    let beat = HeartbeatInput { epoch: joined.epoch, ..consumer("new") };
    assert_eq!(bench.beat(beat).assignment.map(|got| got.len()), Some(2));
    assert_eq!(bench.state(), Some(GroupState::Stable));
}

#[test]
fn a_cooperative_member_gives_away_in_two_steps() {
    let (mut bench, _) = Bench::classic_group();
    bench.beat(consumer("new"));
    let all = [("t", 0), ("t", 1), ("t", 2), ("t", 3)];
    let generation = bench.rejoin("old", Some(&all));
    let token = bench.send(Input::Sync(sync("old", generation)));
    let kept = said(&bench.synced(token).assignment);
    assert_eq!(kept.len(), 2, "what it is to keep");
    let told = Input::Heartbeat(member("old", generation));
    assert_eq!(bench.code(told), ErrorCode::RebalanceInProgress.code(), "and to join again");
    let owned: Vec<_> = kept.iter().map(|partition| ("t", *partition)).collect();
    let generation = bench.rejoin("old", Some(&owned));
    let token = bench.send(Input::Sync(sync("old", generation)));
    assert_eq!(said(&bench.synced(token).assignment), kept);
    assert_eq!(bench.code(Input::Heartbeat(member("old", generation))), NONE);
}

#[test]
fn the_last_of_the_new_protocol_leaves_a_classic_group() {
    for expires in [false, true] {
        let (mut bench, _) = Bench::classic_group();
        bench.beat(consumer("new"));
        let generation = bench.rejoin("old", None);
        bench.send(Input::Sync(sync("old", generation)));
        bench.send(commit(member("old", generation), 5));
        bench.replies.clear();
        if expires {
            for _ in 0..46 {
                bench.send(Input::Heartbeat(member("old", generation)));
                bench.advance(1_000);
            }
        } else {
            let gone = HeartbeatInput { epoch: -1, topics: None, owned: None, ..consumer("new") };
            assert_eq!(bench.beat(gone).error_code, NONE);
        }
        assert_eq!(bench.kind(), GroupType::Classic);
        assert_eq!(bench.offset("g"), Some(5));
        let described = bench.coordinator.describe("g").expect("group");
        assert_eq!(described.members.len(), 1);
        assert_eq!(described.summary.state, GroupState::PreparingRebalance);
        let generation = described.generation;
        let told = bench.code(Input::Heartbeat(member("old", generation)));
        assert_eq!(told, ErrorCode::RebalanceInProgress.code());
        let join = JoinInput { member_id: "old".into(), ..classic("-", None) };
        let token = bench.send(Input::Join(join));
        let reply = bench.joined(token);
        assert_eq!((reply.error_code, reply.leader.as_str()), (NONE, "old"));
        let mut restarted = replayed(&bench.log, bench.now);
        assert_eq!(restarted.describe("g").expect("group").members.len(), 1);
        restarted.step(0, Input::Tick, bench.now);
    }
}

#[test]
fn waiting_members_are_sent_to_begin_anew() {
    let mut bench = Bench::new();
    bench.topics(&[("t", 4)]);
    let waiting = bench.send(Input::Join(classic("old", None)));
    assert_eq!(bench.beat(consumer("new")).error_code, NONE);
    assert_eq!(bench.joined(waiting).error_code, ErrorCode::RebalanceInProgress.code());
    let generation = bench.rejoin("old", None);
    let token = bench.send(Input::Sync(sync("old", generation)));
    assert_eq!(bench.synced(token).error_code, NONE);
}

#[test]
fn other_protocols_do_not_become_consumer_groups() {
    let mut bench = Bench::new();
    let connect = JoinInput { protocol_type: "connect".into(), ..new_member("worker") };
    bench.send(Input::Join(connect));
    bench.advance(200);
    let reply = bench.beat(consumer("new"));
    assert_eq!(reply.error_code, ErrorCode::GroupIdNotFound.code());
    assert_eq!(bench.kind(), GroupType::Classic);

    let mut bench = Bench::new();
    bench.send(Input::Join(new_member("opaque")));
    bench.advance(200);
    let reply = bench.beat(consumer("new"));
    assert_eq!(reply.error_code, ErrorCode::GroupIdNotFound.code(), "a subscription of its own");
}

#[test]
fn a_consumer_group_takes_only_consumers() {
    let mut bench = Bench::new();
    bench.topics(&[("t", 4)]);
    bench.beat(consumer("new"));
    let connect = JoinInput { protocol_type: "connect".into(), ..classic("worker", None) };
    let token = bench.send(Input::Join(connect));
    assert_eq!(bench.joined(token).error_code, ErrorCode::InconsistentGroupProtocol.code());
    let needs_id = JoinInput { requires_known_id: true, ..classic("given", None) };
    let token = bench.send(Input::Join(needs_id));
    let reply = bench.joined(token);
    assert_eq!(reply.error_code, ErrorCode::MemberIdRequired.code());
    assert_eq!(reply.member_id, "given");
    bench.rejoin("given", None);
    let other = JoinInput {
        protocols: vec![("own".into(), embedded::encode_subscription(&["t"], None))],
        ..classic("odd", None)
    };
    let token = bench.send(Input::Join(other));
    assert_eq!(bench.joined(token).error_code, ErrorCode::InconsistentGroupProtocol.code());
    let code = bench.code(Input::Heartbeat(member("new", 1)));
    assert_eq!(code, ErrorCode::UnknownMemberId.code(), "of the other protocol");
}

#[test]
fn empty_groups_change_their_kind_with_their_first_member() {
    let (mut bench, generation) = Bench::classic_group();
    bench.send(commit(member("old", generation), 5));
    let leave = || LeaveInput { group: "g".into(), members: vec![("old".into(), None)] };
    assert_eq!(bench.code(Input::Leave(leave())), NONE);
    let joined = bench.beat(consumer("new"));
    assert_eq!(joined.assignment, Some(partitions("t", 0..4)));
    assert!(joined.epoch > generation, "epochs go on from generations");
    let gone = HeartbeatInput { epoch: -1, topics: None, owned: None, ..consumer("new") };
    bench.beat(gone);
    assert_eq!((bench.kind(), bench.state()), (GroupType::Consumer, Some(GroupState::Empty)));
    let token = bench.send(Input::Join(classic("old", None)));
    bench.advance(200);
    let reply = bench.joined(token);
    assert!(reply.generation > joined.epoch);
    assert_eq!((bench.kind(), bench.offset("g")), (GroupType::Classic, Some(5)));
    bench.restart();
    assert_eq!(bench.offset("g"), Some(5));
}

#[test]
fn a_static_member_changes_its_protocol() {
    let mut bench = Bench::new();
    bench.topics(&[("t", 4)]);
    let as_instance = |id: &str| JoinInput { instance_id: Some("i".into()), ..classic(id, None) };
    let token = bench.send(Input::Join(as_instance("old")));
    bench.advance(200);
    let generation = bench.joined(token).generation;
    let all = [("t".to_owned(), (0..4).collect())].into();
    let assignments = vec![("old".to_owned(), embedded::encode_assignment(0, &all))];
    bench.send(Input::Sync(SyncInput { assignments, ..sync("old", generation) }));
    let upgraded = HeartbeatInput { instance_id: Some("i".into()), ..consumer("new") };
    let reply = bench.beat(upgraded);
    assert_eq!(reply.assignment, Some(partitions("t", 0..4)), "the place of its former self");
    assert_eq!(bench.coordinator.describe("g").expect("group").members.len(), 1);
    // And back.
    let token = bench.send(Input::Join(as_instance("older")));
    assert_eq!(bench.joined(token).error_code, NONE);
    assert_eq!(bench.kind(), GroupType::Classic);
    let member = &bench.coordinator.describe("g").expect("group").members[0];
    assert_eq!((member.member_id.as_str(), member.instance_id.as_deref()), ("older", Some("i")));
}

#[test]
fn a_classic_member_that_never_syncs_or_joins_is_out() {
    let (mut bench, generation) = Bench::classic_group();
    let joined = bench.beat(consumer("new"));
    for _ in 0..62 {
        bench.send(Input::Heartbeat(member("old", generation)));
        let beat = HeartbeatInput { epoch: joined.epoch, ..consumer("new") };
        bench.beat(beat);
        bench.advance(1_000);
    }
    let members = bench.coordinator.describe("g").expect("group").members;
    assert_eq!(members.iter().map(|m| &*m.member_id).collect::<Vec<_>>(), ["new"]);
    let beat = HeartbeatInput { epoch: joined.epoch, ..consumer("new") };
    let epoch = bench.beat(beat).epoch;
    let beat = HeartbeatInput { epoch, ..consumer("new") };
    assert_eq!(bench.beat(beat).assignment, Some(partitions("t", 0..4)));
}

#[test]
fn classic_members_are_sent_away_from_a_consumer_group() {
    let (mut bench, _) = Bench::classic_group();
    bench.beat(consumer("new"));
    let leave = |id: &str| LeaveInput { group: "g".into(), members: vec![(id.into(), None)] };
    let code = bench.code(Input::Leave(leave("new")));
    assert_eq!(code, ErrorCode::UnknownMemberId.code(), "it has a request of its own");
    assert_eq!(bench.code(Input::Leave(leave("old"))), NONE);
    assert_eq!(bench.code(Input::Leave(leave("old"))), ErrorCode::UnknownMemberId.code());
    assert_eq!(bench.kind(), GroupType::Consumer);
}
