//! Errors of the Kafka client as sentences that say what to do.

use krafka::KrafkaError;
use krafka::error::ErrorCode;

/// The error code that a broker answered, if one did.
pub(crate) fn code(error: &KrafkaError) -> Option<ErrorCode> {
    match error {
        KrafkaError::Broker { code, .. } => Some(*code),
        KrafkaError::UnknownTopic { .. } => Some(ErrorCode::UnknownTopicOrPartition),
        _ => None,
    }
}

/// What happened, and what to do where that is known.
pub(crate) fn sentence(error: &KrafkaError) -> String {
    match error {
        KrafkaError::Broker { code, message } => match known(*code) {
            Some(sentence) if says_more(message) => format!("{sentence} ({message})"),
            Some(sentence) => sentence.to_owned(),
            None if says_more(message) => format!("the server answered {code:?}: {message}"),
            None => format!("the server answered {code:?}"),
        },
        KrafkaError::Timeout { operation } => format!(
            "no answer in time ({operation}); is the server still running, and does it advertise \
             an address that can be reached from here?"
        ),
        KrafkaError::Network(error) => format!("the connection failed: {error}"),
        other => other.to_string(),
    }
}

/// Whether a message is more than the client's own wording of a code.
fn says_more(message: &str) -> bool {
    !message.is_empty() && message.contains(' ')
}

fn known(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::UnknownTopicOrPartition => "there is no such topic or partition",
        ErrorCode::TopicAlreadyExists => "the topic exists already; --if-not-exists accepts that",
        ErrorCode::InvalidTopic => {
            "a topic's name has letters, digits, '.', '_' and '-', at most 249 of them"
        }
        ErrorCode::InvalidPartitions => "the number of partitions can only grow",
        ErrorCode::InvalidReplicationFactor => {
            "there are not as many brokers as replicas are asked for"
        }
        ErrorCode::OffsetOutOfRange => "the offset is outside of what the partition holds",
        ErrorCode::MessageTooLarge => {
            "the record is larger than the topic's max.message.bytes; raise that with: thalweg \
             topic alter TOPIC --config max.message.bytes=N"
        }
        ErrorCode::GroupIdNotFound => "there is no such group",
        ErrorCode::NonEmptyGroup => "the group has active members; stop them first",
        ErrorCode::GroupSubscribedToTopic => {
            "members of the group read this topic now; stop them first"
        }
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed => "the server does not allow that to this client",
        _ => return None,
    })
}
