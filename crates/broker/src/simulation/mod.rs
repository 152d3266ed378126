//! Both coordinators on the embedded log and a simulated disk: clients commit offsets and
//! use transactions, power fails at any operation of the disk, syncs fail, space runs out;
//! then everything is rebuilt from the internal topics.
//!
//! What must hold after any history:
//! - an acknowledged commit of an offset is there, unless a later one took its place, and
//!   one of an aborted transaction never is;
//! - an acknowledged end of a transaction stays what it was, in all its partitions and for
//!   the offsets committed in it;
//! - no transaction commits that nobody asked to;
//! - no transaction is open after its timeout, and in the end none holds up readers;
//! - what is rebuilt after an orderly stop is what was there before.
//!
//! What is not here: members of groups (the coordinator's own simulation has them) and the
//! wire.

mod check;
mod client;
mod history;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::World;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn coordinator_histories() {
    if let Some(seed) = number("THALWEG_SIM_SEED") {
        World::run(seed);
        return;
    }
    let seeds = number("THALWEG_SIM_SEEDS").unwrap_or(400);
    for seed in 0..seeds {
        let trace = catch_unwind(AssertUnwindSafe(|| World::run(seed)));
        let Ok(trace) = trace else {
            panic!(
                "history {seed} failed; replay it: THALWEG_SIM_SEED={seed} \
                 cargo test -p thalweg-broker --lib coordinator_histories"
            );
        };
        if seed % 100 == 0 {
            assert_eq!(World::run(seed), trace, "history {seed} is not deterministic");
        }
    }
}
