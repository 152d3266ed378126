//! Offsets that go because somebody says so: with their group, by name, or with their
//! topic.

use thalweg_core::ids::TopicPartition;

use crate::error_code::{ErrorCode, NONE};
use crate::group::classic::Phase;
use crate::group::coordinator::{Coordinator, Group};
use crate::group::embedded;
use crate::group::messages::{Output, Reply, Token};
use crate::group::record::Entry;

impl Coordinator {
    pub(in crate::group) fn delete_group(
        &mut self,
        token: Token,
        name: &str,
        out: &mut Vec<Output>,
    ) {
        let is_empty = match self.groups.get(name) {
            None if self.offsets.has(name) => Ok(true),
            None => Err(ErrorCode::GroupIdNotFound),
            Some(group) => Ok(group.is_empty()),
        };
        let outcome = match is_empty {
            Ok(true) => Ok(()),
            Ok(false) => Err(ErrorCode::NonEmptyGroup),
            Err(code) => Err(code),
        };
        if outcome.is_ok() {
            let mut entries = self.removals(name, self.offsets.partitions(name));
            entries
                .extend(self.groups.get(name).into_iter().flat_map(|group| group.tombstones(name)));
            out.push(Output::Persist(entries));
        }
        out.push(Output::Reply(token, Reply::code(outcome)));
    }

    pub(in crate::group) fn delete_offsets(
        &mut self,
        token: Token,
        name: &str,
        partitions: Vec<TopicPartition>,
        out: &mut Vec<Output>,
    ) {
        let group = self.groups.get(name);
        let refusal = match group {
            None if !self.offsets.has(name) => Some(ErrorCode::GroupIdNotFound),
            Some(Group::Classic(group)) => {
                let consumers = group.protocol_type.as_deref() == Some(embedded::CONSUMER);
                (group.phase != Phase::Empty && !consumers).then_some(ErrorCode::NonEmptyGroup)
            }
            None | Some(Group::Consumer(_)) => None,
        };
        if let Some(code) = refusal {
            out.push(Output::Reply(token, Reply::Codes(Err(code))));
            return;
        }
        let (mut codes, mut gone) = (Vec::with_capacity(partitions.len()), Vec::new());
        for partition in partitions {
            if group.is_some_and(|group| group.is_subscribed_to(&partition.topic)) {
                codes.push(ErrorCode::GroupSubscribedToTopic.code());
                continue;
            }
            codes.push(NONE);
            if self.offsets.knows(name, &partition) {
                gone.push(partition);
            }
        }
        if !gone.is_empty() {
            out.push(Output::Persist(self.removals(name, gone)));
        }
        out.push(Output::Reply(token, Reply::Codes(Ok(codes))));
    }

    /// A topic made again under the same name must not inherit offsets.
    pub(in crate::group) fn topic_deleted(
        &mut self,
        token: Token,
        topic: &str,
        out: &mut Vec<Output>,
    ) {
        let mut entries = Vec::new();
        for name in self.offsets.groups() {
            let mut gone = self.offsets.partitions(name);
            gone.retain(|partition| partition.topic == topic);
            entries.extend(self.removals(name, gone));
        }
        if !entries.is_empty() {
            out.push(Output::Persist(entries));
        }
        out.push(Output::Reply(token, Reply::Code(NONE)));
    }

    pub(super) fn removals(
        &self,
        group: &str,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Vec<Entry> {
        let removal = |partition| Entry::OffsetRemoved { group: group.to_owned(), partition };
        partitions.into_iter().map(removal).collect()
    }
}
