//! Who may join, what a rebalance does, what is committed, and what is refused.

use super::*;

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
    assert_eq!(bench.code(commit(fresh.clone(), 9)), ErrorCode::GroupIdNotFound.code());
    let Input::Commit(older) = commit(fresh, 9) else { panic!("a commit") };
    let older = Input::Commit(CommitInput { version: 8, ..older });
    assert_eq!(bench.code(older), ErrorCode::IllegalGeneration.code());
    let Input::Commit(mut input) = commit(member("one", generation), 1) else { panic!("a commit") };
    input.offsets[0].metadata = "x".repeat(4097);
    let input = Input::Commit(input);
    assert_eq!(bench.code(input), ErrorCode::OffsetMetadataTooLarge.code());
}

#[test]
fn nothing_is_committed_before_it_is_applied() {
    let mut bench = Bench::new();
    let outputs = bench.coordinator.step(1, commit(member("", -1), 5), bench.now);
    assert!(matches!(outputs[0], Output::Persist(_)));
    assert!(bench.coordinator.all_offsets("g").is_empty());
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
    assert_eq!(bench.code(commit(MemberRef::nobody("h"), 1)), NONE);
    let one_more = commit(MemberRef::nobody("i"), 1);
    assert_eq!(bench.code(one_more), ErrorCode::PolicyViolation.code());
}

#[test]
fn the_bytes_of_all_groups_are_bounded() {
    let mut bench = Bench::new();
    bench.coordinator.options.max_member_bytes = 10_000;
    bench.coordinator.options.max_offset_bytes = 1_000;
    let large = || vec![("range".into(), Bytes::from(vec![0; 6_000]))];
    bench.send(Input::Join(JoinInput { protocols: large(), ..new_member("one") }));
    let other = || JoinInput { group: "h".into(), protocols: large(), ..new_member("two") };
    let refused = bench.send(Input::Join(other()));
    assert_eq!(bench.joined(refused).error_code, ErrorCode::PolicyViolation.code());
    let gone = LeaveInput { group: "g".into(), members: vec![("one".into(), None)] };
    bench.send(Input::Leave(gone));
    bench.replies.clear();
    let taken = bench.send(Input::Join(other()));
    assert!(bench.reply(taken).is_none(), "taken: it waits for others");

    let group = |n: usize| MemberRef { group: format!("simple {n}"), ..member("", -1) };
    let codes: Vec<_> = (0..20).map(|n| bench.code(commit(group(n), 1))).collect();
    let taken = codes.iter().filter(|code| **code == NONE).count();
    assert!((5..10).contains(&taken), "{codes:?}");
    assert_eq!(codes[19], ErrorCode::PolicyViolation.code());
    assert_eq!(bench.code(commit(group(0), 2)), NONE, "who has offsets gets on");
    assert_eq!(bench.code(Input::DeleteGroup("simple 0".into())), NONE);
    assert_eq!(bench.code(commit(group(19), 1)), NONE, "there is room again");
    let all = (0..20).map(|n| Input::DeleteGroup(format!("simple {n}")));
    all.for_each(|delete| {
        bench.code(delete);
    });
    assert_eq!(bench.coordinator.offsets.bytes(), 0);
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
    assert!(bench.coordinator.all_offsets("g").is_empty());
    bench.send(commit(member("", -1), 4));
    bench.send(Input::TopicDeleted("t".into()));
    assert!(bench.coordinator.all_offsets("g").is_empty());
    bench.send(commit(member("", -1), 5));
    let week = bench.coordinator.options.offset_retention_ms;
    bench.advance(week - 1_000);
    assert_eq!(bench.coordinator.all_offsets("g").len(), 1);
    bench.advance(700_000);
    assert_eq!(bench.state(), None, "the offsets and with them the group");
}
