//! OffsetCommit and TxnOffsetCommit: who may commit, and what.

use thalweg_core::ids::ProducerId;

use super::CommittedOffset;
use crate::error_code::{ErrorCode, NONE};
use crate::group::classic::Phase;
use crate::group::coordinator::{Coordinator, Group};
use crate::group::messages::{
    CommitInput, CommitOffset, MemberRef, Now, Output, Reply, Token, TransactionRef,
};
use crate::group::record::{Entry, TEXT_BYTES_MAX};

/// First version of OffsetCommit that knows member epochs (KIP-848).
const MEMBER_EPOCH_SINCE: i16 = 9;

impl Coordinator {
    pub(in crate::group) fn commit(
        &mut self,
        token: Token,
        commit: CommitInput,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        if let Err(code) = self.check_commit(&commit, now) {
            out.push(Output::Reply(token, Reply::Codes(Err(code))));
            return;
        }
        let group = commit.member.group;
        let (entries, codes) = self.entries_of(&group, commit.offsets, now);
        if !entries.is_empty() {
            out.push(match commit.transaction {
                None => Output::Persist(entries),
                Some(transaction) => Output::PersistIn(transaction, entries),
            });
        }
        out.push(Output::Reply(token, Reply::Codes(Ok(codes))));
    }

    fn entries_of(
        &self,
        group: &str,
        offsets: Vec<CommitOffset>,
        now: Now,
    ) -> (Vec<Entry>, Vec<i16>) {
        let mut entries = Vec::with_capacity(offsets.len());
        let mut room = self.options.max_offset_bytes.saturating_sub(self.offsets.bytes());
        let mut codes = Vec::with_capacity(offsets.len());
        for offset in offsets {
            if offset.metadata.len() > self.options.max_metadata_bytes.min(TEXT_BYTES_MAX) {
                codes.push(ErrorCode::OffsetMetadataTooLarge.code());
                continue;
            }
            let (group, partition) = (group.to_owned(), offset.partition);
            let offset = CommittedOffset {
                offset: offset.offset,
                leader_epoch: offset.leader_epoch,
                metadata: offset.metadata,
                committed_at: now.wall_ms,
                expires_at: offset.retention_ms.map(|ms| now.wall_ms.saturating_add(ms)),
            };
            // What takes the place of another commit is let pass: groups must get on.
            let replaces = self.offsets.knows(&group, &partition);
            let bytes = offset.bytes(&partition);
            if bytes > room && !replaces {
                codes.push(ErrorCode::PolicyViolation.code());
                continue;
            }
            room = room.saturating_sub(bytes);
            codes.push(NONE);
            entries.push(Entry::Offset { group, partition, offset });
        }
        (entries, codes)
    }

    /// A member commits in its generation or epoch; who is no member only while there is
    /// none. A transactional producer that knows of no group may always (KIP-98), and
    /// then nothing fences it.
    fn check_commit(&mut self, commit: &CommitInput, now: Now) -> Result<(), ErrorCode> {
        let member = &commit.member;
        if member.group.is_empty() || member.group.len() > TEXT_BYTES_MAX {
            return Err(ErrorCode::InvalidGroupId);
        }
        let no_room = self.offsets.len() >= self.options.max_groups;
        if no_room && !self.offsets.has(&member.group) {
            return Err(ErrorCode::PolicyViolation);
        }
        let transactional = commit.transaction.is_some();
        match self.groups.get_mut(&member.group) {
            None if member.generation < 0 => Ok(()),
            // Of a group that is only offsets nobody is a member.
            None if self.offsets.has(&member.group) => Err(ErrorCode::UnknownMemberId),
            None if commit.version >= MEMBER_EPOCH_SINCE && !transactional => {
                Err(ErrorCode::GroupIdNotFound)
            }
            None => Err(ErrorCode::IllegalGeneration),
            Some(Group::Classic(group)) => {
                if group.phase == Phase::Empty && member.generation < 0 {
                    return Ok(());
                }
                let nobody = member.generation < 0
                    && member.member_id.is_empty()
                    && member.instance_id.is_none();
                if transactional && nobody {
                    return Ok(());
                }
                group.check_generation(member)?;
                if transactional {
                    return Ok(());
                }
                if let Phase::Completing { .. } = group.phase {
                    return Err(ErrorCode::RebalanceInProgress);
                }
                if let Some(found) = group.members.get_mut(&member.member_id) {
                    found.keep_alive(now);
                }
                Ok(())
            }
            Some(Group::Consumer(group)) => {
                if group.members.is_empty() && member.generation < 0 {
                    return Ok(());
                }
                let found = group.member(&member.member_id)?;
                let is_classic = found.subscription.classic.is_some();
                if !transactional && !is_classic && commit.version < MEMBER_EPOCH_SINCE {
                    return Err(ErrorCode::UnsupportedVersion);
                }
                match member.generation == found.current.epoch {
                    true => Ok(()),
                    false if is_classic || transactional => Err(ErrorCode::IllegalGeneration),
                    false => Err(ErrorCode::StaleMemberEpoch),
                }
            }
        }
    }

    /// Whether a member may ask for offsets: of a consumer group only in its epoch.
    ///
    /// # Errors
    /// Why it may not.
    pub(crate) fn check_fetch(
        &self,
        group: &str,
        member_id: Option<&str>,
        epoch: i32,
    ) -> Result<(), ErrorCode> {
        let Some(Group::Consumer(group)) = self.groups.get(group) else { return Ok(()) };
        if member_id.is_none_or(str::is_empty) && epoch < 0 {
            return Ok(());
        }
        let found = group.member(member_id.unwrap_or_default())?;
        match found.current.epoch == epoch {
            true => Ok(()),
            false => Err(ErrorCode::StaleMemberEpoch),
        }
    }
}

impl TransactionRef {
    /// The producer, as the log names it.
    pub(crate) fn producer(&self) -> ProducerId {
        ProducerId(self.producer_id)
    }
}

impl MemberRef {
    /// Nobody in particular, committing for a group.
    pub(crate) fn nobody(group: &str) -> Self {
        Self { group: group.to_owned(), generation: -1, ..Self::default() }
    }
}
