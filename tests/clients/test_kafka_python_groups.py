"""kafka-python, 2.x and 3.x: assignors, static members, members that die."""

import signal
import subprocess
import sys
import threading

from kafka import TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from harness import topic_name, until
from test_kafka_python import Member, committed, consumer, create_topic, producer, read

# A member in a process of its own, which can be killed.
LONER = """
import sys
from kafka import KafkaConsumer
server, topic, group = sys.argv[1:]
client = KafkaConsumer(topic, bootstrap_servers=server, group_id=group,
                       session_timeout_ms=6000, heartbeat_interval_ms=300)
while True:
    client.poll(timeout_ms=100)
    print(len(client.assignment()), flush=True)
"""


def waits(condition, what):
    pause = threading.Event()
    until(lambda: condition() or pause.wait(0.02), what)


def test_every_assignor(server):
    topic = create_topic(server, "assignors", partitions=6)
    for assignor in (RangePartitionAssignor, RoundRobinPartitionAssignor, StickyPartitionAssignor):
        group = topic_name("group")
        options = {"partition_assignment_strategy": [assignor]}
        members = [Member(server, topic, group, **options) for _ in range(3)]

        def shared():
            of = [member.assigned for member in members]
            return all(len(share) == 2 for share in of) and set().union(*of) == set(range(6))

        waits(shared, f"shares by {assignor.name}")
        members.pop().leave()
        waits(lambda: sorted(len(m.assigned) for m in members) == [3, 3], "shares of two")
        for member in members:
            member.leave()


def test_a_dead_member_is_replaced(server):
    topic, group = create_topic(server, "dead", partitions=4), topic_name("group")
    loner = subprocess.Popen(
        [sys.executable, "-c", LONER, server.kafka, topic, group],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: loner.stdout.readline().strip() == "4", "all for the first")
        survivor = Member(server, topic, group)
        waits(lambda: len(survivor.assigned) == 2, "a share")
        loner.send_signal(signal.SIGKILL)
        waits(lambda: len(survivor.assigned) == 4, "the share of the dead")
        survivor.leave()
    finally:
        loner.kill()
        loner.wait()


def test_a_static_member_is_fenced_by_its_successor(server):
    topic, group = create_topic(server, "static", partitions=2), topic_name("group")
    options = {"group_id": group, "group_instance_id": "me", "session_timeout_ms": 10000}
    try:
        first = consumer(server, topic, **options)
    except (AssertionError, TypeError):
        return  # Before kafka-python 2.3 there are no static members.
    send = producer(server)
    send.send(topic, b"1", partition=0).get(10)
    send.close()
    read(first, 1)
    second = consumer(server, topic, **options)
    read(second, 1)
    part = TopicPartition(topic, 0)
    try:
        first.commit({part: committed(group, 1, "late")})
    except Exception as error:
        assert "Fenced" in type(error).__name__ or "CommitFailed" in type(error).__name__, error
    else:
        raise AssertionError("who was replaced has committed")
    second.commit({part: committed(group, 1, "mine")})
    assert second.committed(part, metadata=True).metadata == "mine"
    second.close()
    first.close(autocommit=False)
