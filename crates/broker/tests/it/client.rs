//! A client that says exactly what a test wants said.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, MetadataRequest, RequestHeader, ResponseHeader,
};
use kafka_protocol::messages::{ProduceResponse, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use thalweg_broker::{Broker, BrokerHandle, BrokerOptions};
use thalweg_core::env::{Env, bind_listener};
use thalweg_core::partition_log::LogStore;
use thalweg_core::record_batch::{BatchBuilder, Compression, NewRecord};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Options with a free port.
pub(crate) fn options() -> BrokerOptions {
    let any = "127.0.0.1:0".parse().expect("address");
    BrokerOptions::new(bind_listener("Kafka", "--kafka", any, false).expect("a free port"))
}

/// Starts a broker on a log.
pub(crate) fn start(log: Arc<dyn LogStore>, options: BrokerOptions) -> BrokerHandle {
    Broker::start(Env::real(), log, options).expect("a broker")
}

/// A connection.
pub(crate) struct Client {
    socket: TcpStream,
    correlation_id: i32,
    id: StrBytes,
}

impl Client {
    pub(crate) async fn connect(broker: &BrokerHandle) -> Self {
        let socket = TcpStream::connect(broker.local_addr()).await.expect("connect");
        Self { socket, correlation_id: 0, id: text("test") }
    }

    /// The same, under another client id.
    pub(crate) fn named(self, id: &str) -> Self {
        Self { id: text(id), ..self }
    }

    /// Sends a request without waiting for its answer.
    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(self.id.clone()));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, R::header_version(version)).expect("header");
        request.encode(&mut frame, version).expect("request");
        self.send_frame(&frame).await;
    }

    /// Sends bytes as a frame.
    pub(crate) async fn send_frame(&mut self, frame: &[u8]) {
        let mut out = BytesMut::new();
        out.put_i32(frame.len() as i32);
        out.put_slice(frame);
        self.send_raw(&out).await;
    }

    /// Sends a header and some of the `length` bytes of a body.
    pub(crate) async fn begin_frame(&mut self, key: i16, version: i16, length: usize, body: &[u8]) {
        let header = RequestHeader::default()
            .with_request_api_key(key)
            .with_request_api_version(version)
            .with_client_id(Some(self.id.clone()));
        let mut start = BytesMut::new();
        header.encode(&mut start, if key == 0 { 2 } else { 1 }).expect("header");
        let mut out = BytesMut::new();
        out.put_i32((start.len() + length) as i32);
        out.put_slice(&start);
        out.put_slice(body);
        self.send_raw(&out).await;
    }

    /// Sends bytes as they are.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes).await;
    }

    /// The next frame, or `None` where the broker closed.
    pub(crate) async fn receive_frame(&mut self) -> Option<Bytes> {
        let length = self.socket.read_i32().await.ok()?;
        let mut frame = vec![0; length as usize];
        self.socket.read_exact(&mut frame).await.ok()?;
        Some(frame.into())
    }

    /// The next answer and its correlation id. All bytes of it must make sense.
    pub(crate) async fn receive<R: Request>(&mut self, version: i16) -> (i32, R::Response) {
        let mut frame = self.receive_frame().await.expect("an answer, not the end");
        let header_version = R::Response::header_version(version);
        let header = ResponseHeader::decode(&mut frame, header_version).expect("header");
        let response = R::Response::decode(&mut frame, version).expect("response");
        assert_eq!(frame.remaining(), 0, "bytes after the response");
        (header.correlation_id, response)
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request).await;
        let (correlation_id, response) = self.receive::<R>(version).await;
        assert_eq!(correlation_id, self.correlation_id);
        response
    }

    /// Whether the broker has closed, or does now.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.receive_frame().await.is_none()
    }

    /// Whether the broker still answers.
    pub(crate) async fn answers(&mut self) -> bool {
        self.call(0, &ApiVersionsRequest::default()).await.error_code == 0
    }

    /// Has a topic created by asking for it.
    pub(crate) async fn create(&mut self, topic: &str) {
        let named = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![named]));
        let answer = self.call(1, &request).await;
        assert_eq!(answer.topics[0].error_code, 0);
    }

    /// Produces one batch to partition 0 and waits.
    pub(crate) async fn produce(&mut self, topic: &str, values: &[&str]) -> ProduceResponse {
        self.call(9, &produce(topic, batch(values), -1)).await
    }
}

pub(crate) fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A produce request to partition 0.
pub(crate) fn produce(topic: &str, records: Bytes, acks: i16) -> ProduceRequest {
    let data = PartitionProduceData::default().with_records(Some(records));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

/// A batch of values with timestamps 1000, 1001...
pub(crate) fn batch(values: &[&str]) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    for (at, value) in values.iter().enumerate() {
        let value = Some(value.as_bytes());
        let timestamp = 1_000 + at as i64;
        batch.push(&NewRecord { timestamp, value, ..NewRecord::default() }).expect("room");
    }
    batch.build().expect("a batch")
}
