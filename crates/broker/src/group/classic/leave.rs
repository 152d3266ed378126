//! Members that go, by themselves or sent away by their instance ids (KIP-345).

use super::ClassicGroup;
use crate::error_code::{ErrorCode, NONE};
use crate::group::messages::{Now, Output};

impl ClassicGroup {
    /// Takes members out; one code for each. Members are named by member id, instance id
    /// or both.
    pub(in crate::group) fn leave(
        &mut self,
        members: Vec<(String, Option<String>)>,
        name: &str,
        initial_delay_ms: u64,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Vec<i16> {
        let mut codes = Vec::with_capacity(members.len());
        let (mut pending_gone, mut members_gone) = (false, false);
        for (member_id, instance_id) in members {
            // A static member may be sent away by its instance id alone.
            let id = match (member_id.is_empty(), &instance_id) {
                (true, Some(instance)) => self.instances.get(instance).cloned(),
                _ => None,
            }
            .unwrap_or(member_id);
            if instance_id.is_none() && self.pending.remove(&id).is_some() {
                pending_gone = true;
                codes.push(NONE);
                continue;
            }
            match self.check_member(&id, instance_id.as_deref()) {
                Ok(()) => {
                    self.remove_member(&id, ErrorCode::UnknownMemberId, out);
                    members_gone = true;
                    codes.push(NONE);
                }
                Err(code) => codes.push(code.code()),
            }
        }
        if members_gone || pending_gone {
            self.after_removal(members_gone, name, initial_delay_ms, now, out);
        }
        codes
    }
}
