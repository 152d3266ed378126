"""confluent-kafka (librdkafka): producer, consumer, groups, admin."""

import json
import time

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from harness import topic_name, until


def producer(server, **settings):
    return Producer({"bootstrap.servers": server.kafka} | dotted(settings))


def consumer(server, **settings):
    defaults = {
        "bootstrap.servers": server.kafka,
        "group.id": topic_name("group"),
        "auto.offset.reset": "earliest",
    }
    return Consumer(defaults | dotted(settings))


def dotted(settings):
    return {name.replace("_", "."): value for name, value in settings.items()}


def admin(server):
    return AdminClient({"bootstrap.servers": server.kafka})


def create_topic(server, what, partitions=1, **config):
    name = topic_name(what)
    topic = NewTopic(name, partitions, 1, config=dotted(config))
    # The client must outlive the future: it ends with its last reference.
    client = admin(server)
    client.create_topics([topic])[name].result(20)
    return name


def send(client, topic, values, **where):
    """Sends, flushes, and gives the offsets; raises what delivery reports say."""
    reports = []
    for value in values:
        client.produce(topic, value, on_delivery=lambda e, m: reports.append((e, m)), **where)
        client.poll(0)
    assert client.flush(30) == 0
    for error, _ in reports:
        if error:
            raise KafkaException(error)
    return [message.offset() for _, message in reports]


def read(client, count):
    messages = []

    def more():
        for message in client.consume(count - len(messages), 0.2):
            if message.error():
                raise KafkaException(message.error())
            messages.append(message)
        return len(messages) >= count

    until(more, f"{count} messages")
    return messages


def test_a_hundred_messages_to_a_new_topic(server):
    topic = topic_name("tutorial")
    values = [json.dumps({"n": n}).encode() for n in range(100)]
    assert sorted(send(producer(server), topic, values)) == list(range(100))
    client = consumer(server)
    client.subscribe([topic])
    assert [m.value() for m in read(client, 100)] == values
    client.close()


def test_every_compression_and_idempotence(server):
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        topic = create_topic(server, "codec")
        values = [b"%d " % n * 100 for n in range(300)]
        client = producer(server, compression_type=codec, enable_idempotence=True, linger_ms=5)
        assert send(client, topic, values, partition=0) == list(range(300)), codec
        reader = consumer(server)
        reader.assign([TopicPartition(topic, 0, 0)])
        assert [m.value() for m in read(reader, 300)] == values, codec
        reader.close()


def test_no_acknowledgement(server):
    topic = create_topic(server, "acks0")
    send(producer(server, acks=0), topic, [b"1", b"2"])
    reader = consumer(server)
    reader.assign([TopicPartition(topic, 0, 0)])
    assert [m.value() for m in read(reader, 2)] == [b"1", b"2"]
    reader.close()


def test_many_requests_in_flight_keep_their_order(server):
    topic = create_topic(server, "pipeline")
    settings = {"linger_ms": 0, "batch_num_messages": 3, "max_in_flight": 100}
    client = producer(server, **settings)
    values = [b"%d" % n for n in range(3000)]
    assert send(client, topic, values, partition=0) == list(range(3000))
    reader = consumer(server)
    reader.assign([TopicPartition(topic, 0, 0)])
    assert [m.value() for m in read(reader, 3000)] == values
    reader.close()


def test_large_messages(server):
    topic = create_topic(server, "large")
    client = producer(server, message_max_bytes=8_000_000)
    send(client, topic, [b"x" * 1_000_000])
    try:
        send(client, topic, [b"x" * 3_000_000])
    except KafkaException as error:
        assert error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE, error
    else:
        raise AssertionError("an oversized message was taken")
    reader = consumer(server)
    reader.assign([TopicPartition(topic, 0, 0)])
    assert len(read(reader, 1)[0].value()) == 1_000_000
    reader.close()


def test_offsets_for_times_and_watermarks(server):
    topic = create_topic(server, "times")
    client = producer(server)
    for n in range(50):
        client.produce(topic, b"%d" % n, partition=0, timestamp=1_700_000_000_000 + n * 1000)
    assert client.flush(30) == 0
    reader = consumer(server)
    asked = [TopicPartition(topic, 0, 1_700_000_029_500)]
    assert reader.offsets_for_times(asked, 10)[0].offset == 30
    assert reader.get_watermark_offsets(TopicPartition(topic, 0), 10) == (0, 50)
    spec = {TopicPartition(topic, 0): OffsetSpec.max_timestamp()}
    client = admin(server)
    (future,) = client.list_offsets(spec).values()
    assert (future.result(20).offset, future.result(20).timestamp) == (49, 1_700_000_049_000)
    reader.close()


def assigned(client):
    return {p.partition for p in client.assignment()}


def share(server, strategy):
    topic = create_topic(server, "shared", partitions=4)
    options = {
        "group_id": topic_name("group"),
        "partition_assignment_strategy": strategy,
        "session_timeout_ms": 10000,
        "heartbeat_interval_ms": 200,
    }
    one, two = consumer(server, **options), consumer(server, **options)
    one.subscribe([topic])
    two.subscribe([topic])
    seen = []

    def poll(*clients):
        for client in clients:
            for message in client.consume(100, 0.1):
                assert not message.error(), message.error()
                seen.append(message.value())

    def shared():
        poll(one, two)
        return len(assigned(one)) == 2 and len(assigned(two)) == 2

    until(shared, "two partitions each")
    assert assigned(one) | assigned(two) == {0, 1, 2, 3}
    writer = producer(server)
    values = [b"%d" % n for n in range(40)]
    for n, value in enumerate(values):
        writer.produce(topic, value, partition=n % 4)
    assert writer.flush(30) == 0

    def all_of_them():
        poll(one, two)
        return sorted(seen) == sorted(values)

    until(all_of_them, "each message once")
    two.close()

    def alone():
        poll(one)
        return len(assigned(one)) == 4

    until(alone, "all partitions for the one that stays")
    one.close()


