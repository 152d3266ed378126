//! Consumer groups (KIP-848), one rule at a time.

use super::*;
use crate::group::record::MemberState;

fn beat(id: &str, epoch: i32) -> HeartbeatInput {
    HeartbeatInput {
        group: "g".into(),
        member_id: id.into(),
        epoch,
        client_id: "client".into(),
        client_host: "127.0.0.1".into(),
        fresh_id: "fresh".into(),
        ..HeartbeatInput::default()
    }
}

fn join(id: &str, topics: &[&str]) -> HeartbeatInput {
    HeartbeatInput {
        rebalance_timeout_ms: Some(30_000),
        topics: Some(topics.iter().map(|topic| (*topic).to_owned()).collect()),
        owned: Some(Partitions::default()),
        ..beat(id, 0)
    }
}

fn static_join(id: &str, instance: &str) -> HeartbeatInput {
    HeartbeatInput { instance_id: Some(instance.into()), ..join(id, &["t"]) }
}

impl Bench {
    fn heartbeat(&mut self, beat: HeartbeatInput) -> ConsumerReply {
        let token = self.send(Input::ConsumerHeartbeat(Box::new(beat)));
        match self.reply(token) {
            Some(Reply::Consumer(reply)) => reply,
            other => panic!("no heartbeat reply but {other:?}"),
        }
    }

    /// A heartbeat that must be good.
    fn good(&mut self, beat: HeartbeatInput) -> ConsumerReply {
        let reply = self.heartbeat(beat);
        assert_eq!((reply.error_code, &reply.error_message), (NONE, &None));
        reply
    }

    fn refused(&mut self, beat: HeartbeatInput, code: ErrorCode) {
        let reply = self.heartbeat(beat);
        assert_eq!(reply.error_code, code.code(), "{:?}", reply.error_message);
        assert!(reply.error_message.is_some());
    }

    fn with_topic(partitions: i32) -> Self {
        let mut bench = Self::new();
        bench.topics(&[("t", partitions)]);
        bench
    }
}

#[test]
fn the_only_member_gets_everything() {
    let mut bench = Bench::with_topic(3);
    let reply = bench.good(join("a", &["t"]));
    assert_eq!((reply.epoch, reply.member_id.as_str()), (1, "a"));
    assert_eq!(reply.assignment, Some(partitions("t", 0..3)));
    assert_eq!(bench.state(), Some(GroupState::Stable));
    let reply = bench.good(beat("a", 1));
    assert_eq!((reply.epoch, reply.assignment), (1, None), "nothing new");
    let again =
        HeartbeatInput { epoch: 1, owned: Some(partitions("t", 0..3)), ..join("a", &["t"]) };
    let reply = bench.good(again);
    assert_eq!(reply.assignment, Some(partitions("t", 0..3)), "who asks is told");
}

#[test]
fn a_partition_changes_hands_step_by_step() {
    let mut bench = Bench::with_topic(4);
    bench.good(join("a", &["t"]));
    let joined = bench.good(join("b", &["t"]));
    assert_eq!((joined.epoch, joined.assignment), (2, Some(Partitions::default())));
    assert_eq!(bench.state(), Some(GroupState::Reconciling));

    let told = bench.good(beat("a", 1));
    let kept = told.assignment.expect("something to give away");
    assert_eq!((told.epoch, kept.len()), (1, 2), "still in its epoch");
    let waits = bench.good(beat("b", 2));
    assert_eq!(waits.assignment, None, "not before it was given away");

    let done = bench.good(HeartbeatInput { owned: Some(kept.clone()), ..beat("a", 1) });
    assert_eq!(done.epoch, 2);
    let got = bench.good(beat("b", 2)).assignment.expect("what became free");
    assert_eq!((got.len(), got.meets(&kept)), (2, false));
    assert_eq!(bench.state(), Some(GroupState::Stable));
}

#[test]
fn a_lost_answer_is_given_again() {
    let mut bench = Bench::with_topic(2);
    bench.good(join("a", &["t"]));
    bench.good(join("b", &["t"]));
    let kept = bench.good(beat("a", 1)).assignment.expect("something to give away");
    let done = || HeartbeatInput { owned: Some(kept.clone()), ..beat("a", 1) };
    assert_eq!(bench.good(done()).epoch, 2);
    let again = bench.good(done());
    assert_eq!((again.epoch, again.assignment), (2, Some(kept.clone())));
    bench.refused(beat("a", 1), ErrorCode::FencedMemberEpoch);
    let too_much = HeartbeatInput { owned: Some(partitions("t", 0..2)), ..beat("a", 1) };
    bench.refused(too_much, ErrorCode::FencedMemberEpoch);
    bench.refused(beat("a", 3), ErrorCode::FencedMemberEpoch);
    let anew = bench.good(join("a", &["t"]));
    assert_eq!(anew.assignment, Some(kept), "who begins anew may");
}

