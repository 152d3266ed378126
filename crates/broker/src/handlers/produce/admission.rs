//! Records of a transaction: whether they may come into their partitions.
//!
//! In versions up to 11 the client has added the partitions before, and that is verified;
//! from version 12 on the request adds them (KIP-890).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::produce_request::ProduceRequest;
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids::TopicPartition;
use thalweg_core::record_batch::split;

use super::Refusal;
use crate::broker::blocking;
use crate::error_code::ErrorCode;
use crate::request::RequestContext;
use crate::transaction::{Producer, Protocol};

/// First version whose requests add partitions.
const ADDS_SINCE: i16 = 12;
/// First version whose clients know that a transaction may have to be aborted.
const ABORTABLE_SINCE: i16 = 11;

/// A request's transaction.
pub(super) struct Admission {
    id: String,
    producer: Producer,
    version: i16,
    /// Partitions with records of the transaction.
    partitions: BTreeSet<TopicPartition>,
    /// Why none of them is let in.
    refused: Option<ErrorCode>,
}

impl Admission {
    /// Finds out in which transaction the records are, and waits until the partitions are
    /// in it. `None` where no record is in one.
    ///
    /// # Errors
    /// The whole request is refused.
    pub(super) async fn of(
        context: &RequestContext,
        request: &ProduceRequest,
    ) -> Result<Option<Self>, Refusal> {
        let partitions = transactional(request);
        let Some(producer) = partitions.values().next().copied() else { return Ok(None) };
        let id = request.transactional_id.as_ref().map(|id| id.to_string());
        let Some(id) = id.filter(|id| context.allows(Operation::Write, resource(id))) else {
            return Err(Refusal::new(
                ErrorCode::TransactionalIdAuthorizationFailed,
                "records of a transaction need a transactional id that the client may use",
            ));
        };
        if partitions.values().any(|other| *other != producer) {
            return Err(Refusal::new(
                ErrorCode::InvalidProducerIdMapping,
                "records of more than one producer in a request of one transaction",
            ));
        }
        let version = context.version();
        let partitions = partitions.into_keys().collect();
        let mut admission = Self { id, producer, version, partitions, refused: None };
        admission.refused = admission.settle(context).await.err();
        Ok(Some(admission))
    }

    /// Makes it durable that the partitions are in the transaction.
    async fn settle(&self, context: &RequestContext) -> Result<(), ErrorCode> {
        let transactions = &context.broker.transactions;
        if self.version < ADDS_SINCE {
            return transactions.settled(&self.id).await;
        }
        let is_in = |at: &TopicPartition| transactions.verify(&self.id, self.producer, at).is_ok();
        if self.partitions.iter().all(is_in) {
            return transactions.settled(&self.id).await;
        }
        let existing = |at: &&TopicPartition| {
            context.allows(Operation::Write, Resource::Topic(&at.topic))
                && !crate::topics::is_internal(&at.topic)
                && context.broker.log.partition(&at.topic, at.partition).is_ok()
        };
        let added: BTreeSet<_> = self.partitions.iter().filter(existing).cloned().collect();
        if added.is_empty() {
            return Ok(());
        }
        transactions.add(&self.id, self.producer, added, Protocol::EpochBump).await
    }

    /// Whether records for this partition are of the transaction.
    pub(super) fn is_of(&self, partition: &TopicPartition) -> bool {
        self.partitions.contains(partition)
    }

    /// Appends records to a partition if they may come into it now. `may_wait` says that
    /// the append may have to wait for the disk.
    pub(super) async fn append<T: Send + 'static>(
        &self,
        context: &RequestContext,
        partition: &TopicPartition,
        may_wait: bool,
        append: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        if let Some(code) = self.refused {
            return Err(self.refusal(code));
        }
        let transactions = &context.broker.transactions;
        let admitted = transactions.admit(&self.id, self.producer, partition).await;
        let admitted = admitted.map_err(|code| self.refusal(code))?;
        let append = move || {
            let _admitted = admitted;
            append()
        };
        if may_wait { blocking(append).await } else { append() }
    }

    /// What a client is told so that it does the right thing, as old as it may be.
    fn refusal(&self, code: ErrorCode) -> Refusal {
        let adds = self.version >= ADDS_SINCE;
        match code {
            // Producers know this one, and abort.
            ErrorCode::ProducerFenced => Refusal::new(
                ErrorCode::InvalidProducerEpoch,
                "a newer producer with this transactional id has taken over",
            ),
            ErrorCode::TransactionAbortable if self.version < ABORTABLE_SINCE => {
                let message = "the partition was not added to the transaction";
                Refusal::new(ErrorCode::InvalidTxnState, message)
            }
            // A retriable one without a refresh of metadata, as Kafka chose it.
            ErrorCode::ConcurrentTransactions | ErrorCode::CoordinatorNotAvailable if !adds => {
                let message = format!("the transaction could not be verified: {code}");
                Refusal::new(ErrorCode::NotEnoughReplicas, message)
            }
            code => Refusal::new(code, code.to_string()),
        }
    }
}

fn resource(id: &str) -> Resource<'_> {
    Resource::TransactionalId(id)
}

/// The partitions with records of a transaction, and of which producer.
fn transactional(request: &ProduceRequest) -> BTreeMap<TopicPartition, Producer> {
    let mut found = BTreeMap::new();
    for topic in &request.topic_data {
        for data in &topic.partition_data {
            let batches = split(data.records.as_deref().unwrap_or_default()).flatten();
            let mut headers = batches.map(|batch| *batch.header());
            let first = headers.find(|header| header.attributes.is_transactional());
            if let Some(header) = first {
                let producer = Producer::new(header.producer_id, header.producer_epoch);
                found.insert(TopicPartition::new(topic.name.as_str(), data.index), producer);
            }
        }
    }
    found
}
