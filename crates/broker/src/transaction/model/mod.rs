//! Every interleaving of a few steps: two producers with the same transactional id, two
//! partitions, a crash and a timeout at any point.
//!
//! The coordinator is the real one, and so is the encoding of what it stores. The rest is
//! the least that it can rely on: a log of state and two partitions, whose unsynced ends a
//! crash may take, each for itself; markers that are written one by one; clients that send
//! again what was not answered. After each history all work is finished, and then:
//!
//! - no transaction is committed in one partition and not in another;
//! - what was answered is true: a commit is a commit of all records that were acknowledged
//!   in it, an abort of none;
//! - no record commits that a producer appended after its successor was initialised;
//! - nothing of a fenced epoch is behind a newer one in a partition, no marker of one is
//!   even tried, and none is committed and aborted;
//! - an end that was decided is carried out as it was decided, also after a replay;
//! - no transaction is left open for longer than its timeout, so readers of committed
//!   records get on, whenever the server started again in between.

mod world;

use std::collections::HashSet;

use thalweg_core::record_batch::ControlKind;

use self::world::{Op, Step, World};
use super::state::Protocol;

/// Goes through every history. Gives the number of different states.
fn explore(world: World) -> usize {
    fn visit(world: &World, path: &mut Vec<Step>, seen: &mut HashSet<u64>) {
        if !seen.insert(world.fingerprint()) {
            return;
        }
        let mut end = world.clone();
        let until_ms = end.drain();
        let check = || end.check(until_ms);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
        assert!(outcome.is_ok(), "after {path:?}\n{}", end.dump());
        for step in world.steps() {
            let mut next = world.clone();
            next.take(step);
            path.push(step);
            visit(&next, path, seen);
            path.pop();
        }
    }
    let mut seen = HashSet::new();
    visit(&world, &mut Vec::new(), &mut seen);
    seen.len()
}

const COMMIT: Op = Op::End(ControlKind::Commit);
const ABORT: Op = Op::End(ControlKind::Abort);
const BOTH: [Protocol; 2] = [Protocol::Classic, Protocol::EpochBump];

#[test]
fn a_successor_fences_at_every_point() {
    const FIRST: &[Op] = &[Op::Init, Op::Produce(0), Op::Produce(1), COMMIT];
    const SECOND: &[Op] = &[Op::Init, Op::Produce(0), COMMIT];
    for protocol in BOTH {
        let states = explore(World::new(&[FIRST, SECOND], protocol, -1));
        assert!(states > 1_000, "{states} states");
    }
}

/// The second crash is anywhere after the first: before the replay's markers are there, too.
#[test]
fn a_crash_after_a_crash() {
    const FIRST: &[Op] = &[Op::Init, Op::Produce(0), Op::Produce(1), COMMIT];
    const ENDS: &[Op] = &[Op::Init, Op::Produce(0), ABORT];
    const SECOND: &[Op] = &[Op::Init, COMMIT];
    for protocol in BOTH {
        explore(World::new(&[FIRST], protocol, -1).with_crashes(2));
        explore(World::new(&[ENDS, SECOND], protocol, -1).with_crashes(2));
    }
}

/// The epochs run out in the middle of it.
#[test]
fn another_producer_id_at_every_point() {
    const FIRST: &[Op] = &[Op::Init, Op::Produce(0), COMMIT, Op::Produce(0), Op::Produce(1), ABORT];
    for epoch in i16::MAX - 5..i16::MAX {
        for protocol in BOTH {
            explore(World::new(&[FIRST], protocol, epoch));
        }
    }
}

/// A record that was given up arrives when its producer is in its next transaction: only
/// an epoch for each transaction tells it from a record of that one (KIP-890).
#[test]
fn late_records_stay_out_of_the_next_transaction() {
    const FIRST: &[Op] = &[Op::Init, Op::Produce(0), Op::Lose(1), ABORT, Op::Produce(1), COMMIT];
    explore(World::new(&[FIRST], Protocol::EpochBump, -1));
}

/// While the markers are written nothing comes in behind one of them.
#[test]
fn late_records_do_not_begin_a_transaction() {
    const FIRST: &[Op] = &[Op::Init, Op::Produce(0), Op::Lose(1), ABORT];
    for protocol in BOTH {
        explore(World::new(&[FIRST], protocol, -1));
    }
}
