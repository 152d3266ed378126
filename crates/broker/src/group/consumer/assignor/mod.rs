//! Assignors of the coordinator (KIP-848): who is to have which partitions.

mod range;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};

use thalweg_core::ids::TopicId;

use crate::group::partitions::Partitions;

/// An assignor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::group) enum Assignor {
    /// Everybody gets as many partitions as the next, and keeps what it has.
    #[default]
    Uniform,
    /// Of each topic a member gets neighbouring partitions, and the same ones of topics
    /// of the same size.
    Range,
}

/// What is to be assigned, and to whom.
pub(super) struct Spec<'a> {
    /// The members, in an order that stays.
    pub(super) members: Vec<SpecMember<'a>>,
    /// Number of partitions of each topic that somebody reads.
    pub(super) topics: BTreeMap<TopicId, i32>,
}

/// A member.
pub(super) struct SpecMember<'a> {
    pub(super) subscribed: BTreeSet<TopicId>,
    /// What it was to have so far.
    pub(super) former: &'a Partitions,
}

impl Assignor {
    /// All there are, the default first.
    pub(in crate::group) const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    /// Name under which members ask for it.
    pub(in crate::group) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The assignor of a name.
    pub(in crate::group) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// What each member is to have, in the order of the members. Each partition of a
    /// topic that somebody reads goes to exactly one of those who do.
    pub(super) fn assign(self, spec: &Spec<'_>) -> Vec<Partitions> {
        match self {
            Self::Uniform => uniform::assign(spec),
            Self::Range => range::assign(spec),
        }
    }
}

impl Spec<'_> {
    /// All partitions there are to assign, in order.
    fn partitions(&self) -> impl Iterator<Item = (TopicId, i32)> + '_ {
        self.topics.iter().flat_map(|(topic, count)| (0..*count).map(|at| (*topic, at)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Assigns, and assigns again with the result as what was before.
    fn checked(assignor: Assignor, counts: &[i32], members: &[Vec<usize>]) -> Vec<Partitions> {
        let topic = |at: usize| TopicId(at as u128 + 1);
        let topics: BTreeMap<_, _> =
            counts.iter().enumerate().map(|(at, count)| (topic(at), *count)).collect();
        let subscribed: Vec<BTreeSet<_>> = members
            .iter()
            .map(|of| of.iter().map(|at| topic(at % counts.len())).collect())
            .collect();
        let read = topics.iter().filter(|(topic, _)| subscribed.iter().any(|s| s.contains(topic)));
        let read: BTreeMap<_, _> = read.map(|(topic, count)| (*topic, *count)).collect();
        let assign = |former: &[Partitions]| {
            let member = |(subscribed, former): (&BTreeSet<TopicId>, _)| SpecMember {
                subscribed: subscribed.clone(),
                former,
            };
            let members = subscribed.iter().zip(former).map(member).collect();
            assignor.assign(&Spec { members, topics: read.clone() })
        };
        let first = assign(&vec![Partitions::default(); members.len()]);
        let mut seen = BTreeSet::new();
        for (partitions, subscribed) in first.iter().zip(&subscribed) {
            for (topic, partition) in partitions.iter() {
                assert!(subscribed.contains(&topic), "to one who reads it");
                assert!(seen.insert((topic, partition)), "to one only");
            }
        }
        let all: usize = read.values().map(|count| *count as usize).sum();
        assert_eq!(seen.len(), all, "all of them");
        assert_eq!(assign(&first), first, "nothing moves without a reason");
        first
    }

    fn spread(assigned: &[Partitions]) -> usize {
        let sizes = assigned.iter().map(Partitions::len);
        sizes.clone().max().unwrap_or(0) - sizes.min().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn every_partition_has_one_owner(
            counts in prop::collection::vec(0..12_i32, 1..6),
            members in prop::collection::vec(prop::collection::vec(0..6_usize, 0..5), 1..8),
        ) {
            for assignor in Assignor::ALL {
                checked(assignor, &counts, &members);
            }
        }

        #[test]
        fn who_reads_the_same_gets_as_much(
            counts in prop::collection::vec(0..12_i32, 1..6),
            members in 1..8_usize,
        ) {
            let all: Vec<usize> = (0..counts.len()).collect();
            let assigned = checked(Assignor::Uniform, &counts, &vec![all; members]);
            prop_assert!(spread(&assigned) <= 1, "{assigned:?}");
        }

        #[test]
        fn uniform_moves_as_little_as_it_must(
            count in 0..40_i32,
            before in 1..8_usize,
            after in 1..8_usize,
        ) {
            let (topic, nothing) = (TopicId(1), Partitions::default());
            let assign = |former: &[Partitions], members: usize| {
                let member = |at| SpecMember {
                    subscribed: [topic].into(),
                    former: former.get(at).unwrap_or(&nothing),
                };
                let members = (0..members).map(member).collect();
                Assignor::Uniform.assign(&Spec { members, topics: [(topic, count)].into() })
            };
            let former = assign(&[], before);
            let now = assign(&former, after);
            let stays = former.iter().zip(&now).map(|(was, is)| was.intersection(is).len());
            let stays: usize = stays.sum();
            // Each that was there keeps what it had, up to its new share.
            let (share, more) = (count as usize / after, count as usize % after);
            let sizes: Vec<_> = former.iter().take(after).map(Partitions::len).collect();
            let above = sizes.iter().filter(|size| **size > share).count().min(more);
            let least: usize = sizes.iter().map(|size| (*size).min(share)).sum();
            prop_assert_eq!(stays, least + above);
        }
    }

    #[test]
    fn range_gives_neighbours_of_each_topic() {
        let assigned = checked(Assignor::Range, &[3, 3], &[vec![0, 1], vec![0, 1]]);
        let of = |at: usize| assigned[at].iter().map(|(t, p)| (t.0, p)).collect::<Vec<_>>();
        assert_eq!(of(0), [(1, 0), (1, 1), (2, 0), (2, 1)]);
        assert_eq!(of(1), [(1, 2), (2, 2)]);
    }

    #[test]
    fn uniform_balances_different_subscriptions() {
        let assigned = checked(Assignor::Uniform, &[4, 4], &[vec![0, 1], vec![0], vec![1]]);
        assert!(spread(&assigned) <= 1, "{assigned:?}");
    }
}
