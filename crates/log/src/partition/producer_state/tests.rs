//! Producer state: retries, epochs, transactions, snapshots.

use thalweg_core::env::{Random, SeededRandom};
use thalweg_core::record_batch::Attributes;

use super::*;

const PLAIN: Attributes = Attributes(0);
const TRANSACTIONAL: Attributes = Attributes(1 << 4);
const CONTROL: Attributes = Attributes(3 << 4);

fn header(attributes: Attributes, at: Offset, of: (i64, i16, i32), records: i32) -> BatchHeader {
    BatchHeader {
        base_offset: at,
        size: 100,
        leader_epoch: 0,
        crc: 0,
        attributes,
        last_offset_delta: records - 1,
        base_timestamp: 0,
        max_timestamp: at,
        producer_id: of.0,
        producer_epoch: of.1,
        base_sequence: of.2,
        record_count: records,
    }
}

fn incoming(header: BatchHeader) -> Incoming {
    let marker = EndMarker { kind: ControlKind::Abort, coordinator_epoch: 0 };
    let control = header.attributes.is_control().then_some(marker);
    Incoming { header, control }
}

/// Appends where that may be, and says what came of it.
fn append(
    state: &mut ProducerState,
    attributes: Attributes,
    at: Offset,
    of: (i64, i16, i32),
    records: i32,
) -> Result<Option<Repeated>, Refusal> {
    match state.stage(&[incoming(header(attributes, at, of, records))], at)? {
        Staged::Repeated(repeated) => Ok(Some(repeated)),
        Staged::New(changes) => {
            state.apply(changes, at + i64::from(records));
            Ok(None)
        }
    }
}

#[test]
fn five_batches_are_remembered() {
    let mut state = ProducerState::default();
    for number in 0..6 {
        let of = (9, 0, number * 10);
        assert_eq!(append(&mut state, PLAIN, i64::from(number) * 10, of, 10), Ok(None));
    }
    for number in 1..6_i32 {
        let repeated = append(&mut state, PLAIN, 60, (9, 0, number * 10), 10).unwrap().unwrap();
        assert_eq!(repeated.base_offset, i64::from(number) * 10);
        assert_eq!(repeated.last_offset, i64::from(number) * 10 + 9);
    }
    let long_past = append(&mut state, PLAIN, 60, (9, 0, 0), 10);
    assert_eq!(long_past, Err(Refusal::LongPast { sequence: 0 }));
    let gap = append(&mut state, PLAIN, 60, (9, 0, 70), 10);
    assert_eq!(gap, Err(Refusal::OutOfOrder { expected: 60, found: 70 }));
    // Of another length, so not the same batch, and reaching into the future.
    let overlapping = append(&mut state, PLAIN, 60, (9, 0, 50), 20);
    assert_eq!(overlapping, Err(Refusal::OutOfOrder { expected: 60, found: 50 }));
}

#[test]
fn one_append_may_hold_batches_of_several_producers() {
    let of = |at: i64, id: i64, sequence: i32| incoming(header(PLAIN, at, (id, 0, sequence), 1));
    let turns = || (0..3_i32).flat_map(|turn| (0..50_i64).map(move |id| (turn, id)));
    let batches: Vec<Incoming> =
        turns().map(|(turn, id)| of(i64::from(turn) * 50 + id, id, turn)).collect();
    let mut state = ProducerState::default();
    let Ok(Staged::New(changes)) = state.stage(&batches, 0) else { panic!("all are new") };
    state.apply(changes, 150);
    for (turn, id) in turns() {
        let repeated = append(&mut state, PLAIN, 150, (id, 0, turn), 1).unwrap().unwrap();
        assert_eq!(repeated.base_offset, i64::from(turn) * 50 + id);
    }
    let gap = [of(150, 7, 3), of(151, 8, 3), of(152, 7, 5)];
    let refused = state.stage(&gap, 0).unwrap_err();
    assert_eq!(refused, Refusal::OutOfOrder { expected: 4, found: 5 });
}

#[test]
fn sequences_wrap_to_zero() {
    let mut state = ProducerState::default();
    let of = (1, 0, i32::MAX - 1);
    assert_eq!(append(&mut state, PLAIN, 0, of, 4), Ok(None));
    assert_eq!(append(&mut state, PLAIN, 4, (1, 0, 2), 1), Ok(None));
    let repeated = append(&mut state, PLAIN, 5, of, 4).unwrap().unwrap();
    assert_eq!((repeated.base_offset, repeated.last_offset), (0, 3));
    assert_eq!(
        append(&mut state, PLAIN, 5, (1, 0, i32::MAX), 1),
        Err(Refusal::LongPast { sequence: i32::MAX })
    );
}

#[test]
fn epochs_fence() {
    let mut state = ProducerState::default();
    assert_eq!(append(&mut state, PLAIN, 0, (1, 3, 40), 1), Ok(None), "unknown: any sequence");
    assert_eq!(
        append(&mut state, PLAIN, 1, (1, 2, 41), 1),
        Err(Refusal::Fenced { current: 3, found: 2 })
    );
    assert_eq!(
        append(&mut state, PLAIN, 1, (1, 4, 41), 1),
        Err(Refusal::OutOfOrder { expected: 0, found: 41 })
    );
    assert_eq!(append(&mut state, PLAIN, 1, (1, 4, 0), 1), Ok(None));
    assert_eq!(
        append(&mut state, PLAIN, 2, (1, 3, 41), 1),
        Err(Refusal::Fenced { current: 4, found: 3 })
    );
}