#[test]
fn who_does_not_give_away_in_time_is_out() {
    let mut bench = Bench::with_topic(2);
    bench.good(join("a", &["t"]));
    bench.good(join("b", &["t"]));
    bench.good(beat("a", 1));
    let mut last = bench.good(beat("b", 2));
    for _ in 0..31 {
        bench.advance(1_000);
        let reply = bench.good(beat("b", last.epoch));
        last = ConsumerReply { assignment: reply.assignment.or(last.assignment), ..reply };
    }
    bench.refused(beat("a", 1), ErrorCode::UnknownMemberId);
    assert_eq!(last.assignment, Some(partitions("t", 0..2)));
}

#[test]
fn a_silent_member_is_taken_for_dead() {
    let mut bench = Bench::with_topic(2);
    bench.good(join("a", &["t"]));
    assert_eq!(bench.coordinator.deadline(), Some(0), "old offsets are looked for first");
    bench.advance(44_000);
    assert_eq!(bench.coordinator.describe("g").expect("group").members.len(), 1);
    bench.advance(2_000);
    assert_eq!(bench.state(), Some(GroupState::Empty));
    bench.refused(beat("a", 1), ErrorCode::UnknownMemberId);
}

#[test]
fn leaving_frees_partitions() {
    let mut bench = Bench::with_topic(2);
    bench.good(join("a", &["t"]));
    bench.good(join("b", &["t"]));
    let gone = bench.good(beat("a", -1));
    assert_eq!(gone.epoch, -1);
    let reply = bench.good(beat("b", 2));
    assert_eq!(reply.assignment, Some(partitions("t", 0..2)));
    bench.refused(beat("a", -1), ErrorCode::UnknownMemberId);
}

#[test]
fn requests_are_checked() {
    let mut bench = Bench::with_topic(2);
    let invalid = ErrorCode::InvalidRequest;
    bench.refused(HeartbeatInput { group: String::new(), ..join("a", &["t"]) }, invalid);
    bench.refused(beat("a", 0), invalid);
    bench.refused(HeartbeatInput { topics: None, ..join("a", &["t"]) }, invalid);
    bench.refused(HeartbeatInput { owned: None, ..join("a", &["t"]) }, invalid);
    let owner = HeartbeatInput { owned: Some(partitions("t", [0])), ..join("a", &["t"]) };
    bench.refused(owner, invalid);
    bench.refused(beat("", 3), invalid);
    bench.refused(beat("a", -3), invalid);
    bench.refused(beat("a", -2), invalid);
    bench.refused(static_join("a", ""), invalid);
    let assignor = HeartbeatInput { assignor: Some("mine".into()), ..join("a", &["t"]) };
    bench.refused(assignor, ErrorCode::UnsupportedAssignor);
    bench.refused(beat("a", 3), ErrorCode::UnknownMemberId);
    let regex = HeartbeatInput { regex: Some("(".into()), ..join("a", &[]) };
    bench.refused(regex, ErrorCode::InvalidRegularExpression);
    assert_eq!(bench.coordinator.describe("g"), None, "nothing came of it");
    assert_eq!(bench.good(join("", &["t"])).member_id, "fresh");
}

#[test]
fn groups_have_a_largest_size() {
    let mut bench = Bench::with_topic(2);
    bench.coordinator.options.max_members = 1;
    bench.good(join("a", &["t"]));
    bench.refused(join("b", &["t"]), ErrorCode::GroupMaxSizeReached);
    bench.coordinator.options.max_members = 9;
    bench.coordinator.options.max_group_bytes = 1_500;
    let long = "x".repeat(2_000);
    bench.refused(join("b", &[&long]), ErrorCode::GroupMaxSizeReached);
    bench.coordinator.options.max_groups = 1;
    let other = HeartbeatInput { group: "h".into(), ..join("b", &["t"]) };
    bench.refused(other, ErrorCode::PolicyViolation);
}

