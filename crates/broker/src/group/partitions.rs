//! Sets of partitions by topic id, as consumer groups assign them.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_core::ids::TopicId;

/// Partitions of topics. No topic is there without a partition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Partitions(BTreeMap<TopicId, BTreeSet<i32>>);

impl Partitions {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of partitions.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    pub(crate) fn insert(&mut self, topic: TopicId, partition: i32) -> bool {
        self.0.entry(topic).or_default().insert(partition)
    }

    pub(crate) fn remove(&mut self, topic: TopicId, partition: i32) -> bool {
        let Some(partitions) = self.0.get_mut(&topic) else { return false };
        let removed = partitions.remove(&partition);
        if partitions.is_empty() {
            self.0.remove(&topic);
        }
        removed
    }

    pub(crate) fn contains(&self, topic: TopicId, partition: i32) -> bool {
        self.0.get(&topic).is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Each topic with its partitions, in order.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (TopicId, &BTreeSet<i32>)> {
        self.0.iter().map(|(topic, partitions)| (*topic, partitions))
    }

    /// Each partition, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TopicId, i32)> + '_ {
        self.0.iter().flat_map(|(topic, all)| all.iter().map(|partition| (*topic, *partition)))
    }

    /// What is in both.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.iter().filter(|(topic, partition)| other.contains(*topic, *partition)).collect()
    }

    /// What is here and not there.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.iter().filter(|(topic, partition)| !other.contains(*topic, *partition)).collect()
    }

    /// Whether all of this is in the other.
    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|(topic, partition)| other.contains(topic, partition))
    }

    /// Whether something is in both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.iter().any(|(topic, partition)| other.contains(topic, partition))
    }
}

impl FromIterator<(TopicId, i32)> for Partitions {
    fn from_iter<I: IntoIterator<Item = (TopicId, i32)>>(all: I) -> Self {
        let mut partitions = Self::default();
        partitions.extend(all);
        partitions
    }
}

impl Extend<(TopicId, i32)> for Partitions {
    fn extend<I: IntoIterator<Item = (TopicId, i32)>>(&mut self, all: I) {
        for (topic, partition) in all {
            self.insert(topic, partition);
        }
    }
}
