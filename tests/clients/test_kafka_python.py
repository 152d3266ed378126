"""kafka-python, 2.x and 3.x: what its tutorials do."""

import json
import threading
import time

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic, NewPartitions
from kafka.errors import KafkaError, MessageSizeTooLargeError, TopicAlreadyExistsError
from kafka.structs import OffsetAndMetadata

from harness import WAIT_SECONDS, as_json, topic_name, until


def producer(server, **options):
    return KafkaProducer(bootstrap_servers=server.kafka, **options)


def consumer(server, *topics, **options):
    options = {"auto_offset_reset": "earliest", **options}
    return KafkaConsumer(*topics, bootstrap_servers=server.kafka, **options)


def admin(server):
    return KafkaAdminClient(bootstrap_servers=server.kafka)


def create_topic(server, what, partitions=1, **settings):
    name = topic_name(what)
    client = admin(server)
    client.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
    client.close()
    return name


def read(client, count):
    """The next `count` records, in the order in which they come."""
    records = []

    def more():
        for batch in client.poll(timeout_ms=200).values():
            records.extend(batch)
        return len(records) >= count

    until(more, f"{count} records, got {len(records)}")
    return records


def committed(group_id, offset, metadata):
    fields = (offset, metadata) if len(OffsetAndMetadata._fields) == 2 else (offset, metadata, -1)
    return OffsetAndMetadata(*fields)


def test_a_hundred_messages_to_a_new_topic(server):
    topic = topic_name("tutorial")
    client = producer(server)
    for i in range(100):
        key = b"key-%d" % (i % 5) if i % 2 else None
        client.send(topic, key=key, value=b"message %d" % i)
    client.flush()
    client.close()
    reader = consumer(server, topic)
    records = read(reader, 100)
    reader.close()
    assert [r.value for r in records] == [b"message %d" % i for i in range(100)]
    assert [r.offset for r in records] == list(range(100))
    assert records[1].key == b"key-1" and records[2].key is None
    assert abs(records[0].timestamp / 1000 - time.time()) < 60


def test_headers_and_null_values(server):
    topic = topic_name("headers")
    client = producer(server)
    client.send(topic, key=b"k", value=None, headers=[("trace", b"1"), ("empty", b"")]).get(10)
    client.close()
    reader = consumer(server, topic)
    (record,) = read(reader, 1)
    reader.close()
    assert record.value is None and list(record.headers) == [("trace", b"1"), ("empty", b"")]


def test_json_values(server):
    topic = topic_name("json")
    client = producer(server, value_serializer=as_json)
    rows = [{"sensor": f"s{i}", "celsius": 20 + i / 2, "name": "Grünau"} for i in range(20)]
    for row in rows:
        client.send(topic, row)
    client.flush()
    client.close()
    reader = consumer(server, topic, value_deserializer=json.loads)
    assert [r.value for r in read(reader, 20)] == rows
    reader.close()


def test_every_compression(server):
    for codec in (None, "gzip", "snappy", "lz4", "zstd"):
        topic = topic_name("codec")
        client = producer(server, compression_type=codec, linger_ms=20)
        sent = [b"%d " % i * 100 for i in range(50)]
        for value in sent:
            client.send(topic, value)
        client.flush()
        client.close()
        reader = consumer(server, topic)
        assert [r.value for r in read(reader, 50)] == sent, codec
        reader.close()


def test_every_acks(server):
    topic = create_topic(server, "acks")
    # kafka-python 2.3 never puts an acks=0 request on the wire unless another one follows.
    every = (1, "all") if kafka.__version__.startswith("2.") else (0, 1, "all")
    for acks in every:
        client = producer(server, acks=acks, **without_idempotence())
        client.send(topic, b"acks %s" % str(acks).encode())
        client.flush()
        client.close()
    reader = consumer(server, topic)
    sent = [b"acks %s" % str(acks).encode() for acks in every]
    assert [r.value for r in read(reader, len(sent))] == sent
    reader.close()