def test_two_consumers_share_four_partitions(server):
    share(server, "range")


def test_cooperative_consumers_share_four_partitions(server):
    share(server, "cooperative-sticky")


def test_a_static_member_comes_back_without_a_rebalance(server):
    topic = create_topic(server, "static", partitions=2)
    group = topic_name("group")
    options = {"group_id": group, "group_instance_id": "me", "session_timeout_ms": 30000}

    administrator = admin(server)

    def generation():
        found = administrator.describe_consumer_groups([group])[group].result(20)
        return found.state, [m.group_instance_id for m in found.members]

    def joined(client):
        client.consume(1, 0.1)
        return len(assigned(client)) == 2

    client = consumer(server, **options)
    client.subscribe([topic])
    until(lambda: joined(client), "an assignment")
    client.close()  # A static member does not leave.
    assert generation() == (ConsumerGroupState.STABLE, ["me"])
    client = consumer(server, **options)
    client.subscribe([topic])
    began = time.monotonic()
    until(lambda: joined(client), "the assignment again")
    assert time.monotonic() - began < 20
    client.close()


def test_commit_resume_and_metadata(server):
    topic = create_topic(server, "resume")
    group = topic_name("group")
    send(producer(server), topic, [b"%d" % n for n in range(10)])
    client = consumer(server, group_id=group, enable_auto_commit=False)
    client.subscribe([topic])
    read(client, 4)
    client.commit(offsets=[TopicPartition(topic, 0, 4, "four")], asynchronous=False)
    client.close()
    client = consumer(server, group_id=group, enable_auto_commit=False)
    client.subscribe([topic])
    assert read(client, 6)[0].value() == b"4"
    (found,) = client.committed([TopicPartition(topic, 0)], 10)
    assert (found.offset, found.metadata) == (4, "four")
    client.close()


def test_topics_are_administrated(server):
    client = admin(server)
    name = create_topic(server, "admin", partitions=2, retention_ms="3600000")
    again = client.create_topics([NewTopic(name, 2, 1)])[name]
    assert again.exception(20).args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    wrong = client.create_topics([NewTopic(topic_name("wrong"), 1, 3)])
    assert list(wrong.values())[0].exception(20).args[0].code() == (
        KafkaError.INVALID_REPLICATION_FACTOR
    )
    resource = ConfigResource(ResourceType.TOPIC, name)
    config = client.describe_configs([resource])[resource].result(20)
    assert config["retention.ms"].value == "3600000"
    assert config["cleanup.policy"].value == "delete"
    client.create_partitions([NewPartitions(name, 4)])[name].result(20)
    assert len(client.list_topics(name, 10).topics[name].partitions) == 4
    described = client.describe_cluster().result(20)
    assert len(described.nodes) == 1 and described.cluster_id
    client.delete_topics([name])[name].result(20)
    assert name not in client.list_topics(timeout=10).topics


def test_groups_are_administrated(server):
    client = admin(server)
    topic, group = create_topic(server, "groups"), topic_name("group")
    send(producer(server), topic, [b"1", b"2"])
    reader = consumer(server, group_id=group, enable_auto_commit=False, client_id="reader")
    reader.subscribe([topic])
    read(reader, 2)
    reader.commit(asynchronous=False)
    found = client.describe_consumer_groups([group])[group].result(20)
    assert found.state == ConsumerGroupState.STABLE
    (member,) = found.members
    assert member.client_id == "reader"
    assert member.assignment.topic_partitions == [TopicPartition(topic, 0)]
    listed = client.list_consumer_groups().result(20)
    assert group in [g.group_id for g in listed.valid]
    refused = client.delete_consumer_groups([group])[group].exception(20)
    assert refused.args[0].code() == KafkaError.NON_EMPTY_GROUP
    reader.close()
    client.delete_consumer_groups([group])[group].result(20)
    listed = client.list_consumer_groups().result(20)
    assert group not in [g.group_id for g in listed.valid]


def test_acknowledged_records_survive_kill(own_server):
    server = own_server
    topic = create_topic(server, "durable")
    acknowledged = {}

    def delivered(error, message):
        if not error:
            acknowledged[message.value()] = message.offset()

    client = producer(server, enable_idempotence=True, linger_ms=0)

    def some_are_acknowledged():
        # More are always under way, so the kill comes between write and answer.
        for _ in range(50):
            client.produce(topic, b"%d" % len(sent), partition=0, on_delivery=delivered)
            sent.append(None)
        client.poll(0.01)
        return len(acknowledged) > 300

    sent = []
    until(some_are_acknowledged, "300 acknowledgements")
    server.kill()
    server.start()
    reader = consumer(server)
    reader.assign([TopicPartition(topic, 0, 0)])
    high = reader.get_watermark_offsets(TopicPartition(topic, 0), 10)[1]
    found = {m.value(): m.offset() for m in read(reader, high)}
    reader.close()
    lost = {v for v, offset in acknowledged.items() if found.get(v) != offset}
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged records lost"
