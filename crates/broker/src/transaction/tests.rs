//! The coordinator's rules, one by one, with Kafka's codes.

use std::collections::BTreeSet;

use thalweg_core::ids::{ProducerId, TopicPartition};
use thalweg_core::record_batch::ControlKind;
use thalweg_core::record_batch::ControlKind::{Abort, Commit};

use super::coordinator::Coordinator;
use super::messages::{Change, Decision, Effect, End, Event, Init, Now, Refusal, Reply, Token};
use super::state::{Producer, Protocol, State, Transaction};
use crate::error_code::ErrorCode::{self, *};
use crate::options::TransactionOptions;

const ID: &str = "tx";
const TIMEOUT_MS: i32 = 60_000;

/// A coordinator whose changes are stored at once, and whose markers are written on demand.
struct Bench {
    coordinator: Coordinator,
    now: Now,
    token: Token,
    fresh: i64,
    replies: Vec<(Token, Reply)>,
    /// Ends of which the markers are to be written.
    ends: Vec<Producer>,
    stored: Vec<Change>,
}

impl Bench {
    fn new() -> Self {
        Self::with(TransactionOptions::default())
    }

    fn with(options: TransactionOptions) -> Self {
        let (coordinator, now) =
            (Coordinator::new(options), Now { monotonic_ms: 5, wall_ms: 1_000 });
        let (replies, ends, stored) = (Vec::new(), Vec::new(), Vec::new());
        Self { coordinator, now, token: 0, fresh: 100, replies, ends, stored }
    }

    /// A transactional id as it may be after much has happened.
    fn holding(change: impl FnOnce(&mut Transaction)) -> Self {
        let mut bench = Self::new();
        let mut known = Transaction::new(ID, ProducerId(7));
        (known.producer.epoch, known.timeout_ms, known.updated_at) = (3, TIMEOUT_MS, 1_000);
        change(&mut known);
        if !known.is_idle() {
            (known.partitions, known.started_at) = (partitions(&[0]), 1_000);
        }
        bench.coordinator.apply(Change::Put(Box::new(known)), bench.now, 1);
        bench
    }

    fn pass(&mut self, ms: u64) {
        self.now.monotonic_ms += ms;
        self.now.wall_ms += ms as i64;
        while let Some(id) = self.coordinator.overdue(self.now).map(str::to_owned) {
            self.event(0, Event::Due { id });
        }
    }

    fn event(&mut self, token: Token, event: Event) {
        let Decision { now, change, then } = self.coordinator.decide(self.now, token, event);
        self.effects(now);
        if let Some(change) = change {
            self.stored.push(change.clone());
            self.coordinator.apply(change, self.now, self.stored.len() as i64);
        }
        self.effects(then);
    }

