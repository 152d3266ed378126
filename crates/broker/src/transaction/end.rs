//! Partitions into a transaction, and its end: AddPartitionsToTxn and EndTxn (KIP-98,
//! KIP-890).

use std::collections::BTreeSet;

use thalweg_core::ids::TopicPartition;
use thalweg_core::record_batch::{ControlKind, NO_PRODUCER_EPOCH};

use super::coordinator::{Coordinator, Then};
use super::messages::{Change, Decision, End, Now, Refusal, Token};
use super::state::{NO_PRODUCER, Producer, Protocol, State, Transaction};
use crate::error_code::ErrorCode;

/// What an EndTxn request asks for.
#[derive(PartialEq, Eq, Debug)]
enum Asked {
    /// The end of what is under way, or of nothing at all.
    End,
    /// What happened before.
    Repeat,
}

impl Coordinator {
    /// Brings partitions into a transaction, beginning it where it is not under way.
    /// `None` where all of them are in it.
    pub(super) fn add(
        &self,
        now: Now,
        id: &str,
        producer: Producer,
        partitions: BTreeSet<TopicPartition>,
        protocol: Protocol,
    ) -> Result<Option<Change>, Refusal> {
        let known = self.of_producer(id, producer).map_err(Refusal::Code)?;
        if known.state.outcome().is_some() {
            return Err(Refusal::Code(ErrorCode::ConcurrentTransactions));
        }
        let is_under_way = known.state == State::Ongoing;
        if is_under_way && partitions.is_subset(&known.partitions) {
            return Ok(None);
        }
        let mut grown = Transaction {
            previous_id: known.producer.id,
            state: State::Ongoing,
            started_at: if is_under_way { known.started_at } else { now.wall_ms },
            updated_at: now.wall_ms,
            protocol,
            ..known.clone()
        };
        grown.partitions.extend(partitions);
        if self.is_full(grown.size_bytes() - known.size_bytes(), false) {
            return Err(Refusal::Code(ErrorCode::PolicyViolation));
        }
        Ok(Some(Change::Put(Box::new(grown))))
    }

    pub(super) fn end(&mut self, now: Now, token: Token, end: End) -> Result<Decision, Refusal> {
        if end.id.is_empty() {
            return Err(Refusal::Code(ErrorCode::InvalidRequest));
        }
        let missing = Refusal::Code(ErrorCode::InvalidProducerIdMapping);
        let known = self.get(&end.id).ok_or(missing)?;
        let asked = match end.protocol {
            Protocol::Classic => known.asked_classic(&end),
            Protocol::EpochBump => known.asked(&end),
        };
        if asked.map_err(Refusal::Code)? == Asked::Repeat {
            return Ok(Decision::reply(token, Ok(known.producer)));
        }
        let prepared = known.prepared(now, &end)?;
        let goes_on = match prepared.next_id {
            NO_PRODUCER => prepared.producer,
            id => Producer { id, epoch: 0 },
        };
        self.wait(now, token, &end.id, Then::Reply(goes_on))?;
        Ok(Decision::end(prepared))
    }
}

impl Transaction {
    /// What a client of the classic protocol asks for. It never raises the epoch itself, so
    /// only the one in force is its.
    fn asked_classic(&self, end: &End) -> Result<Asked, ErrorCode> {
        if self.producer.id != end.producer.id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if self.producer.epoch != end.producer.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        match (self.state, end.outcome) {
            (State::Ongoing, _) => Ok(Asked::End),
            (State::CompleteCommit, ControlKind::Commit)
            | (State::CompleteAbort, ControlKind::Abort) => Ok(Asked::Repeat),
            (state, outcome) if state.outcome() == Some(outcome) => {
                Err(ErrorCode::ConcurrentTransactions)
            }
            _ => Err(ErrorCode::InvalidTxnState),
        }
    }

    /// What a client asks for whose every end raises the epoch. A request with the epoch
    /// before is the retry of the last end; one with the epoch in force is the next end.
    fn asked(&self, end: &End) -> Result<Asked, ErrorCode> {
        let (held, sent) = (self.producer, end.producer);
        let is_complete = matches!(self.state, State::CompleteCommit | State::CompleteAbort);
        // The largest epoch is never a client's, so one that is complete was a fence.
        let after_bump = sent.epoch.checked_add(1) == Some(held.epoch)
            && !(is_complete && held.epoch == i16::MAX);
        let after_rotation = is_complete
            && self.previous_id == sent.id
            && sent.epoch == i16::MAX - 1
            && held.epoch == 0;
        if held.id != sent.id && !after_rotation {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        let is_repeated = after_bump || after_rotation;
        let is_known = match self.state {
            State::Ongoing | State::Empty => sent.epoch == held.epoch,
            State::PrepareCommit | State::PrepareAbort => after_bump,
            State::CompleteCommit | State::CompleteAbort => is_repeated || sent.epoch == held.epoch,
        };
        if !is_known {
            return Err(ErrorCode::ProducerFenced);
        }
        match (self.state, end.outcome) {
            (State::Ongoing, _) => Ok(Asked::End),
            (State::CompleteCommit, ControlKind::Commit)
            | (State::CompleteAbort, ControlKind::Abort)
                if is_repeated =>
            {
                Ok(Asked::Repeat)
            }
            // A client may abort what it added no partition to.
            (_, ControlKind::Abort) if self.is_idle() && !is_repeated => Ok(Asked::End),
            (state, outcome) if state.outcome() == Some(outcome) => {
                Err(ErrorCode::ConcurrentTransactions)
            }
            _ => Err(ErrorCode::InvalidTxnState),
        }
    }

    /// The same transaction, decided by a client.
    fn prepared(&self, now: Now, end: &End) -> Result<Self, Refusal> {
        let mut prepared = Self {
            previous_id: self.producer.id,
            next_id: NO_PRODUCER,
            state: State::prepare(end.outcome),
            started_at: if self.is_idle() { now.wall_ms } else { self.started_at },
            updated_at: now.wall_ms,
            protocol: end.protocol,
            ..self.clone()
        };
        if end.protocol == Protocol::EpochBump {
            if self.producer.is_exhausted() {
                prepared.next_id = end.fresh.ok_or(Refusal::NeedsProducerId)?;
            }
            prepared.last_epoch = self.producer.epoch;
            prepared.producer.epoch = self.producer.epoch.saturating_add(1);
        }
        Ok(prepared)
    }

    /// The same transaction, aborted without its producer. That one is fenced: the epoch
    /// rises by two, for the next one is what a retry of the producer's own end would get.
    pub(super) fn fenced(&self, now: Now) -> Self {
        let epoch = self.producer.epoch.saturating_add(2);
        Self {
            previous_id: self.producer.id,
            producer: Producer { epoch, ..self.producer },
            next_id: NO_PRODUCER,
            last_epoch: NO_PRODUCER_EPOCH,
            state: State::PrepareAbort,
            updated_at: now.wall_ms,
            protocol: Protocol::EpochBump,
            ..self.clone()
        }
    }
}
