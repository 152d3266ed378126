//! What follows once a member's subscription is written down: regular expressions,
//! epoch, target, and the member's next step.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Change, regex};
use crate::error_code::ErrorCode;
use crate::group::coordinator::{Coordinator, Group};
use crate::group::messages::{Now, Output, Refusal, TopicFilter};
use crate::group::partitions::Partitions;
use crate::group::record::{ConsumerEntry, ResolvedRegex, Subscription};
use crate::group::topics::TopicsImage;

impl Coordinator {
    /// Leads the group to its newest epoch where it is not there, and the member one step
    /// further. `changed` says that the group needs a new assignment anyway.
    pub(super) fn settle(
        &self,
        change: &mut Change,
        id: &str,
        changed: bool,
        owned: Option<&Partitions>,
        visible: &TopicFilter,
        now: Now,
    ) -> Result<(), Refusal> {
        let checked = self.timers.get(&change.name).and_then(|timers| timers.checked_topics);
        let topics_changed = checked != Some(self.topics_version);
        let mut changed = changed;
        if changed || topics_changed {
            changed |= change.resolve(&self.topics, topics_changed, visible, now)?;
            self.check_room(change, &Subscription::default())?;
            let hash = change.group.hash_of_topics(&self.topics);
            if changed || hash != change.group.metadata_hash {
                let epoch = change.group.epoch.saturating_add(1);
                change.put(ConsumerEntry::Epoch(Some((epoch, hash))));
            }
        }
        if change.group.epoch > change.group.target_epoch {
            change.assign(&self.topics);
        }
        let next = change.group.reconcile(id, owned);
        if change.group.members.get(id).is_some_and(|member| member.current != next) {
            change.put(ConsumerEntry::Current(id.to_owned(), Some(next)));
        }
        Ok(())
    }

    /// Has the change persisted, and takes in what is not remembered of it.
    pub(super) fn finish(&mut self, change: Change, now: Now, out: &mut Vec<Output>) {
        if change.entries.is_empty() {
            let timers = self.timers.entry(change.name).or_default();
            timers.checked_topics = Some(self.topics_version);
            return;
        }
        self.start_sessions_of(&change, now);
        // Whoever waits in the classic group that this was has to begin anew.
        if let Some(Group::Classic(group)) = self.groups.get_mut(&change.name) {
            group.refuse_waiting(out);
        }
        out.push(Output::Persist(change.entries));
    }

    /// Whether there is room for a member that says this of itself.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn check_room(
        &self,
        change: &Change,
        subscription: &Subscription,
    ) -> Result<(), Refusal> {
        let member = super::Member { subscription: subscription.clone(), ..Default::default() };
        let bytes = member.bytes();
        if change.group.bytes + bytes > self.options.max_group_bytes {
            let detail = "the members of the group hold too many bytes";
            return Err(Refusal::new(ErrorCode::GroupMaxSizeReached, detail));
        }
        if self.held_bytes() + bytes > self.options.max_member_bytes {
            let detail = "the members of all groups hold too many bytes";
            return Err(Refusal::new(ErrorCode::PolicyViolation, detail));
        }
        Ok(())
    }
}

impl Change {
    /// Finds the topics of regular expressions that have none yet, or of all where there
    /// are other topics than before; says whether anything changed.
    fn resolve(
        &mut self,
        image: &TopicsImage,
        anew: bool,
        visible: &TopicFilter,
        now: Now,
    ) -> Result<bool, Refusal> {
        let members = self.group.members.values();
        let used: BTreeSet<String> =
            members.filter_map(|member| member.subscription.regex.clone()).collect();
        let mut entries = Vec::new();
        let unused = self.group.regexes.keys().filter(|regex| !used.contains(*regex));
        entries.extend(unused.map(|regex| ConsumerEntry::Regex(regex.clone(), None)));
        for regex in used {
            let former = self.group.regexes.get(&regex).map(Arc::clone);
            if former.is_some() && !anew {
                continue;
            }
            let topics = regex::resolve(&regex, image, visible)?;
            if former.as_ref().is_some_and(|former| former.topics == topics) {
                continue;
            }
            let version = former.map_or(0, |former| former.version).saturating_add(1);
            let resolved = ResolvedRegex { topics, version, at: now.wall_ms };
            entries.push(ConsumerEntry::Regex(regex, Some(resolved)));
        }
        let changed = !entries.is_empty();
        entries.into_iter().for_each(|entry| self.put(entry));
        Ok(changed)
    }
}