    fn effects(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply(token, reply) => self.replies.push((token, reply)),
                Effect::WriteMarkers(markers) => self.ends.push(markers.producer),
                Effect::Again(token, event) => self.event(token, event),
            }
        }
    }

    /// Sends a request; its token.
    fn send(&mut self, event: Event) -> Token {
        self.token += 1;
        self.event(self.token, event);
        self.token
    }

    fn reply(&self, token: Token) -> Option<Reply> {
        self.replies.iter().find(|(of, _)| *of == token).map(|(_, reply)| *reply)
    }

    /// Writes the markers of the oldest end.
    fn mark(&mut self) {
        let (id, producer) = (ID.to_owned(), self.ends.remove(0));
        self.event(0, Event::Marked { id, producer });
    }

    fn ask(&mut self, event: Event) -> Result<(i64, i16), ErrorCode> {
        let token = self.send(event);
        match self.reply(token).expect("an answer at once") {
            Ok(producer) => Ok((producer.id.0, producer.epoch)),
            Err(Refusal::Code(code)) => Err(code),
            Err(Refusal::NeedsProducerId) => panic!("a producer id was there"),
        }
    }

    fn init(&mut self, expected: Option<(i64, i16)>) -> Result<(i64, i16), ErrorCode> {
        let event = self.init_event(expected);
        self.ask(event)
    }

    fn init_event(&mut self, expected: Option<(i64, i16)>) -> Event {
        self.fresh += 1;
        Event::Init(Init {
            id: ID.into(),
            timeout_ms: TIMEOUT_MS,
            expected: expected.map(|(id, epoch)| Producer::new(id, epoch)),
            fresh: Some(ProducerId(self.fresh)),
        })
    }

    fn add(&mut self, producer: (i64, i16), numbers: &[i32]) -> Result<(i64, i16), ErrorCode> {
        self.ask(Event::Add {
            id: ID.into(),
            producer: Producer::new(producer.0, producer.1),
            partitions: partitions(numbers),
            protocol: Protocol::Classic,
        })
    }

    fn end_event(&mut self, producer: (i64, i16), outcome: ControlKind, bumps: bool) -> Event {
        self.fresh += 1;
        Event::End(End {
            id: ID.into(),
            producer: Producer::new(producer.0, producer.1),
            outcome,
            protocol: if bumps { Protocol::EpochBump } else { Protocol::Classic },
            fresh: Some(ProducerId(self.fresh)),
        })
    }

    /// Ends a transaction and writes its markers.
    fn end(
        &mut self,
        producer: (i64, i16),
        outcome: ControlKind,
        bumps: bool,
    ) -> Result<(i64, i16), ErrorCode> {
        let event = self.end_event(producer, outcome, bumps);
        let token = self.send(event);
        while !self.ends.is_empty() {
            self.mark();
        }
        match self.reply(token).expect("an answer") {
            Ok(producer) => Ok((producer.id.0, producer.epoch)),
            Err(Refusal::Code(code)) => Err(code),
            Err(Refusal::NeedsProducerId) => panic!("a producer id was there"),
        }
    }

    fn known(&self) -> &Transaction {
        self.coordinator.get(ID).expect("the id")
    }
}

fn partitions(numbers: &[i32]) -> BTreeSet<TopicPartition> {
    numbers.iter().map(|number| TopicPartition::new("t", *number)).collect()
}

#[test]
fn a_transaction_from_begin_to_end() {
    for bumps in [false, true] {
        let mut bench = Bench::new();
        let mut producer = bench.init(None).expect("a producer");
        assert_eq!(producer.1, 0);
        for outcome in [Commit, Abort] {
            assert_eq!(bench.add(producer, &[0]), Ok(producer));
            assert_eq!(bench.add(producer, &[0, 1]), Ok(producer));
            assert_eq!(bench.known().partitions, partitions(&[0, 1]));
            let stored = bench.stored.len();
            assert_eq!(bench.add(producer, &[1]), Ok(producer));
            assert_eq!(bench.stored.len(), stored, "nothing new to store");
            let next = bench.end(producer, outcome, bumps).expect("an end");
            assert_eq!(next, (producer.0, producer.1 + i16::from(bumps)));
            assert!(bench.known().partitions.is_empty());
            producer = next;
        }
        assert_eq!(bench.known().state, State::CompleteAbort);
    }
}

#[test]
fn an_end_is_answered_when_its_markers_are_there_or_take_too_long() {
    let mut bench = Bench::holding(|known| known.state = State::Ongoing);
    let event = bench.end_event((7, 3), Commit, true);
    let token = bench.send(event);
    assert_eq!(bench.reply(token), None);
    assert_eq!(bench.ends, [Producer::new(7, 4)], "markers carry the new epoch");
    // The same again, and what belongs to the next transaction, have to wait.
    assert_eq!(bench.end((7, 3), Commit, true), Err(ConcurrentTransactions));
    bench.pass(999);
    assert_eq!(bench.reply(token), Some(Ok(Producer::new(7, 4))));

    let mut slow = Bench::holding(|known| known.state = State::Ongoing);
    let event = slow.end_event((7, 3), Commit, false);
    let token = slow.send(event);
    assert_eq!(slow.add((7, 3), &[1]), Err(ConcurrentTransactions));
    slow.pass(1_000);
    assert_eq!(slow.reply(token), Some(Ok(Producer::new(7, 3))), "it is decided all the same");
    assert_eq!(slow.add((7, 3), &[1]), Err(ConcurrentTransactions));
    slow.mark();
    assert_eq!(slow.add((7, 3), &[1]), Ok((7, 3)));
}