def without_idempotence():
    has_it = "enable_idempotence" in KafkaProducer.DEFAULT_CONFIG
    return {"enable_idempotence": False} if has_it else {}


def test_idempotent_producer(server):
    topic = topic_name("idempotent")
    client = producer(server, enable_idempotence=True, linger_ms=1)
    futures = [client.send(topic, b"%d" % i) for i in range(500)]
    assert sorted(f.get(20).offset for f in futures) == list(range(500))
    client.close()


class Member(threading.Thread):
    """A consumer of a group in its own thread, as an application has it."""

    def __init__(self, server, topic, group, **options):
        super().__init__(daemon=True)
        options = {"session_timeout_ms": 10000, "heartbeat_interval_ms": 300, **options}
        self.client = consumer(server, topic, group_id=group, **options)
        self.assigned, self.values, self.stopping = set(), [], threading.Event()
        self.start()

    def run(self):
        while not self.stopping.is_set():
            for batch in self.client.poll(timeout_ms=100).values():
                self.values.extend(r.value for r in batch)
            self.assigned = {p.partition for p in self.client.assignment()}
        self.client.close()

    def leave(self):
        self.stopping.set()
        self.join(WAIT_SECONDS)
        assert not self.is_alive(), "a consumer does not close"


def test_two_consumers_share_four_partitions(server):
    topic = create_topic(server, "shared", partitions=4)
    group = topic_name("group")
    one, two = Member(server, topic, group), Member(server, topic, group)
    pause = threading.Event()

    def comes_true(condition, what):
        until(lambda: condition() or pause.wait(0.02), what)

    def shared():
        return len(one.assigned) == 2 and one.assigned | two.assigned == {0, 1, 2, 3}

    comes_true(shared, "two partitions each")
    client = producer(server)

    def send(values):
        for i, value in enumerate(values):
            client.send(topic, value, partition=i % 4)
        client.flush()

    first = [b"%d" % i for i in range(40)]
    send(first)
    comes_true(lambda: len(one.values + two.values) >= 40, "40 records")
    assert sorted(one.values + two.values) == sorted(first), "each record once"
    assert one.values and two.values
    two.leave()
    comes_true(lambda: len(one.assigned) == 4, "all partitions for the one that stays")
    second = [b"%d" % i for i in range(40, 80)]
    send(second)
    client.close()
    comes_true(lambda: set(second) <= set(one.values), "the records after the other one left")
    one.leave()


def test_commit_and_resume(server):
    topic = create_topic(server, "resume")
    group = topic_name("group")
    client = producer(server)
    for i in range(20):
        client.send(topic, b"%d" % i)
    client.flush()
    client.close()
    part = TopicPartition(topic, 0)
    reader = consumer(server, topic, group_id=group, enable_auto_commit=False, max_poll_records=5)
    read(reader, 7)
    reader.commit({part: committed(group, 7, "so far")})
    assert reader.committed(part) == 7
    reader.close()
    reader = consumer(server, topic, group_id=group, enable_auto_commit=False)
    assert read(reader, 13)[0].value == b"7"
    assert reader.committed(part, metadata=True).metadata == "so far"
    reader.close()


def test_auto_commit_on_close(server):
    topic = create_topic(server, "autocommit")
    group = topic_name("group")
    client = producer(server)
    for i in range(10):
        client.send(topic, b"%d" % i)
    client.flush()
    client.close()
    reader = consumer(server, topic, group_id=group)
    assert len(read(reader, 10)) == 10
    reader.close()
    reader = consumer(server, group_id=group)
    assert reader.committed(TopicPartition(topic, 0)) == 10
    reader.close()


