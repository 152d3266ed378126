//! The transaction coordinator: a state machine without IO.
//!
//! [`Coordinator::decide`] says what an event leads to and changes nothing that is stored;
//! [`Coordinator::apply`] makes a stored change true. So what could not be stored never
//! happened.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_core::ids::{Offset, TopicPartition};

use super::messages::{Change, Decision, Effect, Event, Markers, Now, Refusal, Token};
use super::state::{NO_PRODUCER, Producer, State, Transaction};
use crate::error_code::ErrorCode;
use crate::options::TransactionOptions;

/// How long a request waits for an end to be complete. Markers take a sync of the disk;
/// only where one cannot be written does it take longer.
const PATIENCE_MS: u64 = 1_000;
/// Requests that wait for one end.
const WAITING_MAX: usize = 16;

/// All transactional ids.
#[derive(Clone, Debug)]
pub(crate) struct Coordinator {
    options: TransactionOptions,
    slots: BTreeMap<String, Slot>,
    /// Monotonic times at which something is due, and for which id.
    timers: BTreeSet<(u64, String)>,
    bytes: usize,
}

/// A transactional id with what is not stored of it.
#[derive(Clone, Debug)]
struct Slot {
    transaction: Transaction,
    /// Monotonic time of its timeout, or of its expiry.
    deadline_ms: Option<u64>,
    /// Its entry in `timers`.
    armed_ms: Option<u64>,
    /// Offset after the record that says what is in `transaction`.
    written_to: Offset,
    /// Requests that are answered when the end under way is complete.
    waiting: Vec<Waiting>,
}

/// A request that waits for an end to be complete.
#[derive(Clone, Debug)]
struct Waiting {
    token: Token,
    /// Monotonic time at which it is answered in any case.
    until_ms: u64,
    then: Then,
}

/// What is done with a request that waited.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// It asked for the end, and is told who may go on.
    Reply(Producer),
    /// It came into the way of the end, and is looked at anew.
    Again(Event),
}

impl Coordinator {
    pub(crate) fn new(options: TransactionOptions) -> Self {
        Self { options, slots: BTreeMap::new(), timers: BTreeSet::new(), bytes: 0 }
    }

    pub(crate) fn options(&self) -> &TransactionOptions {
        &self.options
    }

    /// What an event leads to. `token` names the request behind it, if there is one, and
    /// comes back with its reply, now or later. Nothing that is stored changes.
    pub(crate) fn decide(&mut self, now: Now, token: Token, event: Event) -> Decision {
        let decision = match event {
            Event::Init(init) => self.init(now, token, init),
            Event::Add { id, producer, partitions, protocol } => {
                self.add(now, &id, producer, partitions, protocol).map(|change| Decision {
                    then: vec![Effect::Reply(token, Ok(producer))],
                    change,
                    ..Decision::default()
                })
            }
            Event::End(end) => self.end(now, token, end),
            Event::Marked { id, producer } => Ok(self.complete(now, &id, producer)),
            Event::Due { id } => Ok(self.due(now, &id)),
        };
        decision.unwrap_or_else(|refusal| Decision::reply(token, Err(refusal)))
    }

    /// Makes a stored change true. `written_to` is the offset after its record.
    pub(crate) fn apply(&mut self, change: Change, now: Now, written_to: Offset) {
        let transaction = match change {
            Change::Put(transaction) => *transaction,
            Change::Remove(id) => return self.remove(&id),
        };
        let id = transaction.id.clone();
        let before = self.slots.get(&id);
        let began = before.filter(|slot| slot.transaction.state == State::Ongoing);
        let deadline_ms = match transaction.state {
            State::Ongoing => began.map_or_else(
                || Some(now.monotonic_ms.saturating_add(transaction.timeout_ms.max(0) as u64)),
                |slot| slot.deadline_ms,
            ),
            State::PrepareCommit | State::PrepareAbort => None,
            _ => Some(now.monotonic_ms.saturating_add(self.options.id_expiration_ms)),
        };
        self.put(transaction, deadline_ms, written_to);
    }

    /// Puts back what was stored. Its clocks go on where they stood.
    pub(super) fn restore(&mut self, transaction: Transaction, now: Now, written_to: Offset) {
        let (since, span_ms) = match transaction.state {
            State::Ongoing => (transaction.started_at, transaction.timeout_ms.max(0) as u64),
            _ => (transaction.updated_at, self.options.id_expiration_ms),
        };
        // A clock that was set back must not make it longer.
        let gone_ms = u64::try_from(now.wall_ms.saturating_sub(since)).unwrap_or(0);
        let left_ms = span_ms.saturating_sub(gone_ms);
        let deadline_ms = transaction.state.outcome().is_none().then_some(left_ms);
        let deadline_ms = deadline_ms.map(|left_ms| now.monotonic_ms.saturating_add(left_ms));
        self.put(transaction, deadline_ms, written_to);
    }

