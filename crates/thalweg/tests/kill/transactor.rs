//! Transactional producers that commit, abort, walk away, and are overtaken by a successor,
//! and the ledger of what became of each transaction.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use krafka::producer::{Record, TransactionalProducer};
use krafka::{CloseOptions, Compression};
use parking_lot::Mutex;
use thalweg_core::env::{Random, SeededRandom};
use tokio::sync::watch;

use crate::kafka;

/// The topic that transactions write to.
pub(crate) const TRANSFERS: &str = "transfers";
/// Its number of partitions.
pub(crate) const PARTITIONS: i32 = 3;
/// How many transactional ids are in use.
pub(crate) const TRANSACTORS: u64 = 2;

/// What a transaction's producer was told about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A commit was asked for and nobody knows whether it was heard: all of it or nothing.
    Unknown,
    /// The commit was answered: all of it.
    Committed,
    /// No commit was ever asked for by a producer that may ask: nothing of it.
    Aborted,
}

/// A transaction that was begun.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    /// Which transactional id.
    pub(crate) transactor: u64,
    /// Counted by transactor.
    pub(crate) number: u64,
    /// How many records it was to have.
    pub(crate) parts: u64,
    pub(crate) end: End,
}

/// One record of a transaction, as it stands in the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) transactor: u64,
    pub(crate) number: u64,
    pub(crate) part: u64,
}

impl Part {
    pub(crate) fn text(self) -> String {
        format!("transfer {} {} {}", self.transactor, self.number, self.part)
    }

    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.strip_prefix("transfer ")?;
        let mut numbers = text.split(' ').map(str::parse);
        let mut next = || numbers.next()?.ok();
        let part = Self { transactor: next()?, number: next()?, part: next()? };
        numbers.next().is_none().then_some(part)
    }
}

/// Every transaction that was begun, in the order of each transactor.
#[derive(Default)]
pub(crate) struct Transfers(Mutex<Vec<Transaction>>);

impl Transfers {
    fn begin(&self, transaction: Transaction) -> usize {
        let mut ledger = self.0.lock();
        ledger.push(transaction);
        ledger.len() - 1
    }

    fn settle(&self, index: usize, end: End) {
        self.0.lock()[index].end = end;
    }

    pub(crate) fn entries(&self) -> Vec<Transaction> {
        self.0.lock().clone()
    }
}

/// How a transaction is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plan {
    Commit,
    Abort,
    /// Nobody ends it: the next producer of this id does, before it is told that it may begin.
    WalkAway,
    /// A successor takes the id over; then the old producer asks for the commit.
    Zombie,
}

impl Plan {
    fn draw(random: &SeededRandom) -> Self {
        match random.below(10) {
            0..=5 => Self::Commit,
            6 | 7 => Self::Abort,
            8 => Self::WalkAway,
            _ => Self::Zombie,
        }
    }
}

/// One transaction after the other until told to stop; leaves none open.
pub(crate) async fn transact(
    transfers: Arc<Transfers>,
    transactor: u64,
    address: String,
    random: SeededRandom,
    stop: watch::Receiver<bool>,
) {
    let mut number = 0;
    let mut producer = build(&address, transactor).await;
    while !*stop.borrow() {
        let plan = Plan::draw(&random);
        let parts = 1 + random.below(5);
        let index = transfers.begin(Transaction { transactor, number, parts, end: End::Unknown });
        let written = write(&producer, transactor, number, parts, &random).await;
        let plan = if written { plan } else { Plan::Abort };
        let (end, usable) = finish(&producer, plan).await;
        match plan {
            Plan::Zombie => {
                let successor = build(&address, transactor).await;
                // The successor could begin only after the open transaction was aborted.
                let late = producer.commit().await;
                transfers.settle(index, if late.is_ok() { End::Committed } else { End::Aborted });
                discard(producer).await;
                producer = successor;
            }
            _ => {
                transfers.settle(index, end);
                if !usable {
                    discard(producer).await;
                    producer = build(&address, transactor).await;
                }
            }
        }
        number += 1;
        tokio::time::sleep(Duration::from_millis(random.below(30))).await;
    }
    // Whatever is still open has to end before the topic is read for the last time.
    discard(producer).await;
    discard(build(&address, transactor).await).await;
}

/// Ends a transaction where the plan says so: what became of it, and whether its producer
/// can begin another one.
async fn finish(producer: &TransactionalProducer, plan: Plan) -> (End, bool) {
    match plan {
        Plan::Commit => match producer.commit().await {
            Ok(()) => (End::Committed, true),
            Err(_) => (End::Unknown, false),
        },
        Plan::Abort => (End::Aborted, producer.abort().await.is_ok()),
        Plan::WalkAway | Plan::Zombie => (End::Aborted, false),
    }
}

/// Writes all records of a transaction; whether each was acknowledged.
async fn write(
    producer: &TransactionalProducer,
    transactor: u64,
    number: u64,
    parts: u64,
    random: &SeededRandom,
) -> bool {
    if producer.begin().is_err() {
        return false;
    }
    for part in 0..parts {
        let value = Bytes::from(Part { transactor, number, part }.text());
        let partition = random.below(PARTITIONS as u64) as i32;
        let record = Record::new(TRANSFERS, value).partition(partition);
        if producer.send(record).await.is_err() {
            return false;
        }
    }
    true
}

async fn discard(producer: TransactionalProducer) {
    // It is thrown away because something went wrong, or because the run is over.
    let _ = producer.close_with(CloseOptions::new().timeout(Duration::ZERO)).await;
}

/// Builds a producer, as often as it takes while the server is down.
async fn build(address: &str, transactor: u64) -> TransactionalProducer {
    loop {
        match try_build(address, transactor).await {
            Ok(producer) => return producer,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn try_build(address: &str, transactor: u64) -> krafka::Result<TransactionalProducer> {
    let kafka = kafka::connect(address, Duration::from_secs(2)).await?;
    let builder = kafka.producer().metrics_push(false).linger(Duration::ZERO);
    let builder = builder
        .max_block(Duration::from_secs(3))
        .delivery_timeout(Duration::from_secs(5))
        .transaction_timeout(Duration::from_secs(20))
        .compression(Compression::Lz4);
    builder.build_transactional(format!("transfer-{transactor}")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_survives_its_text() {
        let part = Part { transactor: 1, number: 27, part: 3 };
        assert_eq!(part.text(), "transfer 1 27 3");
        assert_eq!(Part::parse(part.text().as_bytes()), Some(part));
        assert_eq!(Part::parse(b"transfer 1 27"), None);
        assert_eq!(Part::parse(b"transfer 1 27 3 4"), None);
    }
}
