//! What the broker has before an input comes: topics, members of both kinds of group, a
//! producer with a transaction; and what it calls them.

use std::sync::OnceLock;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    CreateTopicsRequest, GroupId, InitProducerIdRequest, JoinGroupRequest, JoinGroupResponse,
    ProduceRequest, RequestHeader, ResponseHeader, SyncGroupRequest, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Decodable, Encodable, Request, StrBytes};
use thalweg_core::record_batch::{BatchBuilder, Compression, NewRecord};

use super::world::{Disk, World};

/// What the broker called what it has. The same each time, as the environment is.
#[derive(Debug)]
pub(super) struct Names {
    /// The member of the classic group.
    pub(super) member: String,
    /// Ids of topics.
    pub(super) topics: Vec<[u8; 16]>,
}

/// A world with something in it.
pub(super) fn furnished() -> World {
    furnish().0
}

/// What is in it.
pub(super) fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| furnish().1)
}

fn furnish() -> (World, Names) {
    let disk = Disk::new();
    let state = disk.open_state().expect("a new broker");
    let world = World::new(disk, state);
    call(&world, 5, &topics());
    for topic in ["plain", "compacted"] {
        call(&world, 9, &produce(topic));
    }
    let joined: JoinGroupResponse = call(&world, 5, &join());
    let member = joined.member_id.to_string();
    call(&world, 3, &sync(&member));
    call(&world, 1, &heartbeat());
    let init = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(text("tx"))))
        .with_transaction_timeout_ms(60_000);
    assert_eq!(call(&world, 4, &init).error_code, 0);
    let log = &world.broker.log;
    let id = |topic: &str| log.topic(topic).map(|meta| meta.id.0.to_be_bytes());
    let topics = ["plain", "compacted"].into_iter().filter_map(id).collect();
    (world, Names { member, topics })
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Sends a request and gives what is answered.
fn call<R: Request>(world: &World, version: i16, request: &R) -> R::Response {
    let heard = world.converse(&frame(version, request));
    let mut answer = Bytes::from(heard.bytes);
    assert!(answer.len() > 4, "no answer to {}", R::KEY);
    answer.advance(4);
    let header = <R::Response as kafka_protocol::protocol::HeaderVersion>::header_version(version);
    ResponseHeader::decode(&mut answer, header).expect("a header");
    R::Response::decode(&mut answer, version).expect("an answer")
}

/// A request as it goes over the wire.
pub(super) fn frame<R: Request>(version: i16, request: &R) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_client_id(Some(text("client")));
    let mut body = BytesMut::new();
    let of_header = <R as kafka_protocol::protocol::HeaderVersion>::header_version(version);
    header.encode(&mut body, of_header).expect("a header");
    request.encode(&mut body, version).expect("a request");
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}

fn topics() -> CreateTopicsRequest {
    let topic = |name: &str, policy: &str| {
        let policy = CreatableTopicConfig::default()
            .with_name(text("cleanup.policy"))
            .with_value(Some(text(policy)));
        CreatableTopic::default()
            .with_name(TopicName(text(name)))
            .with_num_partitions(3)
            .with_replication_factor(1)
            .with_configs(vec![policy])
    };
    let topics = vec![topic("plain", "delete"), topic("compacted", "compact")];
    CreateTopicsRequest::default().with_topics(topics)
}

/// A batch that both topics take.
pub(super) fn batch(codec: Compression) -> Bytes {
    let mut batch = BatchBuilder::new(codec);
    for value in [&b"one"[..], b"two"] {
        let record = NewRecord { timestamp: 1, key: Some(b"k"), value: Some(value), headers: &[] };
        batch.push(&record).expect("room");
    }
    batch.build().expect("a batch")
}

/// Asks for a batch to be written.
pub(super) fn produce(topic: &str) -> ProduceRequest {
    let data = PartitionProduceData::default().with_records(Some(batch(Compression::None)));
    let topic = TopicProduceData::default()
        .with_name(TopicName(text(topic)))
        .with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(1_000).with_topic_data(vec![topic])
}

/// What consumers say of themselves: version 1, the topic, no user data, nothing owned.
pub(super) fn subscription() -> Bytes {
    let topic = [&[0, 5][..], b"plain"].concat();
    let rest = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    [&[0, 1, 0, 0, 0, 1][..], &topic, &rest].concat().into()
}

/// What a leader gives: version 0, partition 0 of the topic, no user data.
pub(super) fn assignment() -> Bytes {
    let topic = [&[0, 5][..], b"plain", &[0, 0, 0, 1, 0, 0, 0, 0]].concat();
    [&[0, 0, 0, 0, 0, 1][..], &topic, &[0xff; 4]].concat().into()
}

fn join() -> JoinGroupRequest {
    let protocol =
        JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(subscription());
    JoinGroupRequest::default()
        .with_group_id(GroupId(text("classic")))
        .with_group_instance_id(Some(text("instance")))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

fn sync(member: &str) -> SyncGroupRequest {
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(text(member))
        .with_assignment(assignment());
    SyncGroupRequest::default()
        .with_group_id(GroupId(text("classic")))
        .with_generation_id(1)
        .with_member_id(text(member))
        .with_group_instance_id(Some(text("instance")))
        .with_assignments(vec![assignment])
}

fn heartbeat() -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text("consumers")))
        .with_member_id(text("m"))
        .with_rebalance_timeout_ms(10_000)
        .with_subscribed_topic_names(Some(vec![TopicName(text("plain"))]))
        .with_topic_partitions(Some(Vec::new()))
}
