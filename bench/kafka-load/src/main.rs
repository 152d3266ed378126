//! Load on a Kafka broker with librdkafka, one JSON line of what it measured.
//!
//! ```text
//! kafka-load produce BOOTSTRAP TOPIC [--records N] [--size B] [--producers P] [--partitions K]
//!                                    [--acks all|1|0] [--codec none|lz4|gzip|snappy] [--rate R]
//! kafka-load consume BOOTSTRAP TOPIC [--records N] [--consumers C] [--partitions K]
//! kafka-load tail    BOOTSTRAP TOPIC [--records N] [--size B] [--acks A] [--rate R]
//! ```
//!
//! `produce` reports records and bytes a second and the time from `send` to the delivery report.
//! With `--rate` (records a second, all producers together) it is the broker's latency; without,
//! records queue in the client and the latency is that of the queue. `tail` has one producer and one
//! consumer that waits: from `send` to the delivery report and to the consumer. Times in milliseconds.

mod arguments;
mod client;
mod percentiles;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arguments::Arguments;
use client::{consumer, pace, payload, producer, send};
use percentiles::Latencies;
use rdkafka::Message;
use rdkafka::producer::Producer;

fn main() {
    let arguments = Arguments::from_environment();
    let line = match arguments.command.as_str() {
        "produce" => produce(&arguments),
        "consume" => consume(&arguments),
        "tail" => tail(&arguments),
        other => panic!("no such command: {other}"),
    };
    println!("{line}");
}

fn throughput(arguments: &Arguments, took: Duration, bytes: usize) -> String {
    let seconds = took.as_secs_f64();
    format!(
        "\"records\":{},\"seconds\":{seconds:.3},\"records_s\":{:.0},\"mb_s\":{:.1}",
        arguments.records,
        arguments.records as f64 / seconds,
        bytes as f64 / seconds / 1e6
    )
}

fn produce(arguments: &Arguments) -> String {
    let started = Instant::now();
    let each = arguments.records / arguments.producers;
    let threads: Vec<_> = (0..arguments.producers)
        .map(|number| {
            let arguments = arguments.clone();
            thread::spawn(move || {
                let producer = producer(&arguments, started);
                let mut payload = payload(arguments.size);
                let rate = arguments.rate / arguments.producers as f64;
                let from = Instant::now();
                for record in 0..each {
                    pace(&producer, from, record, rate);
                    let partition = (record + number) % arguments.partitions;
                    send(&producer, &arguments, partition, &mut payload, started);
                }
                producer.flush(Duration::from_secs(120)).expect("every record is delivered");
                producer.context().taken()
            })
        })
        .collect();
    let mut latencies = Latencies::default();
    for thread in threads {
        latencies.merge(thread.join().expect("a producer's thread"));
    }
    assert_eq!(latencies.len(), each * arguments.producers, "records were refused");
    let took = started.elapsed();
    let bytes = arguments.records * arguments.size;
    format!("{{{},\"acked_ms\":{}}}", throughput(arguments, took, bytes), latencies.report())
}

fn consume(arguments: &Arguments) -> String {
    let left = Arc::new(AtomicUsize::new(0));
    let bytes = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let threads: Vec<_> = (0..arguments.consumers)
        .map(|number| {
            let (arguments, left, bytes) = (arguments.clone(), left.clone(), bytes.clone());
            thread::spawn(move || {
                let consumer = consumer(&arguments, number);
                while left.load(Ordering::Relaxed) < arguments.records {
                    // Counted a hundred at a time, so that the counter costs nothing.
                    let (mut got, mut size) = (0, 0);
                    while got < 100 {
                        let Some(message) = consumer.poll(Duration::from_millis(20)) else { break };
                        let message = message.expect("a record");
                        size += message.payload().map_or(0, <[u8]>::len);
                        got += 1;
                    }
                    left.fetch_add(got, Ordering::Relaxed);
                    bytes.fetch_add(size, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("a consumer's thread");
    }
    let took = started.elapsed();
    format!("{{{}}}", throughput(arguments, took, bytes.load(Ordering::Relaxed)))
}

fn tail(arguments: &Arguments) -> String {
    let started = Instant::now();
    let reader = {
        let arguments = arguments.clone();
        thread::spawn(move || {
            let consumer = consumer(&arguments, 0);
            let mut seen = Latencies::default();
            while seen.len() < arguments.records {
                let message = consumer.poll(Duration::from_secs(30)).expect("a record within 30 s");
                let message = message.expect("a record");
                let stamp = message.payload().and_then(|payload| payload.first_chunk::<8>());
                let sent = u64::from_le_bytes(*stamp.expect("its time"));
                seen.push(started.elapsed() - Duration::from_nanos(sent));
            }
            seen
        })
    };
    let producer = producer(arguments, started);
    let mut payload = payload(arguments.size);
    let from = Instant::now();
    for record in 0..arguments.records {
        pace(&producer, from, record, arguments.rate);
        send(&producer, arguments, record % arguments.partitions, &mut payload, started);
    }
    producer.flush(Duration::from_secs(120)).expect("every record is delivered");
    let acked = producer.context().taken();
    let seen = reader.join().expect("the consumer's thread");
    format!("{{\"acked_ms\":{},\"seen_ms\":{}}}", acked.report(), seen.report())
}
