//! Produce: order, durability, refusals.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{ApiVersionsRequest, ProduceRequest, TransactionalId};
use thalweg_core::ids::ProducerId;
use thalweg_core::record_batch::{BatchBuilder, Compression, NewRecord};
use tokio::time::timeout;

use crate::client::{Client, batch, options, produce, start, text};
use crate::memory_log::MemoryLog;

const PATIENCE: Duration = Duration::from_millis(100);

async fn bench() -> (Arc<MemoryLog>, thalweg_broker::BrokerHandle, Client) {
    let log = Arc::new(MemoryLog::default());
    let broker = start(log.clone(), options());
    let mut client = Client::connect(&broker).await;
    client.create("topic").await;
    (log, broker, client)
}

fn outcome(answer: &kafka_protocol::messages::ProduceResponse) -> (i16, i64) {
    let partition = &answer.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

#[tokio::test]
async fn nothing_is_acknowledged_before_it_is_durable() {
    let (log, _broker, mut client) = bench().await;
    for acks in [1, -1] {
        log.hold(true);
        client.send(9, &produce("topic", batch(&["a"]), acks)).await;
        let early = timeout(PATIENCE, client.receive_frame()).await;
        assert!(early.is_err(), "acks={acks} answered before the disk");
        log.hold(false);
        let (_, answer) = client.receive::<ProduceRequest>(9).await;
        assert_eq!(outcome(&answer).0, 0);
    }
}

#[tokio::test]
async fn requests_are_pipelined_and_answered_in_order() {
    let (log, _broker, mut client) = bench().await;
    log.hold(true);
    for _ in 0..50 {
        client.send(9, &produce("topic", batch(&["a"]), -1)).await;
    }
    client.send(0, &ApiVersionsRequest::default()).await;
    // All are appended though none is answered: another connection sees their number.
    assert!(timeout(PATIENCE, client.receive_frame()).await.is_err());
    log.hold(false);
    for round in 0..50 {
        let (correlation_id, answer) = client.receive::<ProduceRequest>(9).await;
        assert_eq!(correlation_id, round + 2);
        assert_eq!(outcome(&answer), (0, i64::from(round)));
    }
    assert_eq!(client.receive::<ApiVersionsRequest>(0).await.0, 52);
}

#[tokio::test]
async fn a_request_that_waits_too_long_times_out() {
    let (log, _broker, mut client) = bench().await;
    log.hold(true);
    let request = produce("topic", batch(&["a"]), -1).with_timeout_ms(20);
    assert_eq!(outcome(&client.call(9, &request).await).0, 7);
}

#[tokio::test]
async fn without_acknowledgement_there_is_no_answer() {
    let (_log, _broker, mut client) = bench().await;
    client.send(9, &produce("topic", batch(&["a", "b"]), 0)).await;
    assert!(client.answers().await, "the next answer is to the next request");
    assert_eq!(outcome(&client.produce("topic", &["c"]).await), (0, 2));
    client.send(9, &produce("nowhere", batch(&["a"]), 0)).await;
    assert!(client.is_closed().await, "the only way to say that it failed");
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let (log, _broker, mut client) = bench().await;
    let mut damaged = batch(&["a"]).to_vec();
    *damaged.last_mut().expect("bytes") ^= 1;
    let mut transactional = batch(&["a"]).to_vec();
    transactional[22] |= 0x10;
    let mut control = batch(&["a"]).to_vec();
    control[22] |= 0x20;
    let two = [&batch(&["a"])[..], &batch(&["b"])].concat();
    let large = "x".repeat(2 << 20);
    let good = || produce("topic", batch(&["a"]), -1);
    let tx = Some(TransactionalId(text("tx")));
    for (request, code) in [
        (produce("topic", batch(&["a"]), 2), 21),
        (produce("topic", Bytes::new(), -1), 87),
        (produce("topic", transactional.clone().into(), -1), 53),
        (produce("topic", transactional.into(), -1).with_transactional_id(tx), 49),
        (produce("topic", control.into(), -1), 87),
        (produce("topic", damaged.into(), -1), 2),
        (produce("topic", two.into(), -1), 87),
        (produce("topic", batch(&[&large]), -1), 10),
        (produce("__consumer_offsets", batch(&["a"]), -1), 17),
        (produce("nowhere", batch(&["a"]), -1), 3),
    ] {
        let answer = client.call(9, &request).await;
        assert_eq!(outcome(&answer), (code, -1));
        let message = &answer.responses[0].partition_responses[0].error_message;
        assert!(message.as_ref().is_some_and(|message| !message.is_empty()), "{code}");
    }
    log.fill_disk(true);
    assert_eq!(outcome(&client.call(9, &good()).await), (56, -1), "retriable");
    log.fill_disk(false);
    assert_eq!(outcome(&client.call(9, &good()).await), (0, 0));
}

/// Under a job's id a client could make the job's own output pass as written already.
#[tokio::test]
async fn producer_ids_of_jobs_are_refused() {
    let (_log, _broker, mut client) = bench().await;
    let under = |id: i64| {
        let mut batch = BatchBuilder::new(Compression::None).producer(id, 0, 0);
        batch.push(&NewRecord { value: Some(b"a"), ..NewRecord::default() }).expect("room");
        produce("topic", batch.build().expect("a batch"), -1)
    };
    let first = ProducerId::FIRST_INTERNAL;
    for id in [first, first + 1, 1 << 62, i64::MAX] {
        let answer = client.call(9, &under(id)).await;
        assert_eq!(outcome(&answer), (49, -1), "INVALID_PRODUCER_ID_MAPPING for {id}");
        let message = answer.responses[0].partition_responses[0].error_message.clone();
        assert!(message.expect("a message").contains("InitProducerId"));
    }
    assert_eq!(outcome(&client.call(9, &under(first - 1)).await), (0, 0), "nothing came before");
}
