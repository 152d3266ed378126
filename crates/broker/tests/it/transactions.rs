//! Transactions over sockets, on the embedded log: in both protocols, from version to
//! version, across restarts and past their timeouts.

use std::sync::Arc;

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTransaction;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::produce_request::ProduceRequest;
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::*;
use thalweg_core::partition_log::{Isolation, LogStore};
use thalweg_core::record_batch::RecordBatch;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::client::{Client, batch, name, options, start, text};
use crate::memory_log::MemoryLog;
use crate::transactional::{
    BOTH, Bench, Mode, NONE, PATIENCE, Producer, init, partitions, request,
};

const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_TXN_STATE: i16 = 48;
const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
const CONCURRENT_TRANSACTIONS: i16 = 51;
const PRODUCER_FENCED: i16 = 90;
const TRANSACTION_ABORTABLE: i16 = 120;

#[tokio::test]
async fn what_is_committed_is_seen_and_nothing_else() {
    for mode in BOTH {
        let bench = Bench::new();
        let mut one = Producer::new(&bench.broker, "one", mode).await;
        let mut two = Producer::new(&bench.broker, "two", mode).await;
        one.write(0, "a").await;
        two.write(0, "b").await;
        one.write(1, "c").await;
        assert!(bench.committed(0).await.is_empty(), "both are under way");
        assert_eq!(one.end(true).await, NONE);
        assert_eq!(bench.committed(1).await, ["c"]);
        assert_eq!(bench.committed(0).await, ["a"], "up to what is under way");
        assert_eq!(two.end(false).await, NONE);
        one.write(0, "d").await;
        two.write(1, "e").await;
        assert_eq!(two.end(true).await, NONE);
        assert_eq!(one.end(true).await, NONE);
        assert_eq!(bench.committed(0).await, ["a", "d"]);
        assert_eq!(bench.committed(1).await, ["c", "e"]);
        for partition in [0, 1] {
            let offsets = bench.partition(partition).offsets();
            assert_eq!(offsets.last_stable, offsets.end);
        }
    }
}

#[tokio::test]
async fn a_transaction_goes_on_after_a_restart_and_over_another_connection() {
    for mode in BOTH {
        let bench = Bench::new();
        let mut producer = Producer::new(&bench.broker, "tx", mode).await;
        producer.write(0, "a").await;
        producer.write(1, "b").await;
        let bench = bench.restart().await;
        producer.client = Client::connect(&bench.broker).await;
        assert!(bench.committed(0).await.is_empty());
        producer.write(0, "c").await;
        producer.client = Client::connect(&bench.broker).await;
        assert_eq!(producer.end(true).await, NONE);
        assert_eq!(bench.committed(0).await, ["a", "c"]);
        let bench = bench.restart().await;
        assert_eq!(bench.committed(0).await, ["a", "c"]);
        assert_eq!(bench.committed(1).await, ["b"]);
        producer.client = Client::connect(&bench.broker).await;
        producer.write(0, "d").await;
        assert_eq!(producer.end(false).await, NONE);
        assert_eq!(bench.committed(0).await, ["a", "c"]);
    }
}

#[tokio::test]
async fn the_state_may_be_written_anew_at_any_time() {
    let mut bench = Bench::rewriting(1);
    let mut under_way = Vec::new();
    for round in 0..4 {
        let mut done = Producer::new(&bench.broker, &format!("done-{round}"), BOTH[0]).await;
        done.write(0, "done").await;
        assert_eq!(done.end(true).await, NONE);
        let mut open = Producer::new(&bench.broker, &format!("open-{round}"), BOTH[1]).await;
        open.write(1, "open").await;
        under_way.push(open);
        bench = bench.restart().await;
    }
    assert_eq!(bench.committed(0).await.len(), 4);
    assert!(bench.committed(1).await.is_empty());
    for open in &mut under_way {
        open.client = Client::connect(&bench.broker).await;
        assert_eq!(open.end(true).await, NONE);
    }
    assert_eq!(bench.committed(1).await.len(), 4);
}

