//! The target assignment: what each member is to have in the end.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_core::ids::TopicId;

use super::assignor::{Spec, SpecMember};
use super::{Change, ConsumerGroup};
use crate::group::partitions::Partitions;
use crate::group::record::ConsumerEntry;
use crate::group::topics::TopicsImage;

impl ConsumerGroup {
    /// What each member is to have, if it were assigned now.
    fn new_targets(&self, image: &TopicsImage) -> BTreeMap<String, Partitions> {
        let nothing = Partitions::default();
        // Static members come first and in the order of their instance ids, so that a
        // member that comes back under another id has the same place.
        let mut ids: Vec<_> = self.members.keys().collect();
        ids.sort_by_key(|id| {
            let instance = self.members[*id].subscription.instance_id.as_ref();
            (instance.is_none(), instance.unwrap_or(id))
        });
        let mut topics = BTreeMap::new();
        let mut members = Vec::with_capacity(ids.len());
        for id in &ids {
            let named = self.topics_of(&self.members[*id]).filter_map(|name| image.topic(name));
            let mut subscribed = BTreeSet::<TopicId>::new();
            for topic in named {
                topics.insert(topic.id, topic.partitions);
                subscribed.insert(topic.id);
            }
            let former = self.targets.get(*id).map_or(&nothing, |target| &**target);
            members.push(SpecMember { subscribed, former });
        }
        let assigned = self.assignor().assign(&Spec { members, topics });
        ids.into_iter().cloned().zip(assigned).collect()
    }
}

impl Change {
    /// Makes the target assignment for the group's epoch.
    pub(super) fn assign(&mut self, image: &TopicsImage) {
        let targets = self.group.new_targets(image);
        let nothing = Partitions::default();
        for (id, target) in targets {
            let former = self.group.targets.get(&id).map_or(&nothing, |former| &**former);
            if *former != target {
                self.put(ConsumerEntry::Target(id, Some(target)));
            }
        }
        self.put(ConsumerEntry::TargetEpoch(Some(self.group.epoch)));
    }
}
