"""confluent-kafka (librdkafka): consumer groups of KIP-848, of both protocols, static members."""

import time

from confluent_kafka import ConsumerGroupState, ConsumerGroupType, KafkaException, TopicPartition
from confluent_kafka.admin import NewPartitions

from harness import topic_name, until
from test_confluent import admin, assigned, consumer, create_topic, producer, read, send

NEW = {"group_protocol": "consumer"}
CLASSIC = {"session_timeout_ms": 10000, "heartbeat_interval_ms": 200}


class Group:
    """Consumers of one group that are polled together."""

    def __init__(self, server, topic, partitions):
        self.server, self.topics, self.partitions = server, [topic], partitions
        self.name, self.members, self.seen = topic_name("group"), [], []

    def join(self, **options):
        client = consumer(self.server, group_id=self.name, **options)
        client.subscribe(self.topics)
        self.members.append(client)
        return client

    def leave(self, client):
        self.members.remove(client)
        client.close()

    def poll(self):
        for client in self.members:
            for message in client.consume(100, 0.05):
                if message.error():
                    raise KafkaException(message.error())
                self.seen.append(message.value())

    def shares(self, *counts):
        """Waits until the members have so many partitions, each one once."""

        def settled():
            self.poll()
            of = [assigned(client) for client in self.members]
            whole = set().union(*of) == set(range(self.partitions))
            return whole and [len(share) for share in of] == list(counts)

        until(settled, f"shares of {counts}")

    def sizes(self):
        self.poll()
        return sorted(len(assigned(client)) for client in self.members)

    def receives(self, values):
        def all_of_them():
            self.poll()
            return sorted(self.seen) == sorted(values)

        until(all_of_them, f"each of {len(values)} messages once")

    def close(self):
        for client in list(self.members):
            self.leave(client)


def fill(server, topic, partitions, count=40):
    client = producer(server)
    values = [b"%d" % n for n in range(count)]
    for n, value in enumerate(values):
        send(client, topic, [value], partition=n % partitions)
    return values


def test_a_consumer_group_shares_and_takes_over(server):
    topic = create_topic(server, "kip848", partitions=4)
    group = Group(server, topic, 4)
    group.join(**NEW)
    group.shares(4)
    two = group.join(**NEW)
    group.shares(2, 2)
    group.receives(fill(server, topic, 4))
    group.leave(two)
    group.shares(4)
    client = admin(server)
    listed = client.list_consumer_groups(types={ConsumerGroupType.CONSUMER}).result(20)
    assert group.name in [g.group_id for g in listed.valid]
    listed = client.list_consumer_groups(types={ConsumerGroupType.CLASSIC}).result(20)
    assert group.name not in [g.group_id for g in listed.valid]
    group.close()


def test_three_members_with_the_range_assignor(server):
    topic = create_topic(server, "kip848", partitions=6)
    group = Group(server, topic, 6)
    for _ in range(3):
        group.join(group_remote_assignor="range", **NEW)
    group.shares(2, 2, 2)
    for client in group.members:
        low, high = sorted(assigned(client))
        assert high == low + 1, "neighbours"
    group.close()


def test_commit_and_resume_in_a_consumer_group(server):
    topic, group = create_topic(server, "kip848"), topic_name("group")
    send(producer(server), topic, [b"%d" % n for n in range(10)])
    options = {"group_id": group, "enable_auto_commit": False, **NEW}
    client = consumer(server, **options)
    client.subscribe([topic])
    read(client, 4)
    client.commit(offsets=[TopicPartition(topic, 0, 4, "four")], asynchronous=False)
    client.close()
    client = consumer(server, **options)
    client.subscribe([topic])
    assert read(client, 6)[0].value() == b"4"
    (found,) = client.committed([TopicPartition(topic, 0)], 10)
    assert (found.offset, found.metadata) == (4, "four")
    client.close()


def test_new_partitions_are_noticed(server):
    topic = create_topic(server, "kip848", partitions=2)
    group = Group(server, topic, 2)
    group.join(**NEW)
    group.shares(2)
    client = admin(server)
    client.create_partitions([NewPartitions(topic, 5)])[topic].result(20)
    group.partitions = 5
    group.shares(5)
    group.close()


def test_a_regular_expression_follows_new_topics(server):
    prefix = topic_name("regex")
    first = create_topic(server, f"{prefix}-a")
    client = consumer(server, **NEW)
    client.subscribe([f"^{prefix}-.*"])

    def reads(*topics):
        client.consume(1, 0.1)
        return {p.topic for p in client.assignment()} == set(topics)

    until(lambda: reads(first), "the topic that is there")
    second = create_topic(server, f"{prefix}-b")
    create_topic(server, f"other-{prefix}-c")
    until(lambda: reads(first, second), "the topic that came")
    client.close()


