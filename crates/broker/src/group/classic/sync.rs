//! Handing out the assignment of a generation.

use std::collections::HashMap;

use bytes::Bytes;

use super::{ClassicGroup, Phase};
use crate::error_code::{ErrorCode, NONE};
use crate::group::messages::{MemberRef, Now, Output, Reply, SyncInput, SyncReply, Token};

impl ClassicGroup {
    /// A member asks for its assignment; the leader brings everybody's.
    ///
    /// # Errors
    /// Why it does not get it.
    pub(in crate::group) fn sync(
        &mut self,
        token: Token,
        sync: SyncInput,
        max_bytes: usize,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), ErrorCode> {
        let id = sync.member.member_id.clone();
        self.check_generation(&sync.member)?;
        let differs =
            |ours: &Option<String>, theirs: &Option<String>| theirs.is_some() && theirs != ours;
        if differs(&self.protocol_type, &sync.protocol_type)
            || differs(&self.protocol, &sync.protocol)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.phase {
            Phase::Empty => Err(ErrorCode::UnknownMemberId),
            Phase::Preparing { .. } => Err(ErrorCode::RebalanceInProgress),
            Phase::Stable => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.keep_alive(now);
                }
                let reply = self.assignment_of(&id);
                out.push(Output::Reply(token, reply));
                Ok(())
            }
            Phase::Completing { .. } => {
                let bytes: usize = sync.assignments.iter().map(|(_, bytes)| bytes.len()).sum();
                if self.member_bytes + bytes > max_bytes {
                    return Err(ErrorCode::GroupMaxSizeReached);
                }
                self.wait_for_assignment(&id, token, out);
                if self.leader.as_deref() == Some(&*id) {
                    self.assign(&sync.member.group, sync.assignments, now, out);
                }
                Ok(())
            }
        }
    }

    /// A member is alive, and learns whether it has to join again.
    ///
    /// # Errors
    /// That it has to, or is no member.
    pub(in crate::group) fn heartbeat(
        &mut self,
        member: &MemberRef,
        now: Now,
    ) -> Result<(), ErrorCode> {
        self.check_generation(member)?;
        if let Some(found) = self.members.get_mut(&member.member_id) {
            found.keep_alive(now);
        }
        match self.phase {
            Phase::Preparing { .. } => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    fn wait_for_assignment(&mut self, id: &str, token: Token, out: &mut Vec<Output>) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.has_synced = true;
        if let Some(earlier) = member.syncing.replace(token) {
            let refused = Reply::sync_refused(ErrorCode::RebalanceInProgress);
            out.push(Output::Reply(earlier, refused));
        }
    }

    /// The leader has spoken: remember it, and tell those who wait.
    fn assign(
        &mut self,
        name: &str,
        assignments: Vec<(String, Bytes)>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let mut assignments: HashMap<_, _> = assignments.into_iter().collect();
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
        }
        self.count_bytes();
        self.phase = Phase::Stable;
        out.push(Output::Persist(vec![self.entry(name, now.wall_ms)]));
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let reply = self.assignment_of(&id);
            let Some(member) = self.members.get_mut(&id) else { continue };
            if let Some(token) = member.syncing.take() {
                member.keep_alive(now);
                out.push(Output::Reply(token, reply));
            }
        }
    }

    fn assignment_of(&self, id: &str) -> Reply {
        Reply::Sync(SyncReply {
            error_code: NONE,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members.get(id).map(|m| m.assignment.clone()).unwrap_or_default(),
        })
    }
}