#[test]
fn who_may_not() {
    let mut bench = Bench::holding(|known| known.state = State::Ongoing);
    assert_eq!(bench.add((8, 3), &[0]), Err(InvalidProducerIdMapping));
    for epoch in [2, 4] {
        assert_eq!(bench.add((7, epoch), &[0]), Err(ProducerFenced));
        for bumps in [false, true] {
            assert_eq!(bench.end((7, epoch), Commit, bumps), Err(ProducerFenced));
        }
        let producer = Producer::new(7, epoch);
        let admitted = bench.coordinator.admits(ID, producer, &TopicPartition::new("t", 0));
        assert_eq!(admitted, Err(ProducerFenced));
    }
    assert_eq!(bench.end((8, 3), Commit, true), Err(InvalidProducerIdMapping));
    let producer = Producer::new(7, 3);
    let admits = |id: &str, number| {
        bench.coordinator.admits(id, producer, &TopicPartition::new("t", number))
    };
    assert_eq!(admits(ID, 0), Ok(()));
    assert_eq!(admits(ID, 1), Err(TransactionAbortable));
    assert_eq!(admits("other", 0), Err(InvalidProducerIdMapping));
    assert_eq!(admits("", 0), Err(InvalidRequest));
}

/// Each end in each state of the classic protocol: the epoch never changes.
#[test]
fn classic_ends() {
    let table = [
        (State::Empty, Err(InvalidTxnState), Err(InvalidTxnState)),
        (State::Ongoing, Ok((7, 3)), Ok((7, 3))),
        (State::PrepareCommit, Err(ConcurrentTransactions), Err(InvalidTxnState)),
        (State::PrepareAbort, Err(InvalidTxnState), Err(ConcurrentTransactions)),
        (State::CompleteCommit, Ok((7, 3)), Err(InvalidTxnState)),
        (State::CompleteAbort, Err(InvalidTxnState), Ok((7, 3))),
    ];
    for (state, commit, abort) in table {
        for (outcome, expected) in [(Commit, commit), (Abort, abort)] {
            let mut bench = Bench::holding(|known| known.state = state);
            assert_eq!(bench.end((7, 3), outcome, false), expected, "{state:?} {outcome:?}");
        }
    }
}

/// Each end in each state where ends raise the epoch: with the epoch in force (the next
/// end), and with the one before (a retry).
#[test]
fn ends_that_raise_the_epoch() {
    let (its, fenced) = (Err(InvalidTxnState), Err(ProducerFenced));
    let concurrent = Err(ConcurrentTransactions);
    let (bumped, same) = (Ok((7, 4)), Ok((7, 3)));
    // commit now, commit again, abort now, abort again
    let table = [
        (State::Empty, [its, fenced, bumped, fenced]),
        (State::Ongoing, [bumped, fenced, bumped, fenced]),
        (State::PrepareCommit, [fenced, concurrent, fenced, its]),
        (State::PrepareAbort, [fenced, its, fenced, concurrent]),
        (State::CompleteCommit, [its, same, bumped, its]),
        (State::CompleteAbort, [its, its, bumped, same]),
    ];
    for (state, expected) in table {
        let cases = [(Commit, 3), (Commit, 2), (Abort, 3), (Abort, 2)];
        for ((outcome, epoch), expected) in cases.into_iter().zip(expected) {
            let mut bench = Bench::holding(|known| known.state = state);
            let case = format!("{state:?} {outcome:?} with epoch {epoch}");
            assert_eq!(bench.end((7, epoch), outcome, true), expected, "{case}");
        }
    }
}

