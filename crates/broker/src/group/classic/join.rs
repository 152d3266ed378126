//! Joining a group: new members, members that come back, static members.

use super::member::Member;
use super::{ClassicGroup, Phase};
use crate::error_code::ErrorCode;
use crate::group::coordinator::{Coordinator, Group};
use crate::group::messages::{JoinInput, JoinReply, Now, Output, Reply, Token};

impl Coordinator {
    /// A join to a group that is classic, or to one that is not there yet.
    pub(in crate::group) fn join_classic(
        &mut self,
        token: Token,
        join: JoinInput,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let member_id = join.member_id.clone();
        if let Err(code) = self.check_classic_join(&join) {
            out.push(Output::Reply(token, Reply::join_refused(code, &member_id)));
            return;
        }
        let initial_delay_ms = self.options.initial_rebalance_delay_ms;
        let name = join.group.clone();
        let group = self.groups.entry(name.clone());
        let group = group.or_insert_with(|| Group::Classic(ClassicGroup::new(now.wall_ms)));
        let Group::Classic(group) = group else { return };
        let mut step = Join { name: &name, initial_delay_ms, token, now, out };
        let outcome = if member_id.is_empty() {
            step.new_member(group, join)
        } else {
            step.known_id(group, join)
        };
        if let Err((code, id)) = outcome {
            step.reply(Reply::join_refused(code, &id));
        }
        group.count_bytes();
    }

    fn check_classic_join(&self, join: &JoinInput) -> Result<(), ErrorCode> {
        let Some(Group::Classic(group)) = self.groups.get(&join.group) else {
            return match () {
                () if !join.member_id.is_empty() => Err(ErrorCode::UnknownMemberId),
                () if self.groups.len() >= self.options.max_groups => {
                    Err(ErrorCode::PolicyViolation)
                }
                () if join.protocol_type.is_empty() || join.protocols.is_empty() => {
                    Err(ErrorCode::InconsistentGroupProtocol)
                }
                () => Ok(()),
            };
        };
        group.check_protocols(join)?;
        let known = group.members.contains_key(&join.member_id)
            || join.instance_id.as_ref().is_some_and(|id| group.instances.contains_key(id));
        // Who was given an id and is about to use it is counted already.
        let counted = known || group.pending.contains_key(&join.member_id);
        if !counted && group.members.len() + group.pending.len() >= self.options.max_members {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        if group.member_bytes + join.bytes() > self.options.max_group_bytes {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        Ok(())
    }
}

impl ClassicGroup {
    /// Whether the others could work with what this member supports.
    fn check_protocols(&self, join: &JoinInput) -> Result<(), ErrorCode> {
        let inconsistent = Err(ErrorCode::InconsistentGroupProtocol);
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return inconsistent;
        }
        let replaced = join.instance_id.as_ref().and_then(|id| self.instances.get(id));
        let others = || {
            let others = self.members.iter();
            others.filter(|(id, _)| **id != join.member_id && Some(*id) != replaced)
        };
        if others().next().is_none() {
            return Ok(());
        }
        let same_type = self.protocol_type.as_ref() == Some(&join.protocol_type);
        let all_support = |name: &str| others().all(|(_, member)| member.supports(name));
        if same_type && join.protocols.iter().any(|(name, _)| all_support(name)) {
            Ok(())
        } else {
            inconsistent
        }
    }
}

/// Why a join is refused, and the member id to answer with.
type Refusal = (ErrorCode, String);

/// One join on its way.
struct Join<'a> {
    name: &'a str,
    initial_delay_ms: u64,
    token: Token,
    now: Now,
    out: &'a mut Vec<Output>,
}

