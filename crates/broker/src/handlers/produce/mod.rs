//! Produce: append at once and in order, answer when it is durable.
//!
//! `acks=1` and `acks=all` mean the same here, and more than in Kafka: the records are
//! on disk (fdatasync), not only in memory. `acks=0` gets no answer at all.

mod admission;

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::produce_request::{ProduceRequest, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};
use thalweg_core::ids::{ProducerId, TopicPartition};
use thalweg_core::partition_log::{Appended, LogError};
use thalweg_core::record_batch::{BatchHeader, split};
use thalweg_core::refused_records::RecordFault;
use tokio::sync::oneshot;
use tokio::time::timeout;

use self::admission::Admission;
use crate::broker::blocking;
use crate::error_code::{ErrorCode, of_log_error};
use crate::request::{Answer, RequestContext, RequestError};
use crate::topics;

/// Records that one answer names as refused: those of its other partitions are not.
const NAMED_RECORDS_MAX: usize = 10_000;

/// Why a partition's records were refused.
#[derive(Clone)]
struct Refusal {
    code: ErrorCode,
    message: String,
    /// Those of the batch that are to blame, by number; none where it is all of it.
    records: Vec<(i32, RecordFault)>,
}

impl Refusal {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), records: Vec::new() }
    }
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        let refusal = Self::new(of_log_error(&error), error.to_string());
        match error {
            LogError::RefusedRecords { records, .. } => {
                Self { records: records.named().to_vec(), ..refusal }
            }
            _ => refusal,
        }
    }
}

/// A partition's records, appended but perhaps not durable yet.
struct Pending {
    index: i32,
    outcome: Result<(Appended, oneshot::Receiver<Result<(), LogError>>), Refusal>,
}

pub(crate) async fn handle(
    context: RequestContext,
    request: ProduceRequest,
) -> Result<Answer, RequestError> {
    let acks = request.acks;
    let patience = Duration::from_millis(request.timeout_ms.max(1) as u64);
    let admission = if (-1..=1).contains(&acks) {
        Admission::of(&context, &request).await
    } else {
        Err(Refusal::new(ErrorCode::InvalidRequiredAcks, "acks must be 0, 1 or all"))
    };
    let mut topics = Vec::with_capacity(request.topic_data.len());
    let mut nameable = NAMED_RECORDS_MAX;
    for topic in request.topic_data {
        let partitions = append_topic(&context, &topic, &admission, &mut nameable).await;
        // A copy, so that the records do not stay in memory until they are durable.
        topics.push((TopicName(StrBytes::from_string(topic.name.to_string())), partitions));
    }
    if acks == 0 {
        return unacknowledged(&topics);
    }
    let (head, version) = (context.head, context.version());
    Ok(Answer::later_without_request(async move {
        let mut responses = Vec::with_capacity(topics.len());
        for (name, partitions) in topics {
            let mut answered = Vec::with_capacity(partitions.len());
            for partition in partitions {
                answered.push(durable(partition, patience, version).await);
            }
            responses.push(
                TopicProduceResponse::default().with_name(name).with_partition_responses(answered),
            );
        }
        head.encode(&ProduceResponse::default().with_responses(responses))
    }))
}

/// Nobody hears of a failure without acknowledgement, except by the connection ending.
fn unacknowledged<T>(topics: &[(T, Vec<Pending>)]) -> Result<Answer, RequestError> {
    let mut partitions = topics.iter().flat_map(|(_, partitions)| partitions);
    match partitions.find_map(|partition| partition.outcome.as_ref().err()) {
        Some(refusal) => Err(RequestError::UnacknowledgedProduce(refusal.message.clone())),
        None => Ok(Answer::None),
    }
}

async fn append_topic(
    context: &RequestContext,
    topic: &TopicProduceData,
    admission: &Result<Option<Admission>, Refusal>,
    nameable: &mut usize,
) -> Vec<Pending> {
    let name = topic.name.as_str();
    let of_topic = || {
        if !context.allows(Operation::Write, Resource::Topic(name)) {
            Some((ErrorCode::TopicAuthorizationFailed, "not allowed to write to this topic"))
        } else if topics::is_internal(name) {
            Some((ErrorCode::InvalidTopicException, "topics beginning with '__' are the system's"))
        } else {
            None
        }
    };
    let refusal = match admission {
        Err(refusal) => Some(refusal.clone()),
        Ok(_) => of_topic().map(|(code, message)| Refusal::new(code, message)),
    };
    let admission = admission.as_ref().ok().and_then(Option::as_ref);
    let mut pending = Vec::with_capacity(topic.partition_data.len());
    for data in &topic.partition_data {
        let at = TopicPartition::new(name, data.index);
        let mut outcome = match &refusal {
            Some(refusal) => Err(refusal.clone()),
            None => append(context, at, data.records.clone(), admission).await,
        };
        if let Err(Refusal { records, .. }) = &mut outcome {
            records.truncate(*nameable);
            records.shrink_to_fit();
            *nameable -= records.len();
        }
        pending.push(Pending { index: data.index, outcome });
    }
    pending
}

