//! librdkafka's producer and consumer as the measurements use them.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};

use crate::arguments::Arguments;
use crate::percentiles::Latencies;

/// Takes the time of every delivery report; the record's opaque is when it was sent.
pub struct Reports {
    started: Instant,
    latencies: Mutex<Latencies>,
}

impl Reports {
    pub fn taken(&self) -> Latencies {
        std::mem::take(&mut *self.latencies.lock().expect("one thread only"))
    }
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, report: &DeliveryResult<'_>, sent: usize) {
        if report.is_ok() {
            let took = self.started.elapsed() - Duration::from_nanos(sent as u64);
            self.latencies.lock().expect("one thread only").push(took);
        }
    }
}

/// A producer as kafka-producer-perf-test has it: batches of 1 MB, 5 ms of linger, none with a rate.
pub fn producer(arguments: &Arguments, started: Instant) -> BaseProducer<Reports> {
    ClientConfig::new()
        .set("bootstrap.servers", &arguments.bootstrap)
        .set("acks", &arguments.acks)
        .set("compression.type", &arguments.codec)
        .set("linger.ms", if arguments.rate > 0.0 { "0" } else { "5" })
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "500000")
        .set("queue.buffering.max.kbytes", "262144")
        .create_with_context(Reports { started, latencies: Mutex::default() })
        .expect("a producer")
}

/// Reads the partitions of which the remainder by the number of consumers is `number`.
///
/// Where a consumer's queue is full, librdkafka waits a second before it fetches again, which
/// would measure that second with a broker that is faster than the client: it waits 1 ms here.
pub fn consumer(arguments: &Arguments, number: usize) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &arguments.bootstrap)
        .set("group.id", "kafka-load")
        .set("enable.auto.commit", "false")
        .set("fetch.message.max.bytes", "4000000")
        .set("fetch.queue.backoff.ms", "1")
        .set("queued.max.messages.kbytes", "262144")
        .create()
        .expect("a consumer");
    let mut partitions = TopicPartitionList::new();
    for partition in (0..arguments.partitions).filter(|p| p % arguments.consumers == number) {
        partitions
            .add_partition_offset(&arguments.topic, partition as i32, Offset::Beginning)
            .expect("a partition");
    }
    consumer.assign(&partitions).expect("the assignment");
    consumer
}

/// Bytes that do not compress to nothing: half of them repeat, as in records of people.
pub fn payload(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..size)
        .map(|place| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if place % 2 == 0 { b'a' } else { state as u8 }
        })
        .collect()
}

/// Waits until it is this record's turn, serving delivery reports meanwhile.
pub fn pace(producer: &BaseProducer<Reports>, from: Instant, record: usize, rate: f64) {
    if rate <= 0.0 {
        if record % 64 == 0 {
            producer.poll(Duration::ZERO);
        }
        return;
    }
    let due = Duration::from_secs_f64(record as f64 / rate);
    loop {
        let left = due.saturating_sub(from.elapsed());
        producer.poll(left.min(Duration::from_millis(1)));
        if left.is_zero() {
            return;
        }
    }
}

/// Sends one record that carries its time in its first eight bytes.
pub fn send(
    producer: &BaseProducer<Reports>,
    arguments: &Arguments,
    partition: usize,
    payload: &mut [u8],
    started: Instant,
) {
    let now = started.elapsed().as_nanos() as u64;
    payload[..8].copy_from_slice(&now.to_le_bytes());
    let mut record: BaseRecord<'_, (), [u8], usize> =
        BaseRecord::with_opaque_to(&arguments.topic, now as usize)
            .partition(partition as i32)
            .payload(payload);
    loop {
        match producer.send(record) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(Duration::from_millis(50));
                record = back;
            }
            Err((error, _)) => panic!("a record cannot be sent: {error}"),
        }
    }
}