/// Without a producer's transaction, or with a partition that is not in it.
#[tokio::test]
async fn records_are_verified_in_every_version() {
    let bench = Bench::new();
    let mut producer = Producer::new(&bench.broker, "tx", Mode::Classic).await;
    producer.write(0, "a").await;
    for version in 3..=11 {
        let code = if version >= 11 { TRANSACTION_ABORTABLE } else { INVALID_TXN_STATE };
        let stray = producer.record(1, "stray");
        let answer = producer.client.call(version, &stray).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, code, "v{version}");
        let mut foreign = producer.record(0, "foreign");
        foreign.transactional_id = Some(TransactionalId(text("other")));
        let answer = producer.client.call(version, &foreign).await;
        let code = answer.responses[0].partition_responses[0].error_code;
        assert_eq!(code, INVALID_PRODUCER_ID_MAPPING, "v{version}");
    }
    assert_eq!(producer.end(true).await, NONE);
    assert_eq!(producer.produce(0, "late").await, TRANSACTION_ABORTABLE);
    assert_eq!(bench.committed(0).await, ["a"]);
    assert!(bench.committed(1).await.is_empty());
    let offsets = bench.partition(1).offsets();
    assert_eq!(offsets.end, 0, "nothing came in");
}

#[tokio::test]
async fn zombies_are_fenced_with_the_code_that_they_know() {
    let bench = Bench::new();
    let mut zombie = Producer::new(&bench.broker, "tx", Mode::Classic).await;
    zombie.write(0, "zombie").await;
    let mut successor = Producer::new(&bench.broker, "tx", Mode::EpochBump).await;
    assert_eq!(successor.id, zombie.id);
    assert!(successor.epoch > zombie.epoch);
    successor.write(0, "successor").await;
    for version in 3..=12 {
        let answer = zombie.client.call(version, &zombie.record(0, "again")).await;
        let code = answer.responses[0].partition_responses[0].error_code;
        assert_eq!(code, INVALID_PRODUCER_EPOCH, "v{version}");
    }
    for version in 0..=5 {
        let fenced = if version >= 2 { PRODUCER_FENCED } else { INVALID_PRODUCER_EPOCH };
        for committed in [true, false] {
            let answer = zombie.client.call(version, &zombie.ending(committed)).await;
            assert_eq!(answer.error_code, fenced, "EndTxn v{version}");
        }
        if version <= 4 {
            let request = AddOffsetsToTxnRequest::default()
                .with_transactional_id(zombie.named())
                .with_producer_id(ProducerId(zombie.id))
                .with_producer_epoch(zombie.epoch)
                .with_group_id(GroupId(text("group")));
            let answer = zombie.client.call(version, &request).await;
            assert_eq!(answer.error_code, fenced, "AddOffsetsToTxn v{version}");
        }
        if version >= 3 {
            let fenced = if version >= 4 { PRODUCER_FENCED } else { INVALID_PRODUCER_EPOCH };
            let request = init("tx", 60_000)
                .with_producer_id(ProducerId(zombie.id))
                .with_producer_epoch(zombie.epoch);
            let answer = zombie.client.call(version, &request).await;
            assert_eq!(answer.error_code, fenced, "InitProducerId v{version}");
        }
    }
    assert_eq!(zombie.add(1).await, PRODUCER_FENCED);
    assert_eq!(successor.end(true).await, NONE);
    assert_eq!(bench.committed(0).await, ["successor"]);
}

#[tokio::test]
async fn a_transaction_that_takes_too_long_is_aborted() {
    for mode in BOTH {
        let bench = Bench::new();
        let mut slow = Producer::with_timeout(&bench.broker, "slow", mode, 50).await;
        slow.write(0, "slow").await;
        let mut quick = Producer::new(&bench.broker, "quick", mode).await;
        quick.write(0, "quick").await;
        assert_eq!(quick.end(true).await, NONE);
        bench.stable(0).await;
        assert_eq!(bench.committed(0).await, ["quick"]);
        assert_eq!(slow.end(true).await, PRODUCER_FENCED);
        // It begins anew.
        let answer = slow.client.call(5, &init("slow", 60_000)).await;
        (slow.id, slow.epoch) = (answer.producer_id.0, answer.producer_epoch);
        slow.sequences = [0; 2];
        slow.write(0, "again").await;
        assert_eq!(slow.end(true).await, NONE);
        assert_eq!(bench.committed(0).await, ["quick", "again"]);
    }
}