#[test]
fn epochs_run_out() {
    const LAST: i16 = i16::MAX - 1;
    let mut bench = Bench::holding(|known| {
        (known.state, known.producer.epoch) = (State::Ongoing, LAST);
    });
    let (next, epoch) = bench.end((7, LAST), Commit, true).expect("an end");
    assert_eq!((next > 100, epoch), (true, 0), "another producer id");
    assert_eq!(bench.known().previous_id, ProducerId(7));
    assert_eq!(bench.end((7, LAST), Commit, true), Ok((next, 0)), "its retry");
    assert_eq!(bench.end((7, LAST), Abort, true), Err(InvalidTxnState));
    assert_eq!(bench.add((next, 0), &[0]), Ok((next, 0)));
    assert_eq!(bench.end((7, LAST), Commit, true), Err(InvalidProducerIdMapping));

    // Asked for without an id at hand.
    let mut bench = Bench::holding(|known| {
        (known.state, known.producer.epoch) = (State::Ongoing, LAST);
    });
    let Event::End(end) = bench.end_event((7, LAST), Commit, true) else { panic!("an end") };
    let token = bench.send(Event::End(End { fresh: None, ..end }));
    assert_eq!(bench.reply(token), Some(Err(Refusal::NeedsProducerId)));
    assert_eq!(bench.known().state, State::Ongoing);

    // InitProducerId takes another id as well, and knows its retry.
    let mut bench = Bench::holding(|known| known.producer.epoch = LAST);
    let rotated = bench.init(Some((7, LAST))).expect("a producer");
    assert_eq!((rotated.0 > 100, rotated.1), (true, 0));
    assert_eq!(bench.init(Some((7, LAST))), Ok(rotated));
    assert_eq!(bench.init(Some((7, LAST - 1))), Err(ProducerFenced));

    // A fence takes the epoch that no client ever has. Whoever had the last one is fenced.
    for epoch in [LAST - 1, LAST] {
        let mut bench = Bench::holding(|known| {
            (known.state, known.producer.epoch) = (State::Ongoing, epoch);
        });
        bench.pass(TIMEOUT_MS as u64);
        bench.mark();
        assert_eq!(bench.known().producer.epoch, i16::MAX);
        for bumps in [false, true] {
            assert_eq!(bench.end((7, epoch), Commit, bumps), Err(ProducerFenced));
            assert_eq!(bench.end((7, epoch), Abort, bumps), Err(ProducerFenced));
        }
        let (id, epoch) = bench.init(None).expect("a producer");
        assert_eq!((id > 100, epoch), (true, 0));
    }
}

/// KIP-360: a producer that lost its way goes on, and is not mistaken for a zombie.
#[test]
fn producers_that_say_who_they_are() {
    let mut bench = Bench::holding(|known| known.state = State::CompleteAbort);
    assert_eq!(bench.init(Some((7, 3))), Ok((7, 4)));
    assert_eq!(bench.init(Some((7, 3))), Ok((7, 4)), "the answer was lost");
    assert_eq!(bench.init(Some((7, 4))), Ok((7, 5)));
    assert_eq!(bench.init(Some((7, 3))), Err(ProducerFenced));
    assert_eq!(bench.init(Some((8, 5))), Err(ProducerFenced));
    assert_eq!(bench.init(None), Ok((7, 6)), "somebody new");
    assert_eq!(bench.init(Some((7, 5))), Err(ProducerFenced), "it was fenced by that");
    // An id that expired in the meantime is begun anew.
    let mut expired = Bench::new();
    let (id, epoch) = expired.init(Some((7, 5))).expect("a producer");
    assert_eq!((id > 100, epoch), (true, 0));
}

#[test]
fn a_new_producer_aborts_what_is_under_way() {
    let mut bench = Bench::holding(|known| known.state = State::Ongoing);
    let event = bench.init_event(None);
    let token = bench.send(event);
    assert_eq!(bench.reply(token), None, "it waits for the abort");
    assert_eq!(bench.known().state, State::PrepareAbort);
    let zombie = bench.end_event((7, 3), Commit, false);
    assert_eq!(bench.ask(zombie), Err(ProducerFenced));
    bench.mark();
    assert_eq!(bench.reply(token), Some(Ok(Producer::new(7, 6))));
    assert_eq!(bench.add((7, 6), &[0]), Ok((7, 6)));

    // Where the markers take too long, it comes again.
    let event = bench.init_event(None);
    let token = bench.send(event);
    bench.pass(1_000);
    let concurrent = Err(Refusal::Code(ConcurrentTransactions));
    assert_eq!(bench.reply(token), Some(concurrent));
    bench.mark();
    assert_eq!(bench.init(None), Ok((7, 9)));
}

#[test]
fn a_producer_may_give_up_its_own_transaction_by_itself() {
    let mut bench = Bench::holding(|known| known.state = State::Ongoing);
    let event = bench.init_event(Some((7, 2)));
    assert_eq!(bench.ask(event), Err(ProducerFenced), "a zombie aborts nothing");
    assert_eq!(bench.known().state, State::Ongoing);
    let event = bench.init_event(Some((7, 3)));
    let token = bench.send(event);
    bench.mark();
    assert_eq!(bench.reply(token), Some(Ok(Producer::new(7, 5))));
    assert_eq!(bench.init(Some((7, 3))), Ok((7, 5)), "the answer was lost");
}

