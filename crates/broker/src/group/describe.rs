//! Groups as others see them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use thalweg_core::ids::TopicPartition;

use super::coordinator::{Coordinator, Group};
use super::embedded;
use super::offsets::CommittedOffset;
use super::partitions::Partitions;

/// Where a group is in its rebalance, as Kafka names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupState {
    /// No members.
    Empty,
    /// Classic: waiting for the members to join.
    PreparingRebalance,
    /// Classic: waiting for the leader's assignment.
    CompletingRebalance,
    /// Consumer group: a new assignment is to be made.
    Assigning,
    /// Consumer group: members are on their way to their assignment.
    Reconciling,
    /// All members have their assignment.
    Stable,
}

impl GroupState {
    /// Kafka's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// Which protocol a group speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupType {
    /// JoinGroup and SyncGroup; the clients assign.
    Classic,
    /// KIP-848; the coordinator assigns.
    Consumer,
}

impl GroupType {
    /// Kafka's name of the type in ListGroups.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

/// A group in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupSummary {
    /// Name.
    pub group: String,
    /// State.
    pub state: GroupState,
    /// The protocol that it speaks.
    pub group_type: GroupType,
    /// "consumer", "connect" or what else its members say; empty where there were none.
    pub protocol_type: String,
    /// Number of members.
    pub members: usize,
}

/// A group in full.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupDescription {
    /// Name, state, type and size.
    pub summary: GroupSummary,
    /// Number of rebalances so far: the generation, or the group epoch.
    pub generation: i32,
    /// Chosen assignor.
    pub protocol: String,
    /// Members, sorted by id.
    pub members: Vec<MemberDescription>,
    /// Committed offsets, sorted by partition.
    pub offsets: Vec<(TopicPartition, CommittedOffset)>,
}

/// A member in full.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberDescription {
    /// Its id.
    pub member_id: String,
    /// Id that the user gave, of a static member.
    pub instance_id: Option<String>,
    /// Name that the client gives itself.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// What it asks for, in its protocol's encoding; empty in a consumer group.
    pub subscription: Bytes,
    /// What it has, in its protocol's encoding.
    pub assignment: Bytes,
}

/// A consumer group (KIP-848) in full.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ConsumerDescription {
    pub(crate) state: GroupState,
    pub(crate) epoch: i32,
    pub(crate) assignment_epoch: i32,
    pub(crate) assignor: &'static str,
    pub(crate) members: Vec<ConsumerMemberDescription>,
}

/// A member of a consumer group in full.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ConsumerMemberDescription {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) epoch: i32,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) topics: BTreeSet<String>,
    pub(crate) regex: Option<String>,
    pub(crate) is_classic: bool,
    pub(crate) assigned: Vec<NamedPartitions>,
    pub(crate) target: Vec<NamedPartitions>,
}

/// Topic id, name and partitions.
pub(crate) type NamedPartitions = (u128, String, Vec<i32>);

impl Coordinator {
    /// All groups, sorted by name.
    pub(crate) fn list(&self) -> Vec<GroupSummary> {
        let names: BTreeSet<&str> =
            self.groups.keys().map(String::as_str).chain(self.offsets.groups()).collect();
        names.into_iter().filter_map(|name| self.summary(name)).collect()
    }

    fn summary(&self, name: &str) -> Option<GroupSummary> {
        let summary = |state, group_type, protocol_type: &str, members| GroupSummary {
            group: name.to_owned(),
            state,
            group_type,
            protocol_type: protocol_type.to_owned(),
            members,
        };
        Some(match self.groups.get(name) {
            Some(Group::Classic(group)) => {
                let protocol_type = group.protocol_type.as_deref().unwrap_or_default();
                summary(group.state(), GroupType::Classic, protocol_type, group.members.len())
            }
            Some(Group::Consumer(group)) => {
                let (state, members) = (group.state(), group.members.len());
                summary(state, GroupType::Consumer, embedded::CONSUMER, members)
            }
            None if self.offsets.has(name) => summary(GroupState::Empty, GroupType::Classic, "", 0),
            None => return None,
        })
    }

    /// One group.
    pub(crate) fn describe(&self, name: &str) -> Option<GroupDescription> {
        let summary = self.summary(name)?;
        let (generation, protocol, members) = match self.groups.get(name) {
            None => (0, String::new(), Vec::new()),
            Some(Group::Classic(group)) => {
                let protocol = group.protocol.clone().unwrap_or_default();
                (group.generation, protocol, group.describe_members())
            }
            Some(Group::Consumer(group)) => {
                let member = |(id, member): (&String, &std::sync::Arc<super::consumer::Member>)| {
                    MemberDescription {
                        member_id: id.clone(),
                        instance_id: member.subscription.instance_id.clone(),
                        client_id: member.subscription.client_id.clone(),
                        client_host: member.subscription.client_host.clone(),
                        subscription: Bytes::new(),
                        assignment: self.embedded_assignment(member),
                    }
                };
                let members = group.members.iter().map(member).collect();
                (group.epoch, group.assignor().name().to_owned(), members)
            }
        };
        let offsets = self.offsets.of(name).map(|(at, offset)| (at.clone(), offset.clone()));
        Some(GroupDescription {
            summary,
            generation,
            protocol,
            members,
            offsets: offsets.collect(),
        })
    }

    /// One consumer group (KIP-848).
    pub(crate) fn describe_consumers(&self, name: &str) -> Option<ConsumerDescription> {
        let Some(Group::Consumer(group)) = self.groups.get(name) else { return None };
        let nothing = Partitions::default();
        let member = |(id, member): (&String, &std::sync::Arc<super::consumer::Member>)| {
            let of = &member.subscription;
            ConsumerMemberDescription {
                member_id: id.clone(),
                instance_id: of.instance_id.clone(),
                rack_id: of.rack_id.clone(),
                epoch: member.current.epoch,
                client_id: of.client_id.clone(),
                client_host: of.client_host.clone(),
                topics: of.topics.clone(),
                regex: of.regex.clone(),
                is_classic: of.classic.is_some(),
                assigned: self.named(&member.current.assigned),
                target: self.named(group.targets.get(id).map_or(&nothing, |target| &**target)),
            }
        };
        Some(ConsumerDescription {
            state: group.state(),
            epoch: group.epoch,
            assignment_epoch: group.target_epoch,
            assignor: group.assignor().name(),
            members: group.members.iter().map(member).collect(),
        })
    }

    fn named(&self, partitions: &Partitions) -> Vec<NamedPartitions> {
        let named = partitions.topics().filter_map(|(id, partitions)| {
            let name = self.topics.name(id)?;
            Some((id.0, name.to_owned(), partitions.iter().copied().collect()))
        });
        named.collect()
    }

    /// Committed offset of one partition.
    pub(crate) fn offset(&self, group: &str, at: &TopicPartition) -> Option<CommittedOffset> {
        self.offsets.get(group, at).cloned()
    }

    /// Whether a transaction under way may change a committed offset.
    pub(crate) fn is_unstable(&self, group: &str, at: &TopicPartition) -> bool {
        self.offsets.is_pending(group, at)
    }

    /// All committed offsets of a group, and the partitions that have one only in a
    /// transaction under way.
    pub(crate) fn all_offsets(
        &self,
        group: &str,
    ) -> BTreeMap<TopicPartition, Option<CommittedOffset>> {
        let partitions = self.offsets.partitions(group).into_iter();
        partitions.map(|at| (at.clone(), self.offset(group, &at))).collect()
    }
}
