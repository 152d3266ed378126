//! A client with a transactional id: what it does next, and what it makes of the answers.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use thalweg_core::ids::TopicPartition;
use thalweg_core::partition_log::LogStore;
use thalweg_core::record_batch::{
    BatchBuilder, Compression, ControlKind, NewRecord, last_sequence_of,
};
use thalweg_log::Log;
use tokio::sync::oneshot;

use super::history::{History, Key};
use crate::error_code::{ErrorCode, NONE};
use crate::group::{
    CommitInput, CommitOffset, GroupService, Input, MemberRef, Reply, TransactionRef,
};
use crate::transaction::{End, Init, Producer, Protocol, TransactionService, offsets_partition};

/// Topic that the clients write to.
pub(super) const TOPIC: &str = "data";

/// Something under way, which goes on when it is polled.
pub(super) type Job<T> = Pin<Box<dyn Future<Output = T>>>;
pub(super) type Shared = Rc<RefCell<History>>;

/// Lets something under way go on; what came of it.
pub(super) fn poll<T>(job: &mut Job<T>) -> Option<T> {
    match job.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

/// What is open while the log is.
#[derive(Clone)]
pub(super) struct Services {
    pub(super) log: Arc<Log>,
    pub(super) groups: Arc<GroupService>,
    pub(super) transactions: Arc<TransactionService>,
}

/// What came of a request.
pub(super) enum Outcome {
    Initialised(Result<Producer, ErrorCode>),
    Wrote(Result<(), ErrorCode>),
    Ended(ControlKind, Result<Producer, ErrorCode>),
}

pub(super) struct Client {
    pub(super) id: String,
    pub(super) protocol: Protocol,
    pub(super) producer: Option<Producer>,
    /// Its transaction in the history.
    pub(super) transaction: Option<usize>,
    pub(super) job: Option<Job<Outcome>>,
}

impl Client {
    pub(super) fn new(id: String, protocol: Protocol) -> Self {
        Self { id, protocol, producer: None, transaction: None, job: None }
    }

    pub(super) fn initialise(&mut self, services: &Services, timeout_ms: i32) {
        let init = Init { id: self.id.clone(), timeout_ms, expected: None, fresh: None };
        let transactions = services.transactions.clone();
        (self.producer, self.transaction) = (None, None);
        self.start(async move { Outcome::Initialised(transactions.init(init).await) });
    }

    /// Appends a value in the transaction, which begins where there is none.
    pub(super) fn produce(&mut self, services: &Services, history: &Shared, partition: i32) {
        let Some((producer, number)) = self.within(history) else { return };
        let (services, history) = (services.clone(), history.clone());
        let (id, protocol) = (self.id.clone(), self.protocol);
        let at = TopicPartition::new(TOPIC, partition);
        self.start(async move {
            let produced = produce(&services, &history, id, producer, protocol, at, number).await;
            Outcome::Wrote(produced)
        });
    }

    /// Commits an offset in the transaction.
    pub(super) fn commit(&mut self, services: &Services, history: &Shared, key: Key) {
        let Some((producer, number)) = self.within(history) else { return };
        let (services, history) = (services.clone(), history.clone());
        let (id, protocol) = (self.id.clone(), self.protocol);
        self.start(async move {
            let committed = commit(&services, &history, id, producer, protocol, key, number).await;
            Outcome::Wrote(committed)
        });
    }

    /// Ends the transaction, or asks again whether it has.
    pub(super) fn end(&mut self, services: &Services, history: &Shared, outcome: ControlKind) {
        let (Some(producer), Some(number)) = (self.producer, self.transaction) else { return };
        let asked = *history.borrow_mut().transactions[number].asked.get_or_insert(outcome);
        let (id, protocol) = (self.id.clone(), self.protocol);
        let end = End { id, producer, outcome: asked, protocol, fresh: None };
        let transactions = services.transactions.clone();
        self.start(async move { Outcome::Ended(asked, transactions.end(end).await) });
    }

    /// Whether it has asked for the end of its transaction.
    pub(super) fn has_asked(&self, history: &Shared) -> bool {
        let of = |number: usize| history.borrow().transactions[number].asked.is_some();
        self.transaction.is_some_and(of)
    }

    fn start(&mut self, job: impl Future<Output = Outcome> + 'static) {
        self.job = Some(Box::pin(job));
    }

    fn within(&mut self, history: &Shared) -> Option<(Producer, usize)> {
        let producer = self.producer?;
        let number = *self.transaction.get_or_insert_with(|| {
            let transactions = &mut history.borrow_mut().transactions;
            transactions.push(Default::default());
            transactions.len() - 1
        });
        Some((producer, number))
    }

    /// Lets its request go on, and takes in the answer.
    pub(super) fn go_on(&mut self, history: &Shared) {
        let Some(outcome) = self.job.as_mut().and_then(poll) else { return };
        self.job = None;
        match outcome {
            Outcome::Initialised(Ok(producer)) => self.producer = Some(producer),
            Outcome::Wrote(Ok(())) => {}
            Outcome::Ended(kind, Ok(producer)) => {
                if let Some(number) = self.transaction.take() {
                    history.borrow_mut().ended(number, kind);
                }
                self.producer = Some(producer);
            }
            // Whatever it was, this producer is done for; its transaction may be as well.
            Outcome::Initialised(Err(_)) | Outcome::Wrote(Err(_)) | Outcome::Ended(_, Err(_)) => {
                (self.producer, self.transaction) = (None, None);
            }
        }
    }
}

async fn produce(
    services: &Services,
    history: &Shared,
    id: String,
    producer: Producer,
    protocol: Protocol,
    at: TopicPartition,
    number: usize,
) -> Result<(), ErrorCode> {
    let Services { log, transactions, .. } = services;
    transactions.add(&id, producer, BTreeSet::from([at.clone()]), protocol).await?;
    let admitted = transactions.admit(&id, producer, &at).await?;
    let refused = |_| ErrorCode::KafkaStorageError;
    let partition = log.partition(&at.topic, at.partition).map_err(refused)?;
    let known = partition.producer(producer.id).filter(|known| known.epoch == producer.epoch);
    let sequence = known.map_or(0, |known| match known.last_sequence {
        ..0 => 0,
        last => last_sequence_of(last, 1),
    });
    let value = history.borrow_mut().fresh();
    let mut batch = BatchBuilder::new(Compression::None)
        .producer(producer.id.0, producer.epoch, sequence)
        .transactional(true);
    let bytes = value.to_be_bytes();
    batch.push(&NewRecord { value: Some(&bytes), ..NewRecord::default() }).expect("room");
    history.borrow_mut().transactions[number].records.insert(value, false);
    let appended = partition.append(batch.build().expect("a batch")).map_err(refused)?;
    drop(admitted);
    let (sender, durable) = oneshot::channel();
    let done = Box::new(move |outcome: Result<(), _>| {
        let _ = sender.send(outcome.is_ok());
    });
    partition.when_durable(appended.next_offset, done);
    if !durable.await.unwrap_or(false) {
        return Err(ErrorCode::KafkaStorageError);
    }
    history.borrow_mut().transactions[number].records.insert(value, true);
    Ok(())
}

async fn commit(
    services: &Services,
    history: &Shared,
    id: String,
    producer: Producer,
    protocol: Protocol,
    key: Key,
    number: usize,
) -> Result<(), ErrorCode> {
    let (transactions, at) = (&services.transactions, offsets_partition());
    transactions.add(&id, producer, BTreeSet::from([at.clone()]), protocol).await?;
    let admitted = transactions.admit(&id, producer, &at).await?;
    let of = TransactionRef { producer_id: producer.id.0, producer_epoch: producer.epoch };
    let value = history.borrow_mut().fresh();
    history.borrow_mut().wrote(key, value, Some(number));
    let input = commit_input(key, value, Some(of));
    let reply = services.groups.submit_holding(input, Box::new(admitted)).await;
    if !is_taken(reply) {
        return Err(ErrorCode::CoordinatorNotAvailable);
    }
    history.borrow_mut().acknowledge(key, value);
    Ok(())
}

/// Name of a group.
pub(super) fn group(number: usize) -> String {
    format!("group-{number}")
}

pub(super) fn commit_input(
    (number, partition): Key,
    value: i64,
    transaction: Option<TransactionRef>,
) -> Input {
    let offset = CommitOffset {
        partition: TopicPartition::new(TOPIC, partition),
        offset: value,
        leader_epoch: -1,
        metadata: "m".repeat(value as usize % 40),
        retention_ms: None,
    };
    Input::Commit(CommitInput {
        member: MemberRef::nobody(&group(number)),
        offsets: vec![offset],
        version: 8,
        transaction,
    })
}

/// Whether a commit was acknowledged.
pub(super) fn is_taken(reply: Result<Reply, oneshot::error::RecvError>) -> bool {
    matches!(reply, Ok(Reply::Codes(Ok(codes))) if codes.iter().all(|code| *code == NONE))
}
