//! Kafka's error codes for the log's errors: the one place of this mapping.

pub(crate) use kafka_protocol::error::ResponseError as ErrorCode;
use thalweg_core::partition_log::LogError;

/// No error.
pub(crate) const NONE: i16 = 0;

/// What clients are told, so that they do the right thing: retry what may pass, give
/// up what will not.
pub(crate) fn of_log_error(error: &LogError) -> ErrorCode {
    match error {
        // Retriable for clients: space may be freed, and the operator sees the alarm.
        LogError::StorageFull { .. } | LogError::ReadOnly { .. } | LogError::Disk { .. } => {
            ErrorCode::KafkaStorageError
        }
        LogError::Corrupt { .. } => ErrorCode::CorruptMessage,
        LogError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        LogError::InvalidBatch { .. } => ErrorCode::InvalidRecord,
        // Retriable: the bytes may have been damaged on the way.
        LogError::Checksum { .. } => ErrorCode::CorruptMessage,
        LogError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        LogError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        LogError::DuplicateSequence { .. } => ErrorCode::DuplicateSequenceNumber,
        LogError::Fenced { .. } => ErrorCode::InvalidProducerEpoch,
        LogError::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        LogError::InvalidTransactionState { .. } => ErrorCode::InvalidTxnState,
        LogError::RefusedRecords { records, .. } if records.has_untimely() => {
            ErrorCode::InvalidTimestamp
        }
        LogError::RefusedRecords { .. } => ErrorCode::InvalidRecord,
        LogError::InvalidTimestamp { .. } => ErrorCode::InvalidTimestamp,
        LogError::Pinned { .. } => ErrorCode::PolicyViolation,
        LogError::UnknownPartition { .. } => ErrorCode::UnknownTopicOrPartition,
        LogError::TopicExists { .. } => ErrorCode::TopicAlreadyExists,
        LogError::InvalidTopic { .. } => ErrorCode::InvalidTopicException,
        LogError::Stopped => ErrorCode::NotLeaderOrFollower,
    }
}

/// What a client is told that is fenced and may not know it: before the version `since` of
/// a request, Kafka had no code of its own for that.
pub(crate) fn before_fenced(code: ErrorCode, version: i16, since: i16) -> ErrorCode {
    match code {
        ErrorCode::ProducerFenced if version < since => ErrorCode::InvalidProducerEpoch,
        code => code,
    }
}