#[test]
fn new_partitions_and_topics_are_assigned() {
    let mut bench = Bench::with_topic(1);
    bench.good(join("a", &["t", "later"]));
    bench.topics(&[("t", 2), ("later", 1)]);
    let reply = bench.good(beat("a", 1));
    let mut all = partitions("t", 0..2);
    all.extend(partitions("later", [0]).iter());
    assert_eq!((reply.epoch, reply.assignment), (2, Some(all.clone())));
    bench.topics(&[("later", 1)]);
    let reply = bench.good(HeartbeatInput { owned: Some(all), ..beat("a", 2) });
    assert_eq!(reply.assignment, Some(partitions("later", [0])), "the topic is gone");
    bench.topics(&[("later", 1), ("other", 5)]);
    let reply = bench.good(beat("a", reply.epoch));
    assert_eq!(reply.assignment, None, "what nobody reads changes nothing");
}

#[test]
fn a_regular_expression_follows_the_topics() {
    let mut bench = Bench::new();
    bench.topics(&[("orders-eu", 1), ("other", 1)]);
    let mut first = join("a", &[]);
    first.regex = Some("orders-.*".into());
    let reply = bench.good(first);
    assert_eq!(reply.assignment, Some(partitions("orders-eu", [0])));
    bench.topics(&[("orders-eu", 1), ("orders-us", 1), ("my-orders-x", 1)]);
    let reply = bench.good(beat("a", 1));
    let mut both = partitions("orders-eu", [0]);
    both.extend(partitions("orders-us", [0]).iter());
    assert_eq!(reply.assignment, Some(both));
    bench.restart();
    assert_eq!(bench.good(beat("a", 2)).epoch, 2, "a restart resolves nothing anew");
    let named = HeartbeatInput {
        topics: Some(vec!["other".into()]),
        regex: Some(String::new()),
        owned: Some(Partitions::default()),
        ..beat("a", 2)
    };
    bench.topics(&[("orders-eu", 1), ("other", 1)]);
    assert_eq!(bench.good(named).assignment, Some(partitions("other", [0])));
    let Some(crate::group::coordinator::Group::Consumer(group)) = bench.coordinator.groups.get("g")
    else {
        panic!("a consumer group")
    };
    assert!(group.regexes.is_empty(), "what nobody uses is forgotten");
}

#[test]
fn a_regular_expression_shows_only_what_its_member_may_see() {
    let mut bench = Bench::new();
    bench.topics(&[("a-open", 1), ("a-secret", 1)]);
    let visible = TopicFilter(Arc::new(|topic| !topic.contains("secret")));
    let first = HeartbeatInput { regex: Some("a-.*".into()), visible, ..join("a", &[]) };
    assert_eq!(bench.good(first).assignment, Some(partitions("a-open", [0])));
}

#[test]
fn the_members_choose_the_assignor() {
    let mut bench = Bench::new();
    bench.topics(&[("t", 3), ("u", 3)]);
    let range = |id| HeartbeatInput { assignor: Some("range".into()), ..join(id, &["t", "u"]) };
    bench.good(range("a"));
    bench.good(range("b"));
    let kept = bench.good(beat("a", 1)).assignment.expect("an assignment");
    let mut expected = partitions("t", 0..2);
    expected.extend(partitions("u", 0..2).iter());
    assert_eq!(kept, expected);
    assert_eq!(bench.coordinator.describe("g").expect("group").protocol, "range");
}

#[test]
fn a_static_member_comes_back_to_its_partitions() {
    let mut bench = Bench::with_topic(4);
    bench.good(static_join("a", "one"));
    bench.good(static_join("b", "two"));
    let kept = bench.good(with_instance(beat("a", 1), "one")).assignment.expect("kept");
    let owned = Some(kept.clone());
    bench.good(HeartbeatInput { owned, ..with_instance(beat("a", 1), "one") });
    let epoch = bench.coordinator.describe("g").expect("group").generation;
    bench.refused(static_join("c", "one"), ErrorCode::UnreleasedInstanceId);
    let away = bench.good(with_instance(beat("a", -2), "one"));
    assert_eq!(away.epoch, -2);
    bench.restart();
    let back = bench.good(static_join("c", "one"));
    assert_eq!((back.epoch, back.assignment), (epoch, Some(kept)));
    assert_eq!(bench.coordinator.describe("g").expect("group").generation, epoch, "no rebalance");
    bench.refused(with_instance(beat("a", 2), "one"), ErrorCode::FencedInstanceId);
    bench.good(with_instance(beat("c", -2), "one"));
    bench.advance(46_000);
    assert_eq!(bench.state(), Some(GroupState::Empty), "who stays away is out");
}

