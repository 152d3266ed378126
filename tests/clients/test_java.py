"""The Java client by way of Kafka's own shell tools and Streams; Connect is in test_connect.py.

Maven fetches the jars of java/pom.xml into the virtual environment of the set `java`;
`THALWEG_JAVA_LIBS` names a folder that has them already.
"""

import contextlib
import json
import pathlib
import random
import signal
import subprocess
import tempfile
import time

from harness import topic_name
from maven import TOOL_SECONDS, Programs

PROGRAMS = Programs("java")
missing, command, tool = PROGRAMS.missing, PROGRAMS.command, PROGRAMS.tool


@contextlib.contextmanager
def running(main, *arguments):
    """A program that runs until it is no longer wanted."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command(main, *arguments), stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def topics(server, *arguments):
    return tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", server.kafka, *arguments)


def groups(server, *arguments):
    main = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
    return tool(main, "--bootstrap-server", server.kafka, *arguments)


def produce(server, topic, text, *arguments):
    main = "org.apache.kafka.tools.ConsoleProducer"
    tool(main, "--bootstrap-server", server.kafka, "--topic", topic, *arguments, text=text)


def consume(server, topic, count, *arguments):
    return sorted(consume_in_order(server, topic, count, *arguments))


def consume_in_order(server, topic, count, *arguments):
    main = "org.apache.kafka.tools.consumer.ConsoleConsumer"
    return tool(
        main, "--bootstrap-server", server.kafka, "--topic", topic, "--from-beginning",
        "--max-messages", count, "--timeout-ms", 20000, *arguments,
    ).splitlines()


def test_kafka_topics(server):
    topic = topic_name("java")
    assert f"Created topic {topic}." in topics(server, "--create", "--topic", topic, "--partitions", 3)
    assert topic in topics(server, "--list").split()
    described = topics(server, "--describe", "--topic", topic)
    assert "PartitionCount: 3\tReplicationFactor: 1" in described
    assert described.count("Leader: 1") == 3
    topics(server, "--alter", "--topic", topic, "--partitions", 5)
    assert "PartitionCount: 5" in topics(server, "--describe", "--topic", topic)
    topics(server, "--delete", "--topic", topic)
    assert topic not in topics(server, "--list").split()


def test_console_producer_and_consumer(server):
    topic = topic_name("java")
    keyed = ("--property", "parse.key=true", "--property", "key.separator=:")
    produce(server, topic, "k1:v1\nk2:v2\nk1:v3\n", *keyed)
    shown = consume(server, topic, 3, "--property", "print.key=true")
    assert shown == ["k1\tv1", "k1\tv3", "k2\tv2"]


def test_every_compression(server):
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        topic = topic_name("java")
        lines = [f"line {number} {'x' * 80}" for number in range(100)]
        produce(server, topic, "\n".join(lines) + "\n", "--compression-codec", codec)
        assert consume(server, topic, 100) == sorted(lines), codec


def test_consumer_groups(server):
    topic, group = topic_name("java"), topic_name("group")
    produce(server, topic, "1\n2\n3\n")
    consume(server, topic, 2, "--group", group)
    assert group in groups(server, "--list").split()
    row = next(line.split() for line in groups(server, "--describe", "--group", group).splitlines()
               if line.startswith(group))
    assert row[1:6] == [topic, "0", "2", "3", "1"], row
    groups(server, "--group", group, "--topic", topic, "--reset-offsets", "--to-earliest", "--execute")
    assert consume(server, topic, 3, "--group", group) == ["1", "2", "3"]
    groups(server, "--delete", "--group", group)
    assert group not in groups(server, "--list").split()


def test_get_offsets(server):
    topic = topic_name("java")
    produce(server, topic, "1\n2\n3\n")
    main = "org.apache.kafka.tools.GetOffsetShell"
    offsets = ("--bootstrap-server", server.kafka, "--topic", topic)
    assert tool(main, *offsets).split() == [f"{topic}:0:3"]
    assert tool(main, *offsets, "--time", "earliest").split() == [f"{topic}:0:0"]


def test_configs_are_described(server):
    topic = topic_name("java")
    topics(server, "--create", "--topic", topic, "--config", "retention.ms=1234567")
    shown = tool(
        "kafka.admin.ConfigCommand", "--bootstrap-server", server.kafka, "--describe",
        "--entity-type", "topics", "--entity-name", topic, "--all",
    )
    assert "retention.ms=1234567 sensitive=false" in shown
    assert "synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=1234567" in shown
    assert "segment.bytes=1073741824" in shown


def configs(server, *arguments):
    return tool("kafka.admin.ConfigCommand", "--bootstrap-server", server.kafka, *arguments)


def throttled_ms(server, topic, client):
    """Longest throttle time that a producer was told."""
    shown = tool(
        "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", 300,
        "--record-size", 1000, "--throughput", -1, "--print-metrics", "--producer-props",
        f"bootstrap.servers={server.kafka}", f"client.id={client}", "batch.size=4000",
    )
    name = "producer-metrics:produce-throttle-time-max"
    rows = [line for line in shown.splitlines() if line.startswith(name)]
    assert len(rows) == 1, shown
    return float(rows[0].rsplit(":", 1)[1])


def test_quotas_by_kafka_configs(server):
    topic, client = topic_name("java"), topic_name("client")
    entity = ("--entity-type", "clients", "--entity-name", client)
    topics(server, "--create", "--topic", topic)
    rates = "producer_byte_rate=100000,consumer_byte_rate=200000,request_percentage=50"
    done = configs(server, "--alter", "--add-config", rates, *entity)
    assert f"Completed updating config for client {client}." in done
    shown = configs(server, "--describe", *entity)
    assert f"Quota configs for client-id '{client}' are " in shown
    for rate in ("producer_byte_rate=100000.0", "consumer_byte_rate=200000.0", "request_percentage=50.0"):
        assert rate in shown, shown
    assert throttled_ms(server, topic, client) > 0
    configs(server, "--alter", "--delete-config", "producer_byte_rate", *entity)
    shown = configs(server, "--describe", *entity)
    assert "producer_byte_rate" not in shown and "consumer_byte_rate=200000.0" in shown
    assert throttled_ms(server, topic, client) == 0
    configs(server, "--alter", "--delete-config", "consumer_byte_rate,request_percentage", *entity)
    default = ("--entity-type", "users", "--entity-default")
    configs(server, "--alter", "--add-config", "consumer_byte_rate=9000000", *default)
    assert "Quota configs for the default user-principal are consumer_byte_rate=9000000.0" in (
        configs(server, "--describe", *default)
    )
    configs(server, "--alter", "--delete-config", "consumer_byte_rate", *default)
    assert "Quota configs" not in configs(server, "--describe", *default)


def test_settings_of_groups_and_brokers_by_kafka_configs(server):
    group = topic_name("group")
    of_group = ("--entity-type", "groups", "--entity-name", group)
    setting = "consumer.session.timeout.ms"
    configs(server, "--alter", "--add-config", f"{setting}=50000", *of_group)
    for entities in (of_group, ("--entity-type", "groups")):
        shown = configs(server, "--describe", *entities)
        assert f"Dynamic configs for group {group} are:" in shown
        assert f"DYNAMIC_GROUP_CONFIG:{setting}=50000" in shown
    configs(server, "--alter", "--delete-config", setting, *of_group)
    assert f"{setting}=50000" not in configs(server, "--describe", *of_group)
    topic = topic_name("java")
    topics(server, "--create", "--topic", topic)
    of_all = ("--entity-type", "brokers", "--entity-default")
    configs(server, "--alter", "--add-config", "log.roll.ms=86400001", *of_all)
    assert "DYNAMIC_DEFAULT_BROKER_CONFIG:log.roll.ms=86400001" in configs(server, "--describe", *of_all)
    shown = configs(server, "--describe", "--all", "--entity-type", "topics", "--entity-name", topic)
    assert "segment.ms=86400001 sensitive=false" in shown, shown
    configs(server, "--alter", "--delete-config", "log.roll.ms", *of_all)
    assert "log.roll.ms" not in configs(server, "--describe", *of_all)


def test_perf_tools(server):
    topic = topic_name("java")
    shown = tool(
        "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", 20000,
        "--record-size", 100, "--throughput", -1, "--producer-props",
        f"bootstrap.servers={server.kafka}", "acks=all",
    )
    assert shown.startswith("20000 records sent"), shown
    shown = tool(
        "org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", server.kafka,
        "--topic", topic, "--messages", 20000,
    )
    row = shown.splitlines()[-1].split(", ")
    assert row[4] == "20000", shown


def test_verifiable_producer_and_consumer(server):
    topic, group = topic_name("java"), topic_name("group")
    shown = tool(
        "org.apache.kafka.tools.VerifiableProducer", "--bootstrap-server", server.kafka,
        "--topic", topic, "--max-messages", 500, "--throughput", -1, "--acks", -1,
    )
    events = [json.loads(line) for line in shown.splitlines()]
    sent = [event["value"] for event in events if event["name"] == "producer_send_success"]
    assert len(sent) == 500
    shown = tool(
        "org.apache.kafka.tools.VerifiableConsumer", "--bootstrap-server", server.kafka,
        "--topic", topic, "--group-id", group, "--max-messages", 500, "--verbose",
        "--reset-policy", "earliest",
    )
    events = [json.loads(line) for line in shown.splitlines()]
    got = [event["value"] for event in events if event["name"] == "record_data"]
    assert sorted(got) == sorted(sent)


def await_lines(read, wanted, seconds=60):
    """Asks until the answer is the wanted one."""
    deadline = time.time() + seconds
    while (got := read()) != wanted:
        assert time.time() < deadline, f"{got} instead of {wanted}"
        time.sleep(0.2)


def counts(server, topic):
    """The newest count of each word."""
    main = "org.apache.kafka.tools.consumer.ConsoleConsumer"
    ran = subprocess.run(
        command(main, "--bootstrap-server", server.kafka, "--topic", topic, "--from-beginning",
                "--timeout-ms", 1500, "--property", "print.key=true"),
        capture_output=True, text=True, timeout=TOOL_SECONDS,
    )
    return dict(line.split("\t") for line in ran.stdout.splitlines() if "\t" in line)


def streams_word_count(server, guarantee):
    source, counted = topic_name("java"), topic_name("java")
    topics(server, "--create", "--topic", source, "--partitions", 2)
    topics(server, "--create", "--topic", counted)
    produce(server, source, "a b a\nb c\n")
    with tempfile.TemporaryDirectory() as state:
        words = (server.kafka, source, counted, topic_name("streams"), guarantee, state)
        with running("WordCount", *words) as process:
            await_lines(lambda: counts(server, counted), {"a": "2", "b": "2", "c": "1"})
            produce(server, source, "c c\n")
            await_lines(lambda: counts(server, counted), {"a": "2", "b": "2", "c": "3"})
            assert process.poll() is None, "Streams ended by itself"


def test_streams_counts_words(server):
    streams_word_count(server, "at_least_once")


def test_streams_counts_words_exactly_once(server):
    streams_word_count(server, "exactly_once_v2")


class Copy:
    """A topic with numbers, and a copier that brings them into another one."""

    def __init__(self, server, count):
        self.server, self.count = server, count
        self.source, self.target = topic_name("java"), topic_name("java")
        self.group, self.id = topic_name("group"), topic_name("tx")
        topics(server, "--create", "--topic", self.source, "--partitions", 3)
        topics(server, "--create", "--topic", self.target, "--partitions", 2)
        self.send(self.source, (f"{number % 7}:{number}" for number in range(count)))

    def send(self, topic, lines):
        keyed = ("--property", "parse.key=true", "--property", "key.separator=:")
        produce(self.server, topic, "\n".join(lines) + "\n", *keyed)

    def arguments(self, abort_every):
        return (
            "TransactionalCopier", self.server.kafka, self.source, self.target, self.group, self.id,
            abort_every,
        )

    def check(self):
        """Each number was copied once, and the group stands at the end."""
        # Behind all others, in both partitions: one number too many would leave one of them out.
        ends = [f"end {key}" for key in "abcdefgh"]
        self.send(self.target, (f"{end[-1]}:{end}" for end in ends))
        expected = sorted([str(number) for number in range(self.count)] + ends)
        read = ("--isolation-level", "read_committed")
        assert consume(self.server, self.target, len(expected), *read) == expected
        described = groups(self.server, "--describe", "--group", self.group).splitlines()
        lags = [line.split()[5] for line in described if line.startswith(self.group)]
        assert lags == ["0"] * 3, described


def test_a_transactional_copier_copies_exactly_once(server):
    copy = Copy(server, 500)
    steps = tool(*copy.arguments(abort_every=3)).split()
    # Every third one; the last one committed.
    assert steps.count("aborting") == (steps.count("committed") - 1) // 2 > 0, steps
    assert "again" not in steps, steps
    copy.check()
    # Aborted copies are there for those who want to see them.
    consume(server, copy.target, 501 + 8)


def test_a_copy_is_exact_though_the_server_and_the_copier_are_killed(own_server):
    """kill -9 at random moments; whoever was killed is started again at once."""
    server, seed = own_server, random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    copy = Copy(server, 5000)
    server.keep_port()
    killed = {"server": 0, "copier": 0}
    while True:
        arguments = command(*copy.arguments(abort_every=5))
        with tempfile.TemporaryFile("w+") as log:
            copier = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log, text=True)
            try:
                done = watch(copier, server, chance, killed)
            except BaseException:
                log.seek(0)
                print(log.read()[-3000:])
                raise
            finally:
                copier.kill()
                copier.wait()
                copier.stdout.close()
        if done:
            break
    assert killed["server"] >= 5 and killed["copier"] >= 2, killed
    copy.check()


def watch(copier, server, chance, killed):
    """Kills the server now and then. False where it killed the copier."""
    left = chance.randrange(1, 12)
    for step in copier.stdout:
        left -= 1
        if left > 0:
            continue
        # Somewhere within what comes after this step.
        time.sleep(chance.random() * 0.03)
        if killed["copier"] < 2 and chance.random() < 0.3:
            killed["copier"] += 1
            return False
        server.kill()
        server.start()
        killed["server"] += 1
        left = chance.randrange(5, 60)
    assert copier.wait() == 0, "the copier failed"
    return True


def test_transactions_are_listed_and_described(server):
    copy = Copy(server, 20)
    tool(*copy.arguments(abort_every=0))
    main = "org.apache.kafka.tools.TransactionsCommand"
    rows = [line.split() for line in tool(main, "--bootstrap-server", server.kafka, "list").splitlines()]
    (row,) = (row for row in rows if row and row[0] == copy.id)
    assert row[3] == "CompleteCommit", row
    described = tool(
        main, "--bootstrap-server", server.kafka, "describe", "--transactional-id", copy.id
    )
    assert "CompleteCommit" in described and row[2] in described, described
