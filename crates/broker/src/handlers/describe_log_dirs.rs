//! DescribeLogDirs: how much room partitions take, and how much there is (KIP-113,
//! KIP-827). There is one directory, and every replica is whole.

use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use thalweg_core::authorizer::{Operation, Resource};

use crate::broker::{Broker, blocking};
use crate::error_code::{ErrorCode, NONE};
use crate::request::{Answer, RequestContext, RequestError};

/// What a topic and a partition take in an answer, put together and encoded.
const TOPIC_BYTES: usize = 512;
const PARTITION_BYTES: usize = 128;
/// Said where a size is not known.
const UNKNOWN: i64 = -1;

pub(crate) async fn handle(
    context: RequestContext,
    request: DescribeLogDirsRequest,
) -> Result<Answer, RequestError> {
    if !context.allows(Operation::Describe, Resource::Cluster) {
        let mut response = DescribeLogDirsResponse::default();
        if context.version() >= 3 {
            response.error_code = ErrorCode::ClusterAuthorizationFailed.code();
        }
        return context.answer(&response);
    }
    let broker = context.broker.clone();
    let wanted: Vec<(TopicName, Vec<i32>)> = match request.topics {
        Some(topics) => topics.into_iter().map(|topic| (topic.topic, topic.partitions)).collect(),
        None => {
            let all = broker.log.topics().into_iter();
            let name = |name| TopicName(StrBytes::from_string(name));
            all.map(|topic| (name(topic.name), (0..topic.partitions).collect())).collect()
        }
    };
    let partitions: usize = wanted.iter().map(|(_, partitions)| partitions.len()).sum();
    let room = context.room(TOPIC_BYTES * wanted.len() + PARTITION_BYTES * partitions).await?;
    let result = blocking(move || describe(&broker, wanted)).await;
    context.answer_in(room, &DescribeLogDirsResponse::default().with_results(vec![result]))
}

fn describe(broker: &Broker, wanted: Vec<(TopicName, Vec<i32>)>) -> DescribeLogDirsResult {
    let topics = wanted.into_iter().filter_map(|(name, partitions)| {
        let size = |index| {
            let log = broker.log.partition(&name, index).ok()?;
            let partition = DescribeLogDirsPartition::default().with_partition_index(index);
            Some(partition.with_partition_size(log.size_bytes() as i64))
        };
        // What is not here is left out, as in Kafka.
        let partitions: Vec<_> = partitions.into_iter().filter_map(size).collect();
        let topic = DescribeLogDirsTopic::default().with_name(name.clone());
        (!partitions.is_empty()).then(|| topic.with_partitions(partitions))
    });
    let bytes = |found: std::io::Result<u64>| found.map_or(UNKNOWN, |bytes| bytes as i64);
    let (disk, dir) = (&broker.env.disk, &broker.data_dir);
    DescribeLogDirsResult::default()
        .with_error_code(NONE)
        .with_log_dir(StrBytes::from_string(dir.display().to_string()))
        .with_topics(topics.collect())
        .with_total_bytes(bytes(disk.total_bytes(dir)))
        .with_usable_bytes(bytes(disk.free_bytes(dir)))
}