def test_a_static_member_of_a_consumer_group_comes_back(server):
    topic = create_topic(server, "kip848", partitions=4)
    group = Group(server, topic, 4)
    group.join(**NEW)
    static = group.join(group_instance_id="me", **NEW)
    group.shares(2, 2)
    mine = assigned(static)
    others = assigned(group.members[0])
    group.leave(static)
    back = group.join(group_instance_id="me", **NEW)

    def returned():
        group.poll()
        assert assigned(group.members[0]) == others, "nobody else is concerned"
        return assigned(back) == mine

    until(returned, "the same partitions")
    group.close()


def test_members_change_the_protocol_one_by_one(server):
    topic, client = create_topic(server, "migrate", partitions=4), admin(server)
    for strategy in ("range", "cooperative-sticky"):
        group = Group(server, topic, 4)
        classic = {"partition_assignment_strategy": strategy, **CLASSIC}
        group.join(**classic)
        group.shares(4)
        second = group.join(**NEW)
        group.shares(2, 2)
        third = group.join(**classic)
        until(lambda: group.sizes() == [1, 1, 2], "three share")
        group.leave(third)
        group.shares(2, 2)
        group.leave(second)
        group.shares(4)
        found = client.describe_consumer_groups([group.name])[group.name].result(20)
        assert found.state == ConsumerGroupState.STABLE, "a classic group again"
        group.join(**classic)
        group.shares(2, 2)
        group.close()


def test_a_cooperative_member_keeps_reading(server):
    topic = create_topic(server, "coop", partitions=4)
    group = Group(server, topic, 4)
    revoked = []
    first = consumer(
        server,
        group_id=group.name,
        partition_assignment_strategy="cooperative-sticky",
        **CLASSIC,
    )
    first.subscribe([topic], on_revoke=lambda _, parts: revoked.extend(p.partition for p in parts))
    group.members.append(first)
    group.shares(4)
    group.join(partition_assignment_strategy="cooperative-sticky", **CLASSIC)
    group.shares(2, 2)
    assert len(revoked) == 2 and not set(revoked) & assigned(first), revoked
    group.close()


def test_a_consumer_group_outlives_kill(own_server):
    server = own_server
    topic = create_topic(server, "durable", partitions=4)
    group = Group(server, topic, 4)
    group.join(**NEW)
    group.join(**NEW)
    group.shares(2, 2)
    before = [assigned(client) for client in group.members]
    first = fill(server, topic, 4)
    group.receives(first)
    for client in group.members:
        client.commit(asynchronous=False)
    server.keep_port()
    server.kill()
    server.start()
    began = time.monotonic()
    second = [value + b" again" for value in first]
    client = producer(server)
    for n, value in enumerate(second):
        send(client, topic, [value], partition=n % 4)
    group.receives(first + second)
    assert time.monotonic() - began < 60
    assert [assigned(client) for client in group.members] == before, "nobody had to move"
    group.close()


def copy(reader, writer, source_count, target):
    """Copies with offsets in the transaction, a few messages at a time; every third aborts."""
    copied, rounds = 0, 0
    while copied < source_count:
        batch = until(lambda: reader.consume(7, 0.2), "messages to copy")
        for message in batch:
            if message.error():
                raise KafkaException(message.error())
        writer.begin_transaction()
        for message in batch:
            writer.produce(target, message.value())
        offsets = {}
        for message in batch:
            key = (message.topic(), message.partition())
            offsets[key] = max(offsets.get(key, 0), message.offset() + 1)
        offsets = [TopicPartition(*key, offset) for key, offset in offsets.items()]
        writer.send_offsets_to_transaction(offsets, reader.consumer_group_metadata(), 20)
        rounds += 1
        if rounds % 3 == 0:
            writer.abort_transaction(20)
            first = {}
            for message in batch:
                key = (message.topic(), message.partition())
                first[key] = min(first.get(key, message.offset()), message.offset())
            for key, offset in first.items():
                reader.seek(TopicPartition(*key, offset))
        else:
            writer.commit_transaction(20)
            copied += len(batch)


def test_exactly_once_copies_with_offsets_in_transactions(server):
    for options in (NEW, CLASSIC):
        source = create_topic(server, "source", partitions=2)
        target = create_topic(server, "target")
        values = fill(server, source, 2)
        group = topic_name("group")
        settings = {"group_id": group, "isolation_level": "read_committed", **options}
        reader = consumer(server, enable_auto_commit=False, **settings)
        reader.subscribe([source])
        writer = producer(server, transactional_id=topic_name("copy"))
        writer.init_transactions(20)
        copy(reader, writer, len(values), target)
        committed = reader.committed([TopicPartition(source, p) for p in (0, 1)], 20)
        assert [c.offset for c in committed] == [20, 20]
        check = consumer(server, isolation_level="read_committed")
        check.assign([TopicPartition(target, 0, 0)])
        assert sorted(m.value() for m in read(check, len(values))) == sorted(values)
        check.close()
        # Who left the group commits no more.
        late = reader.consumer_group_metadata()
        reader.close()
        writer.begin_transaction()
        try:
            writer.send_offsets_to_transaction([TopicPartition(source, 0, 1)], late, 20)
        except KafkaException as error:
            assert error.args[0].txn_requires_abort(), error
            writer.abort_transaction(20)
        else:
            raise AssertionError("a member that is gone has committed")
