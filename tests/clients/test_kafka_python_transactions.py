"""kafka-python, 2.x and 3.x: transactions."""

from kafka import TopicPartition
from kafka.errors import KafkaError

from harness import topic_name, until
from test_kafka_python import committed, consumer, create_topic, producer, read


def transactional(server, name, **options):
    client = producer(server, transactional_id=name, **options)
    client.init_transactions()
    return client


def read_all(server, topic, isolation="read_committed"):
    """The values of partition 0, up to where a reader gets."""
    client = consumer(server, isolation_level=isolation)
    part = TopicPartition(topic, 0)
    client.assign([part])
    # The end of what this isolation level sees.
    end = client.end_offsets([part])[part]
    client.seek_to_beginning(part)
    values = []

    def more():
        for batch in client.poll(timeout_ms=200).values():
            values.extend(record.value for record in batch)
        return client.position(part) >= end

    until(more, f"offset {end} of {topic}")
    client.close()
    return values


def test_committed_records_are_seen_and_aborted_ones_are_not(server):
    topic = create_topic(server, "tx")
    client = transactional(server, topic)
    for number, commits in enumerate([True, False, True]):
        client.begin_transaction()
        for i in range(10):
            client.send(topic, b"%d-%d" % (number, i))
        if commits:
            client.commit_transaction()
        else:
            client.flush()
            client.abort_transaction()
    client.close()
    expected = [b"%d-%d" % (number, i) for number in (0, 2) for i in range(10)]
    assert read_all(server, topic) == expected
    assert len(read_all(server, topic, "read_uncommitted")) == 30


def test_consume_transform_produce(server):
    source, target = create_topic(server, "tx-in"), create_topic(server, "tx-out")
    plain = producer(server)
    for i in range(30):
        plain.send(source, b"%d" % i)
    plain.close()
    group, part = topic_name("group"), TopicPartition(source, 0)
    options = {"group_id": group, "enable_auto_commit": False, "max_poll_records": 10}
    reader = consumer(server, source, **options)
    client = transactional(server, group)
    done = rounds = 0
    while done < 30:
        records = read(reader, 10)
        client.begin_transaction()
        for record in records:
            client.send(target, b"out " + record.value)
        offsets = {part: committed(group, records[-1].offset + 1, "")}
        client.send_offsets_to_transaction(offsets, group)
        rounds += 1
        if rounds % 2:
            client.flush()
            client.abort_transaction()
            reader.seek(part, done)
        else:
            client.commit_transaction()
            done += 10
        assert (reader.committed(part) or 0) == done
    reader.close()
    client.close()
    assert read_all(server, target) == [b"out %d" % i for i in range(30)]


def test_a_zombie_is_fenced(server):
    topic = create_topic(server, "tx")
    zombie = transactional(server, topic)
    zombie.begin_transaction()
    zombie.send(topic, b"zombie").get(20)
    successor = transactional(server, topic)
    successor.begin_transaction()
    successor.send(topic, b"successor").get(20)
    try:
        zombie.commit_transaction()
    except KafkaError as error:
        assert "fenced" in repr(error).lower() or "epoch" in repr(error).lower(), error
    else:
        raise AssertionError("a fenced producer went on")
    successor.commit_transaction()
    successor.close()
    assert read_all(server, topic) == [b"successor"]