#[test]
fn appends_of_several_batches() {
    let mut state = ProducerState::default();
    let first = incoming(header(PLAIN, 0, (1, 0, 0), 2));
    let second = incoming(header(PLAIN, 2, (1, 0, 2), 2));
    let third = incoming(header(PLAIN, 4, (1, 0, 5), 1));
    let early = state.stage(&[first, second, third], 0).map(|_| ());
    assert_eq!(early, Err(Refusal::OutOfOrder { expected: 4, found: 5 }));
    assert_eq!(state.len(), 0, "staging changes nothing");
    let Ok(Staged::New(changes)) = state.stage(&[first, second], 0) else { panic!("refused") };
    state.apply(changes, 4);
    let Ok(Staged::Repeated(repeated)) = state.stage(&[first, second], 0) else {
        panic!("not known again")
    };
    assert_eq!((repeated.base_offset, repeated.last_offset), (0, 3));
    let next = incoming(header(PLAIN, 4, (1, 0, 4), 1));
    assert_eq!(state.stage(&[second, next], 0).map(|_| ()), Err(Refusal::Mixed));
}

#[test]
fn open_transactions_hold_the_last_stable_offset() {
    let mut state = ProducerState::default();
    append(&mut state, TRANSACTIONAL, 5, (1, 0, 0), 2).unwrap();
    append(&mut state, TRANSACTIONAL, 7, (2, 0, 0), 1).unwrap();
    append(&mut state, TRANSACTIONAL, 8, (1, 0, 2), 1).unwrap();
    assert_eq!(state.first_open(), Some(5));
    append(&mut state, CONTROL, 9, (1, 0, -1), 1).unwrap();
    assert_eq!(state.first_open(), Some(7));
    assert_eq!(state.expire(i64::MAX, 0), 0, "one in a transaction is not forgotten");
    // Its end may come with a newer epoch (KIP-890), which then fences.
    append(&mut state, CONTROL, 10, (2, 1, -1), 1).unwrap();
    assert_eq!(state.first_open(), None);
    assert!(append(&mut state, TRANSACTIONAL, 11, (2, 0, 1), 1).is_err());
    assert_eq!(append(&mut state, TRANSACTIONAL, 11, (2, 1, 0), 1), Ok(None));
}

#[test]
fn those_of_jobs_are_never_forgotten() {
    let mut state = ProducerState::default();
    append(&mut state, PLAIN, 1, (7, 0, 0), 1).unwrap();
    append(&mut state, PLAIN, 2, (ProducerId::FIRST_INTERNAL, 0, 0), 1).unwrap();
    state.expire(i64::MAX, 0);
    assert_eq!(state.len(), 1);
    let known = append(&mut state, PLAIN, 3, (ProducerId::FIRST_INTERNAL, 0, 0), 1);
    assert!(known.unwrap().is_some(), "its retry is still told from a new batch");
}

#[test]
fn the_longest_silent_go_first() {
    let mut state = ProducerState::default();
    for id in 0..10 {
        append(&mut state, PLAIN, 100 - id, (id, 0, 0), 1).unwrap();
    }
    state.expire(93, usize::MAX);
    assert_eq!(state.len(), 8);
    assert_eq!(state.expire(0, 3), 5);
    assert_eq!(state.timeless().iter().map(|(id, _)| *id).collect::<Vec<_>>(), [0, 1, 2]);
}

/// A snapshot at any place, and the batches behind it, give what all batches give.
#[test]
fn snapshot_and_rest_equal_a_rebuild() {
    let random = SeededRandom::new(5);
    let mut state = ProducerState::default();
    let mut log = Vec::new();
    let mut aborts = Vec::new();
    let mut at = 0;
    while log.len() < 300 {
        let id = random.below(5) as i64;
        let known = state.get(id).map(|known| (known.epoch, known.last()));
        let (mut epoch, mut sequence) = match known {
            Some((epoch, Some((last, _)))) => (epoch, last_sequence_of(last, 1)),
            Some((epoch, None)) => (epoch, 0),
            None => (0, i32::MAX - 3),
        };
        let mut attributes = [PLAIN, TRANSACTIONAL, CONTROL][random.below(3) as usize];
        if attributes == PLAIN && state.get(id).is_some_and(|known| known.open_since.is_some()) {
            attributes = TRANSACTIONAL;
        }
        if random.chance(100_000) {
            (epoch, sequence) = (epoch + 1, 0);
        }
        if attributes.is_control() {
            sequence = -1;
        }
        let records = 1 + random.below(5) as i32;
        let batch = incoming(header(attributes, at, (id, epoch, sequence), records));
        let Ok(Staged::New(changes)) = state.stage(&[batch], at) else { panic!("refused") };
        aborts.extend(state.apply(changes, batch.header.next_offset()));
        at = batch.header.next_offset();
        log.push(batch);
    }
    assert!(aborts.len() > 20);
    for cut in [0, 1, 50, 299, 300] {
        let mut rebuilt = ProducerState::default();
        let first = log[..cut].iter().filter_map(|b| rebuilt.replay(&b.header, b.control, 0));
        let before = first.count();
        let listed = Listed { base: 70, entries: 3 };
        let bytes = rebuilt.encode((8, 1), 77, listed);
        assert!(ProducerState::decode(&bytes, (8, 1), 78).is_err());
        assert!(ProducerState::decode(&bytes, (8, 2), 77).is_err());
        let (mut restored, found) = ProducerState::decode(&bytes, (8, 1), 77).unwrap();
        assert_eq!(found, listed);
        let mut aborted = aborts[..before].to_vec();
        aborted.extend(log[cut..].iter().filter_map(|b| restored.replay(&b.header, b.control, 0)));
        assert_eq!(aborted, aborts);
        assert_eq!(restored.timeless(), state.timeless(), "cut at {cut}");
        assert_eq!(restored.first_open(), state.first_open());
    }
}