#[test]
fn transactions_time_out() {
    let mut bench = Bench::new();
    let producer = bench.init(None).expect("a producer");
    bench.add(producer, &[0]).expect("added");
    bench.pass(TIMEOUT_MS as u64 - 1);
    bench.add(producer, &[1]).expect("added, which does not prolong it");
    assert_eq!(bench.known().state, State::Ongoing);
    bench.pass(1);
    assert_eq!(bench.known().state, State::PrepareAbort);
    assert_eq!(bench.ends, [Producer::new(producer.0, 2)]);
    bench.mark();
    for bumps in [false, true] {
        for outcome in [Commit, Abort] {
            assert_eq!(bench.end(producer, outcome, bumps), Err(ProducerFenced));
        }
    }
    // The time before a restart counts.
    let mut known = bench.known().clone();
    (known.state, known.started_at) = (State::Ongoing, bench.now.wall_ms - 40_000);
    let mut restarted = Bench::new();
    restarted.now = Now { monotonic_ms: 0, wall_ms: bench.now.wall_ms };
    restarted.coordinator.restore(known.clone(), restarted.now, 1);
    assert_eq!(restarted.coordinator.deadline(), Some(20_000));
    // A clock that was set back does not make it longer.
    known.started_at += 1_000_000;
    restarted.coordinator.restore(known, restarted.now, 1);
    assert_eq!(restarted.coordinator.deadline(), Some(TIMEOUT_MS as u64));
}

#[test]
fn ids_expire() {
    let options = TransactionOptions { id_expiration_ms: 1_000_000, ..Default::default() };
    let mut bench = Bench::with(options);
    let producer = bench.init(None).expect("a producer");
    bench.pass(999_999);
    bench.add(producer, &[0]).expect("added");
    bench.end(producer, Commit, false).expect("an end");
    bench.pass(999_999);
    assert!(bench.coordinator.get(ID).is_some());
    bench.pass(1);
    assert!(bench.coordinator.get(ID).is_none());
    assert_eq!(bench.stored.last(), Some(&Change::Remove(ID.into())));
    assert_eq!(bench.coordinator.deadline(), None);
    assert_eq!(bench.add(producer, &[0]), Err(InvalidProducerIdMapping));
}

#[test]
fn limits() {
    let options = TransactionOptions {
        max_timeout_ms: 500,
        max_ids: 1,
        max_bytes: 10_000,
        ..Default::default()
    };
    let mut bench = Bench::with(options);
    let init = |id: &str, timeout_ms| {
        let fresh = Some(ProducerId(1));
        Event::Init(Init { id: id.into(), timeout_ms, expected: None, fresh })
    };
    for (id, timeout_ms, code) in [
        ("", 100, InvalidRequest),
        (&"x".repeat(40_000), 100, InvalidRequest),
        (ID, 0, InvalidTransactionTimeout),
        (ID, -1, InvalidTransactionTimeout),
        (ID, 501, InvalidTransactionTimeout),
    ] {
        assert_eq!(bench.ask(init(id, timeout_ms)), Err(code));
    }
    assert_eq!(bench.ask(init(ID, 500)), Ok((1, 0)));
    assert_eq!(bench.ask(init("another", 500)), Err(PolicyViolation));
    let many: Vec<_> = (0..1_000).collect();
    assert_eq!(bench.add((1, 0), &many), Err(PolicyViolation));
    assert_eq!(bench.add((1, 0), &[0]), Ok((1, 0)));
}

/// What could not be stored did not happen.
#[test]
fn a_failed_store_changes_nothing() {
    let mut bench = Bench::holding(|known| known.state = State::Ongoing);
    let before = bench.known().clone();
    let event = bench.end_event((7, 3), Commit, true);
    let decision = bench.coordinator.decide(bench.now, 9, event);
    assert!(decision.now.is_empty() && decision.change.is_some());
    bench.coordinator.forget(ID, 9);
    assert_eq!(bench.known(), &before);
    bench.pass(1_000);
    assert_eq!(bench.reply(9), None, "the request is answered by whoever could not store");
    assert_eq!(bench.end((7, 3), Commit, true), Ok((7, 4)));
}