#[tokio::test]
async fn a_retried_end_is_known() {
    let bench = Bench::new();
    let mut producer = Producer::new(&bench.broker, "tx", Mode::EpochBump).await;
    producer.write(0, "a").await;
    let first = producer.ending(true);
    let contrary = producer.ending(false);
    assert_eq!(producer.end(true).await, NONE);
    let answer = producer.client.call(5, &first).await;
    let given = (answer.error_code, answer.producer_id.0, answer.producer_epoch);
    assert_eq!(given, (NONE, producer.id, producer.epoch));
    let answer = producer.client.call(5, &contrary).await;
    assert_eq!((answer.error_code, answer.producer_id.0), (INVALID_TXN_STATE, -1));
    producer.write(0, "b").await;
    assert_eq!(producer.client.call(5, &first).await.error_code, PRODUCER_FENCED);
    assert_eq!(producer.end(true).await, NONE);
    assert_eq!(bench.committed(0).await, ["a", "b"]);
}

/// Records of a transaction and its end come over two connections at the same moment, as
/// after a timeout of the client. None may come in behind the marker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_record_comes_in_behind_the_end() {
    for mode in BOTH {
        let bench = Bench::new();
        let mut producer = Producer::new(&bench.broker, "tx", mode).await;
        let mut other = Client::connect(&bench.broker).await;
        for round in 0..100 {
            producer.write(0, "first").await;
            other.send(mode.produce(), &producer.record(0, "late")).await;
            assert_eq!(producer.end(round % 2 == 0).await, NONE);
            let (_, answer) = other.receive::<ProduceRequest>(mode.produce()).await;
            let code = answer.responses[0].partition_responses[0].error_code;
            if mode == Mode::Classic {
                producer.sequences[0] += i32::from(code == NONE);
            }
            let open = bench
                .partition(0)
                .producers()
                .into_iter()
                .find(|(_, known)| known.open_since.is_some());
            assert_eq!(open, None, "round {round}, the late record was answered with {code}");
        }
    }
}

#[tokio::test]
async fn what_is_under_way_can_be_looked_at() {
    let bench = Bench::new();
    let mut producer = Producer::new(&bench.broker, "tx", Mode::Classic).await;
    let mut client = Client::connect(&bench.broker).await;
    producer.write(1, "a").await;
    producer.write(0, "b").await;
    let ids = vec![producer.named(), TransactionalId(text("nobody")), TransactionalId(text(""))];
    let request = DescribeTransactionsRequest::default().with_transactional_ids(ids);
    let answer = client.call(0, &request).await;
    let codes: Vec<_> = answer.transaction_states.iter().map(|state| state.error_code).collect();
    assert_eq!(codes, [NONE, 105, 42]);
    let known = &answer.transaction_states[0];
    assert_eq!(known.transaction_state, text("Ongoing"));
    assert_eq!((known.producer_id.0, known.producer_epoch), (producer.id, producer.epoch));
    assert_eq!(known.transaction_timeout_ms, 60_000);
    assert!(known.transaction_start_time_ms > 1_600_000_000_000);
    assert_eq!(known.topics[0].partitions, [0, 1]);

    let _idle = Producer::new(&bench.broker, "idle", Mode::Classic).await;
    for (states, ids, longer_than, version, expected) in [
        (vec![], vec![], -1, 0, vec!["idle", "tx"]),
        (vec!["Ongoing"], vec![], -1, 0, vec!["tx"]),
        (vec!["Empty", "Nonsense"], vec![], -1, 1, vec!["idle"]),
        (vec!["Dead"], vec![], -1, 1, vec![]),
        (vec![], vec![ProducerId(producer.id)], -1, 1, vec!["tx"]),
        (vec!["Ongoing"], vec![], 3_600_000, 1, vec![]),
    ] {
        let filters: Vec<_> = states.iter().map(|state| text(state)).collect();
        let request = ListTransactionsRequest::default()
            .with_state_filters(filters)
            .with_producer_id_filters(ids)
            .with_duration_filter(longer_than);
        let answer = client.call(version, &request).await;
        let listed = answer.transaction_states.iter();
        let listed: Vec<_> = listed.map(|state| state.transactional_id.to_string()).collect();
        assert_eq!(listed, expected);
        let unknown = usize::from(states.contains(&"Nonsense"));
        assert_eq!(answer.unknown_state_filters.len(), unknown);
    }

    let topic =
        TopicRequest::default().with_name(name("topic")).with_partition_indexes(vec![0, 1, 2]);
    let invalid = TopicRequest::default().with_name(name("a b")).with_partition_indexes(vec![0]);
    let request = DescribeProducersRequest::default().with_topics(vec![topic, invalid]);
    let answer = client.call(0, &request).await;
    let [zero, one, two] = &answer.topics[0].partitions[..] else { panic!("three") };
    assert_eq!((zero.error_code, one.error_code, two.error_code), (NONE, NONE, 3));
    assert_eq!(answer.topics[1].partitions[0].error_code, 17);
    let active = &one.active_producers[0];
    assert_eq!((active.producer_id.0, active.producer_epoch), (producer.id, 0));
    assert_eq!((active.last_sequence, active.current_txn_start_offset), (0, 0));
    assert_eq!(active.coordinator_epoch, -1);
}