impl Join<'_> {
    fn reply(&mut self, reply: Reply) {
        self.out.push(Output::Reply(self.token, reply));
    }

    fn new_member(&mut self, group: &mut ClassicGroup, join: JoinInput) -> Result<(), Refusal> {
        let id = join.fresh_id.clone();
        if let Some(instance) = &join.instance_id {
            if let Some(old) = group.instances.get(instance).cloned() {
                self.replace_static(group, &old, join);
                return Ok(());
            }
        } else if join.requires_known_id {
            let until = self.now.monotonic_ms.saturating_add(join.session_timeout_ms.max(0) as u64);
            group.pending.insert(id.clone(), until);
            return Err((ErrorCode::MemberIdRequired, id));
        }
        self.add(group, id, join);
        Ok(())
    }

    fn known_id(&mut self, group: &mut ClassicGroup, join: JoinInput) -> Result<(), Refusal> {
        let id = join.member_id.clone();
        if group.pending.remove(&id).is_some() {
            self.add(group, id, join);
            return Ok(());
        }
        group.check_member(&id, join.instance_id.as_deref()).map_err(|code| (code, id.clone()))?;
        let Some(member) = group.members.get_mut(&id) else {
            return Err((ErrorCode::UnknownMemberId, id));
        };
        let unchanged = member.protocols == join.protocols;
        let leads = group.leader.as_deref() == Some(&*id);
        member.keep_alive(self.now);
        match group.phase {
            Phase::Completing { .. } if unchanged => {
                let reply = group.current_generation(&id);
                self.reply(Reply::Join(reply));
            }
            // The leader joins again when it sees that partitions changed.
            Phase::Stable if unchanged && !leads => {
                let reply = group.current_generation(&id);
                self.reply(Reply::Join(reply));
            }
            Phase::Preparing { .. } => {
                self.wait(group, &id, join);
                group.complete_if_ready(self.name, self.now, self.out);
            }
            Phase::Completing { .. } | Phase::Stable | Phase::Empty => {
                self.wait(group, &id, join);
                group.prepare(self.name, self.initial_delay_ms, self.now, self.out);
            }
        }
        Ok(())
    }

    /// Lets the member wait for the others.
    fn wait(&mut self, group: &mut ClassicGroup, id: &str, join: JoinInput) {
        let token = self.token;
        if group.members.len() == 1 {
            group.protocol_type = Some(join.protocol_type.clone());
        }
        let Some(member) = group.members.get_mut(id) else { return };
        member.update(join, self.now);
        if let Some(earlier) = member.joining.replace(token) {
            let refused = Reply::join_refused(ErrorCode::RebalanceInProgress, id);
            self.out.push(Output::Reply(earlier, refused));
        }
    }

    fn add(&mut self, group: &mut ClassicGroup, id: String, join: JoinInput) {
        if group.members.is_empty() {
            group.protocol_type = Some(join.protocol_type.clone());
        }
        if let Some(instance) = &join.instance_id {
            group.instances.insert(instance.clone(), id.clone());
        }
        let order = group.next_order();
        let mut member = Member::new(join, order, self.now);
        member.joining = Some(self.token);
        group.members.insert(id, member);
        match group.phase {
            Phase::Preparing { .. } => {
                group.extend_hold(self.initial_delay_ms, self.now);
                group.complete_if_ready(self.name, self.now, self.out);
            }
            _ => group.prepare(self.name, self.initial_delay_ms, self.now, self.out),
        }
    }

    /// A static member came back under its instance id, without its member id: it takes
    /// its former self's place, which is fenced (KIP-345).
    fn replace_static(&mut self, group: &mut ClassicGroup, old: &str, join: JoinInput) {
        let Some(mut member) = group.members.remove(old) else { return };
        for (token, reply) in [
            (member.joining.take(), Reply::join_refused(ErrorCode::FencedInstanceId, old)),
            (member.syncing.take(), Reply::sync_refused(ErrorCode::FencedInstanceId)),
        ] {
            if let Some(token) = token {
                self.out.push(Output::Reply(token, reply));
            }
        }
        let id = join.fresh_id.clone();
        let led = group.leader.as_deref() == Some(old);
        let protocol = group.protocol.clone().unwrap_or_default();
        let subscription = member.subscription(&protocol);
        let can_skip = join.can_skip_assignment;
        if let Some(instance) = &join.instance_id {
            group.instances.insert(instance.clone(), id.clone());
        }
        if led {
            group.leader = Some(id.clone());
        }
        member.update(join, self.now);
        let same = member.subscription(&protocol) == subscription && member.supports(&protocol);
        if !(group.phase == Phase::Stable && same) {
            member.joining = Some(self.token);
        }
        group.members.insert(id.clone(), member);
        match group.phase {
            Phase::Stable if same && group.choose_protocol() == group.protocol => {
                self.out.push(Output::Persist(vec![group.entry(self.name, self.now.wall_ms)]));
                let mut reply = group.current_generation(&id);
                if can_skip {
                    reply.skip_assignment = led;
                } else if led {
                    // An old client would assign anew: it must not know that it leads.
                    reply = JoinReply { leader: old.to_owned(), members: Vec::new(), ..reply };
                }
                self.reply(Reply::Join(reply));
            }
            Phase::Preparing { .. } => {
                group.complete_if_ready(self.name, self.now, self.out);
            }
            _ => {
                if let Some(member) = group.members.get_mut(&id) {
                    member.joining = Some(self.token);
                }
                group.prepare(self.name, self.initial_delay_ms, self.now, self.out);
            }
        }
    }
}