fn with_instance(beat: HeartbeatInput, instance: &str) -> HeartbeatInput {
    HeartbeatInput { instance_id: Some(instance.into()), ..beat }
}

#[test]
fn commits_and_fetches_are_of_the_members_epoch() {
    let mut bench = Bench::with_topic(1);
    bench.good(join("a", &["t"]));
    assert_eq!(bench.code(commit(member("a", 1), 5)), NONE);
    assert_eq!(bench.code(commit(member("a", 0), 6)), ErrorCode::StaleMemberEpoch.code());
    assert_eq!(bench.code(commit(member("b", 1), 6)), ErrorCode::UnknownMemberId.code());
    let nobody = commit(MemberRef::nobody("g"), 6);
    assert_eq!(bench.code(nobody), ErrorCode::UnknownMemberId.code());
    let Input::Commit(old) = commit(member("a", 1), 6) else { panic!("a commit") };
    let old = Input::Commit(CommitInput { version: 8, ..old });
    assert_eq!(bench.code(old), ErrorCode::UnsupportedVersion.code());
    let check = |bench: &Bench, id, epoch| bench.coordinator.check_fetch("g", id, epoch);
    assert_eq!(check(&bench, Some("a"), 1), Ok(()));
    assert_eq!(check(&bench, None, -1), Ok(()), "an administrator");
    assert_eq!(check(&bench, Some("a"), 0), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(check(&bench, Some("b"), 1), Err(ErrorCode::UnknownMemberId));
    let delete =
        Input::DeleteOffsets { group: "g".into(), partitions: vec![TopicPartition::new("t", 0)] };
    assert_eq!(bench.code(delete), ErrorCode::GroupSubscribedToTopic.code());
    assert_eq!(bench.code(Input::DeleteGroup("g".into())), ErrorCode::NonEmptyGroup.code());
    bench.good(beat("a", -1));
    assert_eq!(bench.code(commit(MemberRef::nobody("g"), 7)), NONE, "nobody is left");
    assert_eq!(bench.code(Input::DeleteGroup("g".into())), NONE);
    assert_eq!(bench.coordinator.describe("g"), None);
    bench.restart();
    assert_eq!(bench.coordinator.describe("g"), None);
}

#[test]
fn a_restart_finds_everybody_where_he_was() {
    let mut bench = Bench::with_topic(4);
    bench.good(join("a", &["t"]));
    bench.good(join("b", &["t"]));
    let kept = bench.good(beat("a", 1)).assignment.expect("something to give away");
    let before = bench.coordinator.describe_consumers("g");
    bench.restart();
    assert_eq!(bench.coordinator.describe_consumers("g"), before);
    assert!(bench.good(beat("b", 2)).assignment.is_none(), "still not given away");
    bench.good(HeartbeatInput { owned: Some(kept), ..beat("a", 1) });
    assert_eq!(bench.good(beat("b", 2)).assignment.map(|got| got.len()), Some(2));
    bench.restart();
    bench.advance(46_000);
    assert_eq!(bench.state(), Some(GroupState::Empty), "sessions go on after a restart");
}

#[test]
fn nothing_changes_before_it_is_applied() {
    let mut bench = Bench::with_topic(4);
    bench.good(join("a", &["t"]));
    let before = bench.coordinator.describe_consumers("g");
    let beat = Box::new(join("b", &["t"]));
    let outputs = bench.coordinator.step(1, Input::ConsumerHeartbeat(beat), bench.now);
    assert!(matches!(outputs[0], Output::Persist(_)));
    assert_eq!(bench.coordinator.describe_consumers("g"), before);
}

#[test]
fn a_state_of_a_newer_version_is_left_behind() {
    let mut bench = Bench::with_topic(2);
    bench.good(join("a", &["t"]));
    let Some(crate::group::coordinator::Group::Consumer(group)) =
        bench.coordinator.groups.get_mut("g")
    else {
        panic!("a consumer group")
    };
    let member = Arc::make_mut(group.members.get_mut("a").expect("member"));
    member.current.state = MemberState::Unknown;
    let reply = bench.good(beat("a", 1));
    assert_eq!(reply.epoch, 1);
    assert_eq!(bench.state(), Some(GroupState::Stable));
}