/// The way out of a transaction that hangs: a marker whatever the coordinator knows.
#[tokio::test]
async fn an_administrator_ends_what_hangs() {
    let bench = Bench::new();
    let mut producer = Producer::new(&bench.broker, "tx", Mode::Classic).await;
    producer.write(0, "a").await;
    let marker = |id, epoch, numbers: &[i32]| {
        let topic = WritableTxnMarkerTopic::default()
            .with_name(name("topic"))
            .with_partition_indexes(numbers.to_vec());
        WritableTxnMarker::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch)
            .with_coordinator_epoch(9)
            .with_topics(vec![topic])
    };
    let markers = vec![marker(producer.id, producer.epoch, &[0, 7]), marker(-1, 0, &[0])];
    let request = WriteTxnMarkersRequest::default().with_markers(markers);
    let answer = producer.client.call(1, &request).await;
    let codes: Vec<Vec<_>> = answer
        .markers
        .iter()
        .map(|marker| marker.topics[0].partitions.iter().map(|p| p.error_code).collect())
        .collect();
    assert_eq!(codes, [vec![NONE, 3], vec![42]]);
    bench.stable(0).await;
    assert!(bench.committed(0).await.is_empty());
    // The coordinator's own markers are still taken.
    producer.write(0, "b").await;
    assert_eq!(producer.end(true).await, NONE);
    assert_eq!(bench.committed(0).await, ["b"]);
}

#[tokio::test]
async fn brokers_ask_for_several_transactions_at_a_time() {
    let bench = Bench::new();
    let mut producer = Producer::new(&bench.broker, "tx", Mode::Classic).await;
    producer.write(0, "a").await;
    for version in 4..=5 {
        let of = |verify_only, numbers: &[i32]| {
            AddPartitionsToTxnTransaction::default()
                .with_transactional_id(TransactionalId(text("tx")))
                .with_producer_id(ProducerId(producer.id))
                .with_producer_epoch(producer.epoch)
                .with_verify_only(verify_only)
                .with_topics(vec![partitions(numbers)])
        };
        let other = of(true, &[0]).with_transactional_id(TransactionalId(text("other")));
        let request = AddPartitionsToTxnRequest::default().with_transactions(vec![
            of(true, &[0, 1]),
            other,
            of(false, &[0, 9]),
        ]);
        let answer = producer.client.call(version, &request).await;
        assert_eq!(answer.error_code, NONE);
        let codes: Vec<Vec<_>> = answer
            .results_by_transaction
            .iter()
            .map(|result| {
                let partitions = &result.topic_results[0].results_by_partition;
                partitions.iter().map(|result| result.partition_error_code).collect()
            })
            .collect();
        let missing = if version >= 5 { TRANSACTION_ABORTABLE } else { INVALID_TXN_STATE };
        let expected = [vec![NONE, missing], vec![INVALID_PRODUCER_ID_MAPPING], vec![55, 3]];
        assert_eq!(codes, expected, "v{version}");
    }
    // Clients that send these versions are served as well.
    let added = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(TransactionalId(text("tx")))
        .with_producer_id(ProducerId(producer.id))
        .with_topics(vec![partitions(&[1])]);
    let request = AddPartitionsToTxnRequest::default().with_transactions(vec![added]);
    let answer = producer.client.call(4, &request).await;
    let added = &answer.results_by_transaction[0].topic_results[0].results_by_partition[0];
    assert_eq!(added.partition_error_code, NONE);
    assert_eq!(producer.produce(1, "b").await, NONE);
}

