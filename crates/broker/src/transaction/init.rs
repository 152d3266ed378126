//! InitProducerId: who may use a transactional id from now on (KIP-98, KIP-360).

use std::collections::BTreeSet;

use thalweg_core::ids::ProducerId;
use thalweg_core::record_batch::NO_PRODUCER_EPOCH;

use super::coordinator::{Coordinator, Then};
use super::messages::{Change, Decision, Effect, Event, Init, Now, Refusal, Token};
use super::state::{NO_PRODUCER, Producer, State, Transaction};
use crate::error_code::ErrorCode;

/// Longest transactional id: its length is stored in 16 bits.
const ID_BYTES_MAX: usize = i16::MAX as usize;

/// What becomes of the producer.
enum Turn {
    /// The next epoch; the one before is remembered where it asked for that.
    Bump { last_epoch: i16 },
    /// Another producer id, since the epochs are used up.
    Rotate { last_epoch: i16 },
    /// This request was answered before, and the answer was lost.
    Repeat,
}

impl Coordinator {
    pub(super) fn init(&mut self, now: Now, token: Token, init: Init) -> Result<Decision, Refusal> {
        if init.id.is_empty() || init.id.len() > ID_BYTES_MAX {
            return Err(Refusal::Code(ErrorCode::InvalidRequest));
        }
        if !(1..=self.options().max_timeout_ms).contains(&init.timeout_ms) {
            return Err(Refusal::Code(ErrorCode::InvalidTransactionTimeout));
        }
        let known = match self.get(&init.id) {
            Some(known) => known.clone(),
            None => self.unused(&init)?,
        };
        if init.expected.is_some_and(|expected| !known.may_be(expected)) {
            return Err(Refusal::Code(ErrorCode::ProducerFenced));
        }
        if known.is_idle() {
            let next = known.handed_on(now, &init)?;
            let reply = Effect::Reply(token, Ok(next.producer));
            let change = Some(Change::Put(Box::new(next)));
            return Ok(Decision { change, then: vec![reply], ..Decision::default() });
        }
        let (id, expected) = (init.id.clone(), init.expected);
        let is_under_way = known.state == State::Ongoing;
        // A zombie must not abort the transaction of whoever came after it.
        if is_under_way && expected.is_some_and(|expected| expected != known.producer) {
            return Err(Refusal::Code(ErrorCode::ProducerFenced));
        }
        self.wait(now, token, &id, Then::Again(Event::Init(init)))?;
        if !is_under_way {
            return Ok(Decision::default());
        }
        let mut aborted = known.fenced(now);
        // Whoever knows the epoch in force asks for a new one in the middle of its
        // transaction, and is to get the one that the abort brings.
        if expected.is_some() {
            aborted.last_epoch = known.producer.epoch;
        }
        Ok(Decision::end(aborted))
    }

    fn unused(&self, init: &Init) -> Result<Transaction, Refusal> {
        let fresh = init.fresh.ok_or(Refusal::NeedsProducerId)?;
        let unused = Transaction::new(&init.id, fresh);
        if self.is_full(unused.size_bytes(), true) {
            return Err(Refusal::Code(ErrorCode::PolicyViolation));
        }
        Ok(unused)
    }
}

impl Transaction {
    /// Whether a client that takes itself for this producer may go on.
    fn may_be(&self, expected: Producer) -> bool {
        let repeated = expected.id == self.previous_id && expected.is_exhausted();
        self.producer.epoch == NO_PRODUCER_EPOCH || expected.id == self.producer.id || repeated
    }

    fn turn(&self, expected: Option<Producer>) -> Result<Turn, ErrorCode> {
        let Producer { epoch, .. } = self.producer;
        let is_exhausted = self.producer.is_exhausted();
        match expected.map(|expected| expected.epoch) {
            None if is_exhausted => Ok(Turn::Rotate { last_epoch: NO_PRODUCER_EPOCH }),
            None => Ok(Turn::Bump { last_epoch: NO_PRODUCER_EPOCH }),
            Some(_) if epoch == NO_PRODUCER_EPOCH => Ok(Turn::Bump { last_epoch: epoch }),
            Some(expected) if expected == epoch && is_exhausted => {
                Ok(Turn::Rotate { last_epoch: epoch })
            }
            Some(expected) if expected == epoch => Ok(Turn::Bump { last_epoch: epoch }),
            // Nobody else was initialised in between, for that would have cleared it.
            Some(expected) if expected == self.last_epoch && epoch == i16::MAX => {
                Ok(Turn::Rotate { last_epoch: expected })
            }
            Some(expected) if expected == self.last_epoch => Ok(Turn::Repeat),
            Some(_) => Err(ErrorCode::ProducerFenced),
        }
    }

    /// The same id, empty, with the producer that a client gets.
    fn handed_on(&self, now: Now, init: &Init) -> Result<Self, Refusal> {
        let turn = self.turn(init.expected).map_err(Refusal::Code)?;
        let (producer, last_epoch) = match turn {
            Turn::Bump { last_epoch } => {
                (Producer { epoch: self.producer.epoch + 1, ..self.producer }, last_epoch)
            }
            Turn::Rotate { last_epoch } => {
                let id: ProducerId = init.fresh.ok_or(Refusal::NeedsProducerId)?;
                (Producer { id, epoch: 0 }, last_epoch)
            }
            Turn::Repeat => (self.producer, self.last_epoch),
        };
        let previous_id = match turn {
            Turn::Repeat => self.previous_id,
            _ => self.producer.id,
        };
        Ok(Self {
            producer,
            previous_id,
            next_id: NO_PRODUCER,
            last_epoch,
            timeout_ms: init.timeout_ms,
            state: State::Empty,
            partitions: BTreeSet::new(),
            started_at: -1,
            updated_at: now.wall_ms,
            ..self.clone()
        })
    }
}
