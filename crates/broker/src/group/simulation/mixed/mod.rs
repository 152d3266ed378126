//! Members of both protocols in one group: classic groups that become consumer groups
//! and back, answers that get lost, crashes that undo what was not yet durable.
//!
//! What is checked after each step:
//! - the coordinator never has a partition with two members;
//! - a client has no partition that the coordinator does not count as its. Not so one of
//!   the classic protocol that was taken out and joins under its former id, which Kafka
//!   allows: it reads on, but commits nothing, until SyncGroup says what it has now;
//! - of commits, in transactions or not, the last one that counts is there, and nobody
//!   commits for a partition that another one has;
//! - a restart would find the same.
//!
//! And when things are quiet: each partition has exactly one owner.

mod cases;
mod client;
mod world;

use proptest::prelude::*;

use client::Kind;
use world::World;

/// Which one of so many, as a fraction of all: written down, unlike proptest's.
#[derive(Clone, Copy, Debug)]
struct Index(usize);

impl Index {
    fn index(self, of: usize) -> usize {
        ((self.0 as u128 * of as u128) >> usize::BITS) as usize
    }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Action {
    Start {
        kind: Kind,
        is_static: bool,
    },
    Leave(Index),
    Crash(Index),
    /// A static member's process ends and starts again, telling so or not.
    Restart {
        client: Index,
        tells: bool,
    },
    /// Lets one client do its next thing.
    Run(Index),
    /// Lets all clients run for a while.
    RunAll(u8),
    /// An answer is lost.
    Lose(Index),
    Commit(Index),
    CommitInTransaction(Index),
    EndTransaction {
        client: Index,
        commits: bool,
    },
    Advance(u64),
    MorePartitions(Index),
    MoreTopics,
    DropTopic(Index),
    /// What was written becomes durable, and is answered.
    Sync,
    /// The server ends, and with it a part of what was not yet durable.
    Die(Index),
    /// All is written anew, and what was before forgotten.
    Rewrite,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let index = || any::<usize>().prop_map(Index);
    let kind = prop_oneof![2 => Just(Kind::Consumer), 1 => Just(Kind::Classic)];
    let start = (kind, prop::bool::weighted(0.3));
    let action = prop_oneof![
        4 => start.prop_map(|(kind, is_static)| Action::Start { kind, is_static }),
        2 => index().prop_map(Action::Leave),
        1 => index().prop_map(Action::Crash),
        1 => (index(), any::<bool>()).prop_map(|(client, tells)| Action::Restart { client, tells }),
        20 => index().prop_map(Action::Run),
        6 => (1..20_u8).prop_map(Action::RunAll),
        2 => index().prop_map(Action::Lose),
        4 => index().prop_map(Action::Commit),
        3 => index().prop_map(Action::CommitInTransaction),
        2 => (index(), any::<bool>())
            .prop_map(|(client, commits)| Action::EndTransaction { client, commits }),
        3 => (0..3_000_u64).prop_map(Action::Advance),
        1 => (0..60_000_u64).prop_map(Action::Advance),
        1 => index().prop_map(Action::MorePartitions),
        1 => Just(Action::MoreTopics),
        1 => index().prop_map(Action::DropTopic),
        8 => Just(Action::Sync),
        2 => index().prop_map(Action::Die),
        1 => Just(Action::Rewrite),
    ];
    prop::collection::vec(action, 0..120)
}

/// Lets all this happen, and then things be quiet.
fn play(actions: &[Action], cooperative: bool) {
    let mut world = World::new(cooperative);
    for action in actions {
        world.act(action);
        world.check();
        world.check_rebuilt();
    }
    world.settle();
    world.check_rebuilt();
    world.check_settled();
}

proptest! {
    // `PROPTEST_CASES=100000` for more of them.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(300)))]

    #[test]
    fn partitions_have_one_owner_whatever_happens(
        actions in actions(),
        cooperative in any::<bool>(),
    ) {
        play(&actions, cooperative);
    }

    /// Nobody was told yet what becomes of the partitions of the one that left.
    #[test]
    fn a_group_that_became_classic_outlives_a_crash(
        leaves in any::<usize>().prop_map(Index),
        dies in any::<usize>().prop_map(Index),
        rounds in 1..6_u8,
        cooperative in any::<bool>(),
    ) {
        let mut world = World::new(cooperative);
        for kind in [Kind::Consumer, Kind::Classic, Kind::Classic] {
            world.act(&Action::Start { kind, is_static: false });
        }
        for action in [Action::RunAll(rounds), Action::Leave(leaves), Action::Die(dies)] {
            world.act(&action);
            world.check();
            world.check_rebuilt();
        }
        world.settle();
        world.check_settled();
    }
}