/// A marker that cannot be written holds up nothing but its own transaction, and is written
/// later: by the same broker, or by the next one.
#[tokio::test]
async fn an_end_is_carried_out_sooner_or_later() {
    for restarts in [false, true] {
        let log = Arc::new(MemoryLog::default());
        log.create_topic("topic", 1, &[]).expect("a topic");
        let mut broker = start(log.clone(), options());
        let mut producer = Producer::new(&broker, "tx", Mode::EpochBump).await;
        producer.write(0, "a").await;
        let before = log.partition("topic", 0).expect("a partition").offsets().end;
        log.fill_topic(Some("topic"));
        assert_eq!(producer.end(true).await, NONE, "it is decided");
        let mut next = Client::connect(&broker).await;
        let code = next.call(5, &init("tx", 60_000)).await.error_code;
        assert_eq!(code, CONCURRENT_TRANSACTIONS);
        assert_eq!(producer.produce(0, "b").await, CONCURRENT_TRANSACTIONS);
        if restarts {
            broker.shutdown().await;
            broker = start(log.clone(), options());
        }
        let topic = log.partition("topic", 0).expect("a partition");
        let written = Arc::new(Notify::new());
        let waker = written.clone();
        let _watch = topic.watch(Arc::new(move || waker.notify_one()));
        log.fill_topic(None);
        timeout(PATIENCE, written.notified()).await.expect("the marker is written");
        let marker = topic.read(before, 1 << 20, Isolation::ReadUncommitted).expect("a marker");
        let header = *RecordBatch::parse(&marker).expect("a batch").header();
        assert!(header.attributes.is_control());
        assert_eq!((header.producer_id, header.producer_epoch), (producer.id, producer.epoch));
        let mut next = Producer::new(&broker, "tx", Mode::EpochBump).await;
        next.write(0, "c").await;
    }
}

/// What cannot be remembered did not happen.
#[tokio::test]
async fn a_full_disk_refuses_and_harms_nothing() {
    let log = Arc::new(MemoryLog::default());
    log.create_topic("topic", 1, &[]).expect("a topic");
    let broker = start(log.clone(), options());
    let mut producer = Producer::new(&broker, "tx", Mode::EpochBump).await;
    producer.write(0, "a").await;
    log.fill_topic(Some("__transaction_state"));
    assert_eq!(producer.end(true).await, 15, "COORDINATOR_NOT_AVAILABLE, which is retriable");
    log.fill_topic(None);
    assert_eq!(producer.end(true).await, NONE);
    let ends = log.partition("topic", 0).expect("a partition").offsets().end;
    assert_eq!(ends, 2, "a record and one marker");
}

/// Records outside of transactions pass as ever, beside those inside.
#[tokio::test]
async fn records_without_a_transaction_need_none() {
    let bench = Bench::new();
    let mut producer = Producer::new(&bench.broker, "tx", Mode::Classic).await;
    for version in 3..=12 {
        let named = request(0, batch(&["plain"])).with_transactional_id(Some(producer.named()));
        let answer = producer.client.call(version, &named).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, NONE);
    }
    assert_eq!(bench.committed(0).await.len(), 10);
    let mut mixed = producer.record(0, "of one producer");
    let other = Producer::new(&bench.broker, "other", Mode::Classic).await;
    let foreign = other.record(1, "of another").topic_data.remove(0).partition_data.remove(0);
    mixed.topic_data[0].partition_data.push(foreign);
    let answer = producer.client.call(12, &mixed).await;
    for partition in &answer.responses[0].partition_responses {
        assert_eq!(partition.error_code, INVALID_PRODUCER_ID_MAPPING);
    }
}
