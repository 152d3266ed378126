//! Uniform: everybody gets as many partitions as the next, as far as subscriptions allow,
//! and keeps as many of its own as that leaves.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_core::ids::TopicId;

use super::Spec;
use crate::group::partitions::Partitions;

/// Most times that all members are gone through to even out what the first go left.
const ROUNDS_MAX: usize = 32;

pub(super) fn assign(spec: &Spec<'_>) -> Vec<Partitions> {
    let alike = spec.members.windows(2).all(|pair| pair[0].subscribed == pair[1].subscribed);
    let (mut assigned, free) = keep_former(spec);
    if alike {
        fill_evenly(spec, &mut assigned, free);
    } else {
        fill_by_readers(spec, &mut assigned, free);
        even_out(spec, &mut assigned);
    }
    assigned
}

/// What members still read of what they had, and what nobody has.
fn keep_former(spec: &Spec<'_>) -> (Vec<Partitions>, Vec<(TopicId, i32)>) {
    let mut taken = BTreeSet::new();
    let mut assigned = Vec::with_capacity(spec.members.len());
    for member in &spec.members {
        let kept = member.former.iter().filter(|(topic, partition)| {
            let exists = spec.topics.get(topic).is_some_and(|count| partition < count);
            exists && member.subscribed.contains(topic) && taken.insert((*topic, *partition))
        });
        assigned.push(kept.collect());
    }
    let free = spec.partitions().filter(|partition| !taken.contains(partition)).collect();
    (assigned, free)
}

/// For members that all read the same: each gets its share, and the first the rest.
fn fill_evenly(spec: &Spec<'_>, assigned: &mut [Partitions], mut free: Vec<(TopicId, i32)>) {
    let total = spec.partitions().count();
    let Some(share) = total.checked_div(assigned.len()) else { return };
    let mut more = total % assigned.len();
    let mut shares = vec![share; assigned.len()];
    // Who has more than the share keeps one more before others get it.
    for (of, share) in assigned.iter().zip(&mut shares) {
        if of.len() > *share && more > 0 {
            *share += 1;
            more -= 1;
        }
    }
    for share in &mut shares {
        if more > 0 && *share == total / assigned.len() {
            *share += 1;
            more -= 1;
        }
    }
    for (of, share) in assigned.iter_mut().zip(&shares) {
        let surplus: Vec<_> = of.iter().skip(*share).collect();
        for (topic, partition) in surplus {
            of.remove(topic, partition);
            free.push((topic, partition));
        }
    }
    free.sort_unstable();
    let mut free = free.into_iter();
    for (of, share) in assigned.iter_mut().zip(&shares) {
        let missing = share - of.len();
        of.extend(free.by_ref().take(missing));
    }
}

/// For members that read different topics: what few read is given away first, each time
/// to the reader that has least.
fn fill_by_readers(spec: &Spec<'_>, assigned: &mut [Partitions], mut free: Vec<(TopicId, i32)>) {
    let readers = readers(spec);
    let count = |topic: &TopicId| readers.get(topic).map_or(0, Vec::len);
    free.sort_by_key(|(topic, partition)| (count(topic), *topic, *partition));
    let mut sizes: Vec<usize> = assigned.iter().map(Partitions::len).collect();
    for (topic, partition) in free {
        let least = readers.get(&topic).and_then(|of| of.iter().min_by_key(|at| sizes[**at]));
        if let Some(least) = least {
            assigned[*least].insert(topic, partition);
            sizes[*least] += 1;
        }
    }
}

/// Moves partitions from those who have more to those who have at least two less. Each
/// move makes the sum of squares smaller, so it ends.
fn even_out(spec: &Spec<'_>, assigned: &mut [Partitions]) {
    let readers = readers(spec);
    let mut sizes: Vec<usize> = assigned.iter().map(Partitions::len).collect();
    for _ in 0..ROUNDS_MAX {
        let mut moved = false;
        let mut order: Vec<usize> = (0..assigned.len()).collect();
        order.sort_by_key(|at| std::cmp::Reverse(sizes[*at]));
        for from in order {
            let own: Vec<_> = assigned[from].iter().collect();
            for (topic, partition) in own {
                let least = readers.get(&topic).and_then(|of| of.iter().min_by_key(|a| sizes[**a]));
                let Some(to) = least.copied().filter(|to| sizes[*to] + 1 < sizes[from]) else {
                    continue;
                };
                assigned[from].remove(topic, partition);
                assigned[to].insert(topic, partition);
                sizes[from] -= 1;
                sizes[to] += 1;
                moved = true;
            }
        }
        if !moved {
            return;
        }
    }
}

/// Who reads each topic.
fn readers(spec: &Spec<'_>) -> BTreeMap<TopicId, Vec<usize>> {
    let mut readers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
    for (at, member) in spec.members.iter().enumerate() {
        for topic in &member.subscribed {
            readers.entry(*topic).or_default().push(at);
        }
    }
    readers
}
