"""Produce and consume with librdkafka against Thalweg and, beside it, Apache Kafka, in one run.

    python bench/brokers.py THALWEG_BINARY [KAFKA_LIBS]      (confluent-kafka; Java for Kafka)

KAFKA_LIBS is a folder with the jars of org.apache.kafka:kafka_2.13 and what it depends on
(`mvn dependency:copy-dependencies`). Servers take turns; each gets an empty directory. RECORDS, SIZE,
PARTITIONS, ACKS and RUNS in the environment change the load. Prints medians.
"""
import os
import statistics
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import servers

RECORDS = int(os.environ.get("RECORDS", 2_000_000))
SIZE = int(os.environ.get("SIZE", 200))
PARTITIONS = int(os.environ.get("PARTITIONS", 1))
ACKS = os.environ.get("ACKS", "all")
RUNS = int(os.environ.get("RUNS", 5))
LATENCY = int(os.environ.get("LATENCY", 2000))


def produce(boot):
    payload = os.urandom(SIZE)
    failed = 0

    def done(error, _):
        nonlocal failed
        failed += error is not None

    producer = Producer({
        "bootstrap.servers": boot, "acks": ACKS, "linger.ms": 5, "batch.size": 1_000_000,
        "queue.buffering.max.messages": 500_000, "queue.buffering.max.kbytes": 262_144,
    })
    start = time.time()
    for number in range(RECORDS):
        while True:
            try:
                producer.produce("bench", payload, partition=number % PARTITIONS, on_delivery=done)
                break
            except BufferError:
                producer.poll(0.05)
        if number % 64 == 0:
            producer.poll(0)
    producer.flush(120)
    assert failed == 0, f"{failed} records failed"
    return RECORDS / (time.time() - start)


def consume(boot):
    consumer = Consumer({
        "bootstrap.servers": boot, "group.id": "bench", "enable.auto.commit": False,
        "fetch.message.max.bytes": 4_000_000, "queued.max.messages.kbytes": 262_144,
        # Of a broker faster than the client, librdkafka would measure this wait (1 s by default).
        "fetch.queue.backoff.ms": 1,
    })
    consumer.assign([TopicPartition("bench", number, 0) for number in range(PARTITIONS)])
    start, got = time.time(), 0
    while got < RECORDS:
        batch = consumer.consume(10_000, 10.0)
        assert batch, f"only {got} of {RECORDS} records came"
        assert not any(message.error() for message in batch)
        got += len(batch)
    rate = RECORDS / (time.time() - start)
    consumer.close()
    return rate


def latency(boot):
    """One record in flight: until it is acknowledged, and until a waiting consumer has it."""
    producer = Producer({"bootstrap.servers": boot, "linger.ms": 0, "acks": ACKS})
    consumer = Consumer({"bootstrap.servers": boot, "group.id": "latency", "fetch.wait.max.ms": 500,
                         "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.assign([TopicPartition("latency", 0, 0)])
    acked, seen = [], []
    for _ in range(LATENCY):
        start = time.perf_counter()
        producer.produce("latency", b"x" * SIZE, partition=0)
        producer.flush(10)
        acked.append((time.perf_counter() - start) * 1e3)
        assert consumer.poll(10) is not None
        seen.append((time.perf_counter() - start) * 1e3)
    consumer.close()
    cut = LATENCY // 20
    return sorted(acked[cut:]), sorted(seen[cut:])


def one_run(command, port):
    boot = f"127.0.0.1:{port}"
    with servers.running(command, port) as (server, ready):
        pid = server.pid
        result = {"ready ms": ready, "idle MB": servers.used(pid)[1]}
        admin = AdminClient({"bootstrap.servers": boot})
        for topic, parts in (("bench", PARTITIONS), ("latency", 1)):
            admin.create_topics([NewTopic(topic, parts, 1)])[topic].result(20)
        before = servers.used(pid)[0]
        result["produce records/s"] = produce(boot)
        middle = servers.used(pid)[0]
        result["consume records/s"] = consume(boot)
        after = servers.used(pid)[0]
        acked, seen = latency(boot)
        return result | {
            "produce MB/s": result["produce records/s"] * SIZE / 1e6,
            "consume MB/s": result["consume records/s"] * SIZE / 1e6,
            "server cpu s produce": middle - before, "server cpu s consume": after - middle,
            "ack p50 ms": acked[len(acked) // 2], "ack p99 ms": acked[len(acked) * 99 // 100],
            "seen p50 ms": seen[len(seen) // 2], "seen p99 ms": seen[len(seen) * 99 // 100],
            "MB after": servers.used(pid)[1],
        }


results = {name: [] for name in servers.chosen()}
for run in range(RUNS):
    for place, (name, command) in enumerate(servers.chosen().items()):
        results[name].append(one_run(command, 29000 + 100 * run + 10 * place))
        print(f"run {run + 1} of {RUNS}: {name} done", file=sys.stderr, flush=True)
print(f"{RECORDS} records of {SIZE} bytes, {PARTITIONS} partitions, acks={ACKS}, {RUNS} runs, medians")
for what in results["thalweg"][0]:
    medians = [statistics.median(run[what] for run in runs) for runs in results.values()]
    ratio = f"   ratio {medians[0] / medians[1]:.2f}" if len(medians) > 1 and medians[1] else ""
    print(f"{what:22}" + "".join(f"{name} {median:12.1f}  " if median >= 10 else f"{name} {median:12.2f}  " for name, median in zip(results, medians)) + ratio)