    /// Takes back what was decided for a request whose change could not be stored.
    pub(crate) fn forget(&mut self, id: &str, token: Token) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.waiting.retain(|waiting| waiting.token != token);
        }
        self.arm(id);
    }

    /// Monotonic time at which something is due.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.timers.first().map(|(at_ms, _)| *at_ms)
    }

    /// An id for which something is due, for [`Event::Due`].
    pub(crate) fn overdue(&self, now: Now) -> Option<&str> {
        let (at_ms, id) = self.timers.first()?;
        (*at_ms <= now.monotonic_ms).then_some(id.as_str())
    }

    /// Whether a producer may write to a partition in its transaction.
    ///
    /// # Errors
    /// Kafka's code for why not: `TRANSACTION_ABORTABLE` where the partition is not in it.
    pub(crate) fn admits(
        &self,
        id: &str,
        producer: Producer,
        partition: &TopicPartition,
    ) -> Result<(), ErrorCode> {
        let known = self.of_producer(id, producer)?;
        if known.state.outcome().is_some() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        match known.partitions.contains(partition) {
            true => Ok(()),
            false => Err(ErrorCode::TransactionAbortable),
        }
    }

    /// Offset after the last record about an id, or 0.
    pub(crate) fn written_to(&self, id: &str) -> Offset {
        self.slots.get(id).map_or(0, |slot| slot.written_to)
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Transaction> {
        self.slots.get(id).map(|slot| &slot.transaction)
    }

    /// All of them, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Transaction> {
        self.slots.values().map(|slot| &slot.transaction)
    }

    /// The ends that were decided and may not be complete: what a restart goes on with.
    pub(super) fn ends_under_way(&self) -> Vec<Markers> {
        self.iter().filter_map(markers).collect()
    }

    /// The transaction of an id, if it is this producer's.
    pub(super) fn of_producer(
        &self,
        id: &str,
        producer: Producer,
    ) -> Result<&Transaction, ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        match self.get(id) {
            None => Err(ErrorCode::InvalidProducerIdMapping),
            Some(known) if known.producer.id != producer.id => {
                Err(ErrorCode::InvalidProducerIdMapping)
            }
            Some(known) if known.producer.epoch != producer.epoch => Err(ErrorCode::ProducerFenced),
            Some(known) => Ok(known),
        }
    }

    /// Whether `more` bytes, and another id where it is one, are too much.
    pub(super) fn is_full(&self, more: usize, another: bool) -> bool {
        self.bytes.saturating_add(more) > self.options.max_bytes
            || another && self.slots.len() >= self.options.max_ids
    }

    /// Has a request wait for the end under way, or for the one that begins.
    pub(super) fn wait(
        &mut self,
        now: Now,
        token: Token,
        id: &str,
        then: Then,
    ) -> Result<(), Refusal> {
        let concurrent = Refusal::Code(ErrorCode::ConcurrentTransactions);
        let slot = self.slots.get_mut(id).ok_or(concurrent)?;
        if slot.waiting.len() >= WAITING_MAX {
            return Err(concurrent);
        }
        let until_ms = now.monotonic_ms.saturating_add(PATIENCE_MS);
        slot.waiting.push(Waiting { token, until_ms, then });
        self.arm(id);
        Ok(())
    }

    /// All markers of an end are durable: whoever waited may go on.
    fn complete(&mut self, now: Now, id: &str, producer: Producer) -> Decision {
        let Some(known) = self.get(id).filter(|known| known.producer == producer) else {
            return Decision::default();
        };
        let state = match known.state {
            State::PrepareCommit => State::CompleteCommit,
            State::PrepareAbort => State::CompleteAbort,
            _ => return Decision::default(),
        };
        let rotated =
            (known.next_id != NO_PRODUCER).then_some(Producer { id: known.next_id, epoch: 0 });
        let complete = Transaction {
            previous_id: known.producer.id,
            producer: rotated.unwrap_or(known.producer),
            next_id: NO_PRODUCER,
            state,
            partitions: BTreeSet::new(),
            updated_at: now.wall_ms,
            ..known.clone()
        };
        let mut decision =
            Decision { change: Some(Change::Put(Box::new(complete))), ..Decision::default() };
        for Waiting { token, then, .. } in self.take_waiting(id) {
            match then {
                // That the end is complete need not be durable: if it is forgotten, the
                // same markers are written again before anything else happens to this id.
                Then::Reply(producer) => decision.now.push(Effect::Reply(token, Ok(producer))),
                Then::Again(event) => decision.then.push(Effect::Again(token, event)),
            }
        }
        decision
    }

    fn due(&mut self, now: Now, id: &str) -> Decision {
        let Some(slot) = self.slots.get(id) else { return Decision::default() };
        if slot.waiting.iter().any(|waiting| waiting.until_ms <= now.monotonic_ms) {
            return self.lose_patience(now, id);
        }
        if slot.deadline_ms.is_none_or(|deadline_ms| deadline_ms > now.monotonic_ms) {
            return Decision::default();
        }
        let known = &slot.transaction;
        if known.state != State::Ongoing {
            let change = Some(Change::Remove(id.to_owned()));
            return Decision { change, ..Decision::default() };
        }
        let timeout_ms = known.timeout_ms;
        tracing::info!(%id, producer = ?known.producer, timeout_ms, "aborting a transaction");
        Decision::end(known.fenced(now))
    }

    /// Answers what waited for too long. An end that was asked for is decided all the same.
    fn lose_patience(&mut self, now: Now, id: &str) -> Decision {
        let (late, rest) = self
            .take_waiting(id)
            .into_iter()
            .partition(|waiting| waiting.until_ms <= now.monotonic_ms);
        if let Some(slot) = self.slots.get_mut(id) {
            slot.waiting = rest;
        }
        self.arm(id);
        let answer = |Waiting { token, then, .. }: Waiting| match then {
            Then::Reply(producer) => Effect::Reply(token, Ok(producer)),
            Then::Again(_) => {
                let concurrent = Refusal::Code(ErrorCode::ConcurrentTransactions);
                Effect::Reply(token, Err(concurrent))
            }
        };
        let late: Vec<Waiting> = late;
        Decision { now: late.into_iter().map(answer).collect(), ..Decision::default() }
    }

    fn take_waiting(&mut self, id: &str) -> Vec<Waiting> {
        let taken = self.slots.get_mut(id).map(|slot| std::mem::take(&mut slot.waiting));
        self.arm(id);
        taken.unwrap_or_default()
    }

    fn put(&mut self, transaction: Transaction, deadline_ms: Option<u64>, written_to: Offset) {
        let id = transaction.id.clone();
        self.bytes += transaction.size_bytes();
        match self.slots.get_mut(&id) {
            Some(slot) => {
                self.bytes -= slot.transaction.size_bytes();
                (slot.transaction, slot.deadline_ms) = (transaction, deadline_ms);
                slot.written_to = written_to;
            }
            None => {
                let (armed_ms, waiting) = (None, Vec::new());
                let slot = Slot { transaction, deadline_ms, armed_ms, written_to, waiting };
                self.slots.insert(id.clone(), slot);
            }
        }
        self.arm(&id);
    }

    pub(super) fn remove(&mut self, id: &str) {
        if let Some(slot) = self.slots.remove(id) {
            self.bytes -= slot.transaction.size_bytes();
            if let Some(armed_ms) = slot.armed_ms {
                self.timers.remove(&(armed_ms, id.to_owned()));
            }
        }
    }

    /// Brings the timer of an id up to date.
    fn arm(&mut self, id: &str) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        let waiting = slot.waiting.iter().map(|waiting| waiting.until_ms);
        let due_ms = waiting.chain(slot.deadline_ms).min();
        if due_ms == slot.armed_ms {
            return;
        }
        if let Some(armed_ms) = slot.armed_ms {
            self.timers.remove(&(armed_ms, id.to_owned()));
        }
        if let Some(due_ms) = due_ms {
            self.timers.insert((due_ms, id.to_owned()));
        }
        slot.armed_ms = due_ms;
    }
}

/// The markers of an end that is under way.
fn markers(transaction: &Transaction) -> Option<Markers> {
    Some(Markers {
        id: transaction.id.clone(),
        producer: transaction.producer,
        outcome: transaction.state.outcome()?,
        partitions: transaction.partitions.iter().cloned().collect(),
    })
}

impl Decision {
    /// A transaction that was decided to end this way: stored first, then marked.
    pub(super) fn end(prepared: Transaction) -> Self {
        let then = markers(&prepared).map(Effect::WriteMarkers).into_iter().collect();
        Self { then, change: Some(Change::Put(Box::new(prepared))), now: Vec::new() }
    }
}
