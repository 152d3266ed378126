//! Offsets committed in transactions: when they count, and who may commit them.

use super::*;

const PRODUCER: i64 = 7;

fn in_transaction(producer: i64, member: MemberRef, offset: i64) -> Input {
    let Input::Commit(commit) = commit(member, offset) else { panic!("a commit") };
    let transaction = TransactionRef { producer_id: producer, producer_epoch: 0 };
    Input::Commit(CommitInput { version: 3, transaction: Some(transaction), ..commit })
}

fn at() -> TopicPartition {
    TopicPartition::new("t", 0)
}

#[test]
fn an_offset_counts_when_its_transaction_is_committed() {
    let mut bench = Bench::new();
    bench.send(commit(MemberRef::nobody("g"), 1));
    assert_eq!(bench.code(in_transaction(PRODUCER, MemberRef::nobody("g"), 5)), NONE);
    for restart in [false, true] {
        if restart {
            bench.restart();
        }
        assert_eq!(bench.offset("g"), Some(1));
        assert!(bench.coordinator.is_unstable("g", &at()));
    }
    bench.end_transaction(PRODUCER, ControlKind::Commit);
    for restart in [false, true] {
        if restart {
            bench.restart();
        }
        assert_eq!(bench.offset("g"), Some(5));
        assert!(!bench.coordinator.is_unstable("g", &at()));
    }
}

#[test]
fn an_aborted_transaction_leaves_nothing() {
    let mut bench = Bench::new();
    bench.send(in_transaction(PRODUCER, MemberRef::nobody("g"), 5));
    assert!(bench.coordinator.describe("g").is_some());
    bench.end_transaction(PRODUCER, ControlKind::Abort);
    assert_eq!(bench.coordinator.describe("g"), None);
    assert_eq!(bench.coordinator.offsets.bytes(), 0);
    bench.restart();
    assert_eq!(bench.coordinator.describe("g"), None);
}

/// Of two commits the later one wins, whenever the marker comes, and a restart sees it
/// in the same way.
#[test]
fn the_later_commit_wins() {
    for (first_in_transaction, expected) in [(true, 2), (false, 1)] {
        let mut bench = Bench::new();
        let plain = |offset| commit(MemberRef::nobody("g"), offset);
        let within = |offset| in_transaction(PRODUCER, MemberRef::nobody("g"), offset);
        if first_in_transaction {
            bench.send(within(1));
            bench.send(plain(2));
        } else {
            bench.send(plain(2));
            bench.send(within(1));
        }
        bench.end_transaction(PRODUCER, ControlKind::Commit);
        assert_eq!(bench.offset("g"), Some(expected));
        bench.restart();
        assert_eq!(bench.offset("g"), Some(expected));
    }
}

/// The coordinator may hear of a marker after the next transaction began.
#[test]
fn a_marker_ends_only_what_is_before_it() {
    let mut bench = Bench::new();
    bench.send(in_transaction(PRODUCER, MemberRef::nobody("g"), 1));
    let marker = bench.log.len() as Offset;
    bench.log.push(Logged::Marker(PRODUCER, ControlKind::Commit));
    bench.send(in_transaction(PRODUCER, MemberRef::nobody("h"), 2));
    let producer = ProducerId(PRODUCER);
    let ended = || Input::TransactionEnded { producer, outcome: ControlKind::Commit, marker };
    bench.send(ended());
    bench.send(ended());
    for restart in [false, true] {
        if restart {
            bench.restart();
        }
        assert_eq!((bench.offset("g"), bench.offset("h")), (Some(1), None));
        assert!(bench.coordinator.is_unstable("h", &at()));
    }
}

#[test]
fn what_is_deleted_does_not_come_back_with_a_marker() {
    let mut bench = Bench::new();
    bench.send(commit(MemberRef::nobody("g"), 1));
    bench.send(in_transaction(PRODUCER, MemberRef::nobody("g"), 5));
    bench.send(Input::TopicDeleted("t".into()));
    bench.end_transaction(PRODUCER, ControlKind::Commit);
    assert_eq!(bench.coordinator.describe("g"), None);
    assert_eq!(bench.coordinator.offsets.bytes(), 0);
    bench.restart();
    assert_eq!(bench.coordinator.describe("g"), None);
}

#[test]
fn a_producer_is_fenced_by_the_generation_of_its_consumer() {
    let mut bench = Bench::new();
    let generation = bench.stable(&["one"]);
    let code = |bench: &mut Bench, member| bench.code(in_transaction(PRODUCER, member, 1));
    assert_eq!(code(&mut bench, member("one", generation)), NONE);
    let stale = member("one", generation - 1);
    assert_eq!(code(&mut bench, stale), ErrorCode::IllegalGeneration.code());
    let stranger = member("two", generation);
    assert_eq!(code(&mut bench, stranger), ErrorCode::UnknownMemberId.code());
    let instance = MemberRef { instance_id: Some("i".into()), ..member("one", generation) };
    assert_eq!(code(&mut bench, instance), ErrorCode::UnknownMemberId.code());
    assert_eq!(code(&mut bench, MemberRef::nobody("g")), NONE, "a producer of before KIP-447");
    let elsewhere = MemberRef { group: "none".into(), ..member("one", 1) };
    assert_eq!(code(&mut bench, elsewhere), ErrorCode::IllegalGeneration.code());
    // In a rebalance as well: the producer's work is of the generation before.
    bench.send(Input::Join(new_member("two")));
    assert_eq!(code(&mut bench, member("one", generation)), NONE);
}

#[test]
fn offsets_under_way_do_not_expire_and_keep_their_records() {
    let mut bench = Bench::new();
    bench.send(commit(MemberRef::nobody("other"), 1));
    bench.send(commit(MemberRef::nobody("g"), 1));
    let committed = bench.log.len() as Offset - 1;
    bench.send(in_transaction(PRODUCER, MemberRef::nobody("g"), 5));
    assert_eq!(bench.coordinator.oldest_unsettled(), Some(committed));
    let anew = bench.coordinator.entries(bench.now);
    assert!(anew.iter().all(|entry| !matches!(entry, Entry::Offset { group, .. } if group == "g")));
    bench.advance(bench.coordinator.options.offset_retention_ms * 2);
    assert_eq!((bench.offset("g"), bench.offset("other")), (Some(1), None));
    bench.end_transaction(PRODUCER, ControlKind::Commit);
    assert_eq!(bench.coordinator.oldest_unsettled(), None);
    assert_eq!(bench.offset("g"), Some(5));
}
