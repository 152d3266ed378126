//! The APIs of the broker: one visible table of key, name, versions and handler.
//!
//! Ranges follow what stock clients look for; where the smallest advertised version is
//! below the smallest served one, the row says why.

use std::pin::Pin;

use bytes::Bytes;

use crate::guard::{self, Schema};
use crate::handlers as h;
use crate::request::{Answer, RequestContext, RequestError, decode};

/// Key of Produce, whose frames may be large.
pub(crate) const PRODUCE: i16 = 0;
/// Key of ApiVersions, which is answered in any version.
pub(crate) const API_VERSIONS: i16 = 18;

/// A handler at work, up to where the next request may be started.
pub(crate) type Starting = Pin<Box<dyn Future<Output = Result<Answer, RequestError>> + Send>>;

/// An API and how it is served.
pub(crate) struct Api {
    pub(crate) key: i16,
    pub(crate) name: &'static str,
    /// Smallest version that clients are told.
    pub(crate) min_version: i16,
    /// Largest version.
    pub(crate) max_version: i16,
    /// Smallest version that is served.
    pub(crate) served_since: i16,
    /// Decodes a request that passed the guard, and handles it.
    pub(crate) start: fn(RequestContext, Bytes) -> Starting,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Api {
    /// Whether requests of this version are served.
    pub(crate) fn serves(&self, version: i16) -> bool {
        (self.served_since..=self.max_version).contains(&version)
    }

    /// Whether this version has compact lengths and tagged fields.
    pub(crate) fn is_flexible(&self, version: i16) -> bool {
        guard::schema_of(self.key).is_some_and(|schema| version >= schema.flexible_since)
    }

    /// The shape of its requests. Each row has one; a test sees to it.
    pub(crate) fn schema(&self) -> Result<&'static Schema, RequestError> {
        guard::schema_of(self.key).ok_or(RequestError::UnknownApi { key: self.key })
    }
}

/// The API of a key.
pub(crate) fn find(key: i16) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key == key)
}

macro_rules! api {
    ($key:literal, $name:literal, $min:literal..=$max:literal, $handler:path) => {
        api!($key, $name, $min..=$max, served from $min, $handler)
    };
    ($key:literal, $name:literal, $min:literal..=$max:literal, served from $served:literal,
     $handler:path) => {
        Api {
            key: $key,
            name: $name,
            min_version: $min,
            max_version: $max,
            served_since: $served,
            start: |context, body| {
                Box::pin(async move {
                    let request = decode(body, context.version())?;
                    $handler(context, request).await
                })
            },
        }
    };
}

/// All APIs, by key.
pub(crate) static APIS: &[Api] = &[
    // librdkafka switches gzip, snappy and lz4 off where versions 0 to 2 are missing
    // from the list (KAFKA-18659), though it never sends them. From version 12 on produce
    // requests add their partitions to a transaction (KIP-890).
    api!(0, "Produce", 0..=12, served from 3, h::produce::handle),
    api!(1, "Fetch", 4..=16, h::fetch::handle),
    // From 10 on kafka-python would take this for a newer broker than it is.
    api!(2, "ListOffsets", 1..=9, h::list_offsets::handle),
    api!(3, "Metadata", 0..=13, h::metadata::handle),
    api!(8, "OffsetCommit", 2..=9, h::offset_commit::handle),
    api!(9, "OffsetFetch", 1..=9, h::offset_fetch::handle),
    api!(10, "FindCoordinator", 0..=6, h::find_coordinator::handle),
    api!(11, "JoinGroup", 0..=9, h::join_group::handle),
    api!(12, "Heartbeat", 0..=4, h::heartbeat::handle),
    api!(13, "LeaveGroup", 0..=5, h::leave_group::handle),
    api!(14, "SyncGroup", 0..=5, h::sync_group::handle),
    api!(15, "DescribeGroups", 0..=6, h::describe_groups::handle),
    api!(16, "ListGroups", 0..=5, h::list_groups::handle),
    api!(18, "ApiVersions", 0..=4, h::api_versions::handle),
    api!(19, "CreateTopics", 2..=7, h::create_topics::handle),
    api!(20, "DeleteTopics", 1..=6, h::delete_topics::handle),
    api!(21, "DeleteRecords", 0..=2, h::delete_records::handle),
    api!(22, "InitProducerId", 0..=5, h::init_producer_id::handle),
    api!(23, "OffsetForLeaderEpoch", 2..=4, h::offset_for_leader_epoch::handle),
    // Versions 4 and 5 are for brokers; some clients send them all the same.
    api!(24, "AddPartitionsToTxn", 0..=5, h::add_partitions_to_txn::handle),
    api!(25, "AddOffsetsToTxn", 0..=4, h::add_offsets_to_txn::handle),
    api!(26, "EndTxn", 0..=5, h::end_txn::handle),
    api!(27, "WriteTxnMarkers", 1..=1, h::write_txn_markers::handle),
    api!(28, "TxnOffsetCommit", 0..=5, h::txn_offset_commit::handle),
    api!(32, "DescribeConfigs", 1..=4, h::describe_configs::handle),
    api!(33, "AlterConfigs", 0..=2, h::alter_configs::handle),
    // From 5 on kafka-python would take this for a newer broker than it is.
    api!(35, "DescribeLogDirs", 1..=4, h::describe_log_dirs::handle),
    api!(37, "CreatePartitions", 0..=3, h::create_partitions::handle),
    api!(42, "DeleteGroups", 0..=2, h::delete_groups::handle),
    api!(43, "ElectLeaders", 0..=2, h::elect_leaders::handle),
    api!(44, "IncrementalAlterConfigs", 0..=1, h::incremental_alter_configs::handle),
    api!(45, "AlterPartitionReassignments", 0..=1, h::alter_partition_reassignments::handle),
    api!(46, "ListPartitionReassignments", 0..=0, h::list_partition_reassignments::handle),
    api!(47, "OffsetDelete", 0..=0, h::offset_delete::handle),
    api!(48, "DescribeClientQuotas", 0..=1, h::describe_client_quotas::handle),
    api!(49, "AlterClientQuotas", 0..=1, h::alter_client_quotas::handle),
    api!(60, "DescribeCluster", 0..=1, h::describe_cluster::handle),
    api!(61, "DescribeProducers", 0..=0, h::describe_producers::handle),
    api!(65, "DescribeTransactions", 0..=0, h::describe_transactions::handle),
    // Version 2 filters by a regular expression.
    api!(66, "ListTransactions", 0..=1, h::list_transactions::handle),
    api!(68, "ConsumerGroupHeartbeat", 0..=1, h::consumer_group_heartbeat::handle),
    api!(69, "ConsumerGroupDescribe", 0..=1, h::consumer_group_describe::handle),
    api!(74, "ListConfigResources", 0..=1, h::list_config_resources::handle),
    api!(75, "DescribeTopicPartitions", 0..=0, h::describe_topic_partitions::handle),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_api_has_a_shape_and_a_sound_range() {
        for api in APIS {
            assert!(api.schema().is_ok(), "{} has no shape", api.name);
            assert!(api.min_version <= api.served_since && api.served_since <= api.max_version);
        }
        assert!(APIS.is_sorted_by_key(|api| api.key));
    }
}