async fn append(
    context: &RequestContext,
    at: TopicPartition,
    records: Option<Bytes>,
    admission: Option<&Admission>,
) -> Result<(Appended, oneshot::Receiver<Result<(), LogError>>), Refusal> {
    let records = records.filter(|records| !records.is_empty());
    let Some(records) = records else {
        return Err(Refusal::new(ErrorCode::InvalidRecord, "no records"));
    };
    // What is no batch at all is for the log to say. Several at once are not for a client
    // (Kafka's rule since version 3): each is looked up under the partition's lock.
    if split(&records).nth(1).is_some() {
        let message = "a partition's records have to be one record batch";
        return Err(Refusal::new(ErrorCode::InvalidRecord, message));
    }
    if let Some(refusal) = split(&records).flatten().find_map(|batch| refusal(batch.header())) {
        return Err(refusal);
    }
    let log = context.broker.log.partition(&at.topic, at.partition)?;
    // The next request of this connection waits, as its records come after these. Those
    // of other connections do not.
    let may_wait = log.append_may_wait(records.len());
    let target = log.clone();
    let write = move || target.append(records).map_err(Refusal::from);
    let appended = match admission.filter(|admission| admission.is_of(&at)) {
        Some(admission) => admission.append(context, &at, may_wait, write).await?,
        None if may_wait => blocking(write).await?,
        None => write()?,
    };
    let (sender, receiver) = oneshot::channel();
    let done = Box::new(move |outcome| {
        let _ = sender.send(outcome);
    });
    log.when_durable(appended.next_offset, done);
    Ok((appended, receiver))
}

/// Why a client may not write such a batch.
fn refusal(header: &BatchHeader) -> Option<Refusal> {
    if header.attributes.is_control() {
        let message = "control batches are written by the coordinator of transactions";
        return Some(Refusal::new(ErrorCode::InvalidRecord, message));
    }
    // Under a job's id a client could make the job's own output pass as written already.
    // No client retries on this code; Kafka has it for ids that the sender was not given.
    let id = ProducerId(header.producer_id);
    id.is_internal().then(|| {
        let message = format!(
            "producer id {} was not given out by this server, which keeps those from {} on for \
             itself; take one with InitProducerId",
            id.0,
            ProducerId::FIRST_INTERNAL
        );
        Refusal::new(ErrorCode::InvalidProducerIdMapping, message)
    })
}

async fn durable(pending: Pending, patience: Duration, version: i16) -> PartitionProduceResponse {
    let outcome = match pending.outcome {
        Err(refusal) => Err(refusal),
        Ok((appended, receiver)) => match timeout(patience, receiver).await {
            Ok(Ok(Ok(()))) => Ok(appended),
            Ok(Ok(Err(error))) => Err(error.into()),
            Ok(Err(_)) => Err(LogError::Stopped.into()),
            Err(_) => Err(Refusal::new(
                ErrorCode::RequestTimedOut,
                "the records were not durable within the request's timeout",
            )),
        },
    };
    let response = PartitionProduceResponse::default().with_index(pending.index);
    match outcome {
        Ok(appended) => response
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(appended.append_time)
            .with_log_start_offset(appended.log_start),
        Err(refusal) => refused(response, refusal, version),
    }
}

fn refused(
    response: PartitionProduceResponse,
    refusal: Refusal,
    version: i16,
) -> PartitionProduceResponse {
    let response = response.with_error_code(refusal.code.code()).with_base_offset(-1);
    if version < 8 {
        return response;
    }
    let of_record = |&(index, fault): &(i32, RecordFault)| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(index)
            .with_batch_index_error_message(Some(StrBytes::from_string(fault.to_string())))
    };
    response
        .with_record_errors(refusal.records.iter().map(of_record).collect())
        .with_error_message(Some(StrBytes::from_string(refusal.message)))
}