def test_seek_by_timestamp(server):
    topic = create_topic(server, "times")
    client = producer(server)
    for i in range(50):
        client.send(topic, b"%d" % i, timestamp_ms=1_700_000_000_000 + i * 1000)
    client.flush()
    client.close()
    part = TopicPartition(topic, 0)
    reader = consumer(server)
    reader.assign([part])
    found = reader.offsets_for_times({part: 1_700_000_029_500})[part]
    assert (found.offset, found.timestamp) == (30, 1_700_000_030_000)
    reader.seek(part, found.offset)
    assert read(reader, 20)[0].value == b"30"
    assert reader.offsets_for_times({part: 1_800_000_000_000})[part] is None
    assert reader.beginning_offsets([part])[part] == 0
    assert reader.end_offsets([part])[part] == 50
    reader.seek_to_beginning(part)
    assert read(reader, 1)[0].value == b"0"
    reader.close()


def test_latest_sees_only_what_comes(server):
    topic = create_topic(server, "latest")
    client = producer(server)
    client.send(topic, b"before").get(10)
    reader = consumer(server, auto_offset_reset="latest")
    part = TopicPartition(topic, 0)
    reader.assign([part])
    assert reader.position(part) == 1
    client.send(topic, b"after").get(10)
    client.close()
    assert [r.value for r in read(reader, 1)] == [b"after"]
    reader.close()


def test_a_waiting_fetch_is_woken(server):
    topic = create_topic(server, "wake")
    reader = consumer(server, topic, fetch_max_wait_ms=15000, request_timeout_ms=40000)
    reader.poll(timeout_ms=500)
    client = producer(server)
    began = time.monotonic()
    client.send(topic, b"now").get(10)
    assert read(reader, 1)[0].value == b"now"
    assert time.monotonic() - began < 5, "the fetch slept to the end of its wait"
    client.close()
    reader.close()


def test_a_message_of_one_megabyte(server):
    topic = topic_name("large")
    value = bytes(range(256)) * 3900
    client = producer(server)
    client.send(topic, value).get(20)
    client.close()
    reader = consumer(server, topic)
    assert read(reader, 1)[0].value == value
    reader.close()


def test_an_oversized_message_is_refused_clearly(server):
    topic = topic_name("oversized")
    client = producer(server, max_request_size=8 << 20)
    try:
        client.send(topic, b"x" * (3 << 20)).get(20)
    except MessageSizeTooLargeError:
        pass
    else:
        raise AssertionError("an oversized message was taken")
    client.close()
    client = producer(server)
    assert client.send(topic, b"small").get(20).offset == 0
    client.close()


def test_internal_topics_are_not_writable(server):
    client = producer(server, max_block_ms=5000)
    try:
        client.send("__consumer_offsets", b"x").get(10)
    except (KafkaError, ValueError):
        pass
    else:
        raise AssertionError("a client wrote to an internal topic")
    client.close()


def test_topics_are_administrated(server):
    client = admin(server)
    name = topic_name("admin")
    client.create_topics([NewTopic(name, 3, 1, topic_configs={"retention.ms": "3600000"})])
    try:
        client.create_topics([NewTopic(name, 3, 1)])
    except TopicAlreadyExistsError:
        pass
    else:
        raise AssertionError("created twice")
    assert name in client.list_topics()
    client.create_partitions({name: NewPartitions(5)})
    (described,) = client.describe_topics([name])
    assert len(described["partitions"]) == 5
    client.delete_topics([name])
    assert name not in client.list_topics()
    client.close()


def test_acknowledged_records_survive_kill(own_server):
    server = own_server
    topic = topic_name("durable")
    client = producer(server, acks="all", linger_ms=1)
    futures = [client.send(topic, b"%d" % i) for i in range(500)]
    offsets = {i: f.get(20).offset for i, f in enumerate(futures)}
    group = topic_name("group")
    reader = consumer(server, topic, group_id=group, enable_auto_commit=False)
    read(reader, 500)
    reader.commit({TopicPartition(topic, 0): committed(group, 123, "")})
    server.kill()
    server.start()
    reader.close(autocommit=False)
    reader = consumer(server, topic)
    records = read(reader, 500)
    reader.close()
    assert {int(r.value): r.offset for r in records} == offsets
    reader = consumer(server, group_id=group)
    assert reader.committed(TopicPartition(topic, 0)) == 123
    reader.close()
    client.close(timeout=1)
