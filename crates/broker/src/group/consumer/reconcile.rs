//! One step of a member towards its target assignment (KIP-848, "reconciliation").
//!
//! A member first gives away what it is not to have, and stays in its epoch until it
//! says that it has done so; then it gets what is free, and the rest when others have
//! given it away.

use super::ConsumerGroup;
use crate::group::partitions::Partitions;
use crate::group::record::{Current, MemberState};

/// What a member says that it has; `None` where it says nothing.
pub(super) type Owned<'a> = Option<&'a Partitions>;

impl ConsumerGroup {
    /// What the member is to have next.
    pub(super) fn reconcile(&self, id: &str, owned: Owned<'_>) -> Current {
        let Some(member) = self.members.get(id) else { return Current::default() };
        let current = &member.current;
        match current.state {
            MemberState::Stable if current.epoch == self.target_epoch => current.clone(),
            MemberState::Stable | MemberState::Unreleased => self.next(id, current, owned),
            MemberState::Unrevoked if owns_any(owned, &current.revoking) => current.clone(),
            MemberState::Unrevoked => {
                let released =
                    Current { epoch: current.epoch.saturating_add(1), ..current.clone() };
                let next = self.next(id, &released, owned);
                Current { previous_epoch: current.epoch, ..next }
            }
            // Written by a newer version: it begins anew.
            MemberState::Unknown => self.next(id, current, owned),
        }
    }

    fn next(&self, id: &str, current: &Current, owned: Owned<'_>) -> Current {
        let nothing = Partitions::default();
        let target = self.targets.get(id).map_or(&nothing, |target| &**target);
        let kept = current.assigned.intersection(target);
        let revoking = current.assigned.difference(target);
        if owns_any(owned, &revoking) {
            return Current {
                epoch: current.epoch,
                previous_epoch: current.previous_epoch,
                state: MemberState::Unrevoked,
                assigned: kept,
                revoking,
            };
        }
        let wanted = target.difference(&kept);
        let held = self.held_by_others(id, &wanted);
        let mut assigned = kept;
        assigned.extend(wanted.difference(&held).iter());
        Current {
            epoch: self.target_epoch,
            previous_epoch: match current.epoch == self.target_epoch {
                true => current.previous_epoch,
                false => current.epoch,
            },
            state: if held.is_empty() { MemberState::Stable } else { MemberState::Unreleased },
            assigned,
            revoking: Partitions::default(),
        }
    }

    /// Those of these partitions that other members have, or have not given away yet.
    fn held_by_others(&self, id: &str, wanted: &Partitions) -> Partitions {
        if wanted.is_empty() {
            return Partitions::default();
        }
        let others = self.members.iter().filter(|(other, _)| *other != id);
        let held = others.flat_map(|(_, member)| {
            member.current.assigned.iter().chain(member.current.revoking.iter())
        });
        held.filter(|(topic, partition)| wanted.contains(*topic, *partition)).collect()
    }

    /// Whether all that a member waits for is free by now.
    pub(super) fn could_go_on(&self, id: &str) -> bool {
        let Some(member) = self.members.get(id) else { return false };
        let Some(target) = self.targets.get(id) else { return false };
        let wanted = target.difference(&member.current.assigned);
        member.current.state == MemberState::Unreleased
            && self.held_by_others(id, &wanted).is_empty()
    }
}

/// Whether the member has some of these, for all that is known.
fn owns_any(owned: Owned<'_>, of: &Partitions) -> bool {
    match owned {
        None => !of.is_empty(),
        Some(owned) => owned.meets(of),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use thalweg_core::ids::TopicId;

    use super::super::Member;
    use super::*;

    const T: TopicId = TopicId(7);

    fn partitions(of: &[i32]) -> Partitions {
        of.iter().map(|partition| (T, *partition)).collect()
    }

    /// A group in epoch 2 whose only settled member is "a", and what "b" has.
    fn group(a: &[i32], b: Current, target_of_b: &[i32]) -> ConsumerGroup {
        let mut group = ConsumerGroup { epoch: 2, target_epoch: 2, ..Default::default() };
        let has = Current { epoch: 2, assigned: partitions(a), ..Current::default() };
        let member = |current| Arc::new(Member { current, ..Member::default() });
        group.members.insert("a".into(), member(has));
        group.members.insert("b".into(), member(b));
        group.targets.insert("b".into(), Arc::new(partitions(target_of_b)));
        group
    }

    fn has(epoch: i32, state: MemberState, assigned: &[i32], revoking: &[i32]) -> Current {
        let (assigned, revoking) = (partitions(assigned), partitions(revoking));
        Current { epoch, previous_epoch: epoch - 1, state, assigned, revoking }
    }

    #[test]
    fn what_is_free_comes_at_once_and_the_rest_later() {
        let mut group = group(&[3], Current::default(), &[1, 2, 3]);
        let nothing = Partitions::default();
        let next = group.reconcile("b", Some(&nothing));
        assert_eq!(next.assigned, partitions(&[1, 2]));
        assert_eq!((next.epoch, next.state), (2, MemberState::Unreleased));
        group.members.insert("b".into(), Arc::new(Member { current: next, ..Member::default() }));
        assert!(!group.could_go_on("b"));
        group.members.remove("a");
        assert!(group.could_go_on("b"));
        let next = group.reconcile("b", None);
        assert_eq!((next.assigned, next.state), (partitions(&[1, 2, 3]), MemberState::Stable));
    }

    #[test]
    fn nothing_new_comes_before_the_old_is_given_away() {
        let before = has(1, MemberState::Stable, &[1, 2], &[]);
        let mut group = group(&[], before, &[2, 4]);
        let owned = partitions(&[1, 2]);
        let next = group.reconcile("b", Some(&owned));
        assert_eq!(next, has(1, MemberState::Unrevoked, &[2], &[1]).with_previous(0));
        group.members.insert("b".into(), Arc::new(Member { current: next, ..Member::default() }));
        let still = group.reconcile("b", Some(&owned));
        assert_eq!(still.epoch, 1, "it still has partition 1");
        assert_eq!(group.reconcile("b", None).epoch, 1, "it does not say");
        let next = group.reconcile("b", Some(&partitions(&[2])));
        assert_eq!((next.epoch, next.previous_epoch, next.state), (2, 1, MemberState::Stable));
        assert_eq!(next.assigned, partitions(&[2, 4]));
    }

    #[test]
    fn what_somebody_gives_away_is_his_until_he_has() {
        let mut group = group(&[], Current::default(), &[1]);
        let revoking = has(1, MemberState::Unrevoked, &[], &[1]);
        let member = Member { current: revoking, ..Member::default() };
        group.members.insert("c".into(), Arc::new(member));
        let next = group.reconcile("b", Some(&Partitions::default()));
        assert!(next.assigned.is_empty());
        assert_eq!(next.state, MemberState::Unreleased);
    }

    impl Current {
        fn with_previous(self, previous_epoch: i32) -> Self {
            Self { previous_epoch, ..self }
        }
    }
}
