"""confluent-kafka (librdkafka): transactions."""

import time

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from harness import topic_name, until
from test_confluent import consumer, create_topic, producer, send

PATIENCE = 30


def transactional(server, name, **settings):
    client = producer(server, transactional_id=name, **settings)
    client.init_transactions(PATIENCE)
    return client


def write(client, topic, values, partition=0):
    for value in values:
        client.produce(topic, value, partition=partition)
    assert client.flush(PATIENCE) == 0


def read_all(server, topic, partitions=1, isolation="read_committed"):
    """The values of each partition, up to where a reader gets."""
    client = consumer(server, isolation_level=isolation, enable_partition_eof=True)
    client.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    values = [[] for _ in range(partitions)]
    ended = set()

    def more():
        for message in client.consume(1000, 0.2):
            error = message.error()
            if error and error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            elif error:
                raise KafkaException(error)
            else:
                values[message.partition()].append(message.value())
        return len(ended) == partitions

    until(more, f"the end of {topic}")
    client.close()
    return values


def expect_fenced(action):
    try:
        action()
    except KafkaException as error:
        fenced = (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED)
        assert error.args[0].code() in fenced, error
        assert error.args[0].fatal(), error
    else:
        raise AssertionError("a fenced producer went on")


def test_committed_records_are_seen_and_aborted_ones_are_not(server):
    topic = create_topic(server, "tx", partitions=2)
    client = transactional(server, topic)
    for number, commits in enumerate([True, False, True, False, True]):
        client.begin_transaction()
        for partition in (0, 1):
            values = [b"%d-%d" % (number, i) for i in range(20)]
            write(client, topic, values, partition)
        if commits:
            client.commit_transaction(PATIENCE)
        else:
            client.abort_transaction(PATIENCE)
    expected = [b"%d-%d" % (number, i) for number in (0, 2, 4) for i in range(20)]
    assert read_all(server, topic, 2) == [expected, expected]
    uncommitted = read_all(server, topic, 2, "read_uncommitted")
    assert [len(values) for values in uncommitted] == [100, 100]


def test_nothing_is_seen_before_the_commit(server):
    topic = create_topic(server, "tx")
    client = transactional(server, topic)
    client.begin_transaction()
    write(client, topic, [b"a"])
    # What comes after stays behind the transaction.
    send(producer(server), topic, [b"plain"])
    assert read_all(server, topic) == [[]]
    assert read_all(server, topic, isolation="read_uncommitted") == [[b"a", b"plain"]]
    client.commit_transaction(PATIENCE)
    assert read_all(server, topic) == [[b"a", b"plain"]]


def test_consume_transform_produce(server):
    source, target = create_topic(server, "tx-in"), create_topic(server, "tx-out")
    send(producer(server), source, [b"%d" % i for i in range(60)])
    group = topic_name("group")
    reader = consumer(server, group_id=group, enable_auto_commit=False)
    reader.subscribe([source])
    client = transactional(server, group)
    done = rounds = 0
    while done < 60:
        messages = []

        def more():
            messages.extend(m for m in reader.consume(10 - len(messages), 0.2) if not m.error())
            return len(messages) == 10

        until(more, "ten records")
        client.begin_transaction()
        for message in messages:
            client.produce(target, b"out " + message.value())
        positions = reader.position(reader.assignment())
        client.send_offsets_to_transaction(positions, reader.consumer_group_metadata(), PATIENCE)
        rounds += 1
        if rounds % 3 == 0:
            client.abort_transaction(PATIENCE)
            reader.seek(TopicPartition(source, 0, done))
        else:
            client.commit_transaction(PATIENCE)
            done += 10
        (committed,) = reader.committed([TopicPartition(source, 0)], 10)
        assert committed.offset == done
    reader.close()
    assert read_all(server, target) == [[b"out %d" % i for i in range(60)]]


def test_offsets_of_an_old_generation_are_refused(server):
    source = create_topic(server, "tx-in")
    send(producer(server), source, [b"a"])
    group = topic_name("group")
    reader = consumer(server, group_id=group, enable_auto_commit=False)
    reader.subscribe([source])
    until(lambda: [m for m in reader.consume(1, 0.2) if not m.error()], "a record")
    old = reader.consumer_group_metadata()
    reader.close()
    again = consumer(server, group_id=group, enable_auto_commit=False)
    again.subscribe([source])
    until(lambda: [m for m in again.consume(1, 0.2) if not m.error()], "the record again")
    client = transactional(server, group)
    client.begin_transaction()
    try:
        client.send_offsets_to_transaction([TopicPartition(source, 0, 1)], old, PATIENCE)
    except KafkaException as error:
        assert error.args[0].txn_requires_abort(), error
    else:
        raise AssertionError("a consumer that left has committed")
    client.abort_transaction(PATIENCE)
    again.close()


def test_a_zombie_is_fenced(server):
    topic = create_topic(server, "tx")
    zombie = transactional(server, topic)
    zombie.begin_transaction()
    write(zombie, topic, [b"zombie"])
    successor = transactional(server, topic)
    successor.begin_transaction()
    write(successor, topic, [b"successor"])
    expect_fenced(lambda: zombie.commit_transaction(PATIENCE))
    successor.commit_transaction(PATIENCE)
    assert read_all(server, topic) == [[b"successor"]]


def test_a_transaction_times_out(server):
    topic = create_topic(server, "tx")
    slow = transactional(server, topic, transaction_timeout_ms=1000)
    slow.begin_transaction()
    write(slow, topic, [b"slow"])
    began = time.monotonic()
    send(producer(server), topic, [b"plain"])
    until(lambda: read_all(server, topic) == [[b"plain"]], "the abort")
    assert time.monotonic() - began < 6, "within 5 s of its deadline"
    expect_fenced(lambda: slow.commit_transaction(PATIENCE))


def test_a_crash_ends_nothing_and_loses_nothing(own_server):
    server = own_server
    topic = create_topic(server, "tx", partitions=2)
    client = transactional(server, topic)
    client.begin_transaction()
    write(client, topic, [b"a"], 0)
    write(client, topic, [b"a"], 1)
    client.commit_transaction(PATIENCE)
    client.begin_transaction()
    write(client, topic, [b"b"], 0)
    server.kill()
    del client
    server.start()
    assert read_all(server, topic, 2) == [[b"a"], [b"a"]]
    client = transactional(server, topic)
    client.begin_transaction()
    write(client, topic, [b"c"], 0)
    client.commit_transaction(PATIENCE)
    server.kill()
    server.start()
    assert read_all(server, topic, 2) == [[b"a", b"c"], [b"a"]]
    assert read_all(server, topic, 2, "read_uncommitted") == [[b"a", b"b", b"c"], [b"a"]]


def test_many_producers_at_once(server):
    topic = create_topic(server, "tx", partitions=4)
    clients = [transactional(server, topic_name("tx")) for _ in range(8)]
    for number in range(20):
        for which, client in enumerate(clients):
            client.begin_transaction()
            for partition in range(4):
                client.produce(topic, b"%d-%d" % (which, number), partition=partition)
        for which, client in enumerate(clients):
            if (which + number) % 2:
                client.commit_transaction(PATIENCE)
            else:
                client.abort_transaction(PATIENCE)
    kept = {b"%d-%d" % (w, n) for w in range(8) for n in range(20) if (w + n) % 2}
    for values in read_all(server, topic, 4):
        assert len(values) == len(kept) and set(values) == kept
