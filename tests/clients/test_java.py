"""The Java client by way of Kafka's own shell tools, Connect and Streams.

Maven fetches the jars of java/pom.xml into the virtual environment of the set `java`;
`THALWEG_JAVA_LIBS` names a folder that has them already.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness import topic_name

HERE = pathlib.Path(__file__).resolve().parent / "java"
TOOL_SECONDS = 60


def libs():
    given = os.environ.get("THALWEG_JAVA_LIBS")
    return pathlib.Path(given) if given else pathlib.Path(sys.prefix) / "java-libs"


def missing():
    if "THALWEG_JAVA_LIBS" not in os.environ and os.environ.get("THALWEG_CLIENTS") != "java":
        return "only in the set java"
    for program in ("java", "javac", "mvn"):
        if not shutil.which(program):
            return f"{program} is not on PATH"
    return fetch()


def fetch():
    """The jars and our own programs, once."""
    folder = libs()
    if not any(folder.glob("kafka-tools-*.jar")):
        maven = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
        ran = subprocess.run([*maven, f"-DoutputDirectory={folder}"], capture_output=True, text=True)
        if ran.returncode != 0:
            return f"Maven cannot fetch the jars: {(ran.stdout + ran.stderr)[-300:]}"
    classes = folder / "classes"
    sources = sorted(HERE.glob("*.java"))
    if sources:
        classes.mkdir(exist_ok=True)
        subprocess.run(["javac", "-cp", f"{folder}/*", "-d", classes, *sources], check=True)
    return None


def command(main, *arguments):
    path = f"{libs()}/*{os.pathsep}{libs()}/classes"
    return ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", path, main, *map(str, arguments)]


def tool(main, *arguments, text=None):
    ran = subprocess.run(
        command(main, *arguments), input=text, capture_output=True, text=True, timeout=TOOL_SECONDS
    )
    assert ran.returncode == 0, f"{main}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}"
    return ran.stdout


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
    main = "org.apache.kafka.tools.consumer.ConsoleConsumer"
    out = tool(
        main, "--bootstrap-server", server.kafka, "--topic", topic, "--from-beginning",
        "--max-messages", count, "--timeout-ms", 20000, *arguments,
    )
    return sorted(out.splitlines())


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


def test_connect_standalone_copies_a_file(server):
    topic = topic_name("java")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "in.txt").write_text("one\ntwo\nthree\n")
        (folder / "worker.properties").write_text(
            f"bootstrap.servers={server.kafka}\n"
            "key.converter=org.apache.kafka.connect.storage.StringConverter\n"
            "value.converter=org.apache.kafka.connect.storage.StringConverter\n"
            f"offset.storage.file.filename={folder}/offsets\n"
            "offset.flush.interval.ms=500\nlisteners=http://127.0.0.1:0\n"
            "plugin.discovery=service_load\n"
        )
        (folder / "source.properties").write_text(
            "name=source\nconnector.class=FileStreamSource\ntasks.max=1\n"
            f"file={folder}/in.txt\ntopic={topic}\n"
        )
        (folder / "sink.properties").write_text(
            "name=sink\nconnector.class=FileStreamSink\ntasks.max=1\n"
            f"file={folder}/out.txt\ntopics={topic}\n"
        )
        files = [folder / name for name in ("worker.properties", "source.properties", "sink.properties")]
        with running("org.apache.kafka.connect.cli.ConnectStandalone", *files) as process:
            out = folder / "out.txt"
            deadline = time.time() + 50
            while not (out.exists() and len(out.read_text().splitlines()) == 3):
                assert process.poll() is None, "Connect ended by itself"
                assert time.time() < deadline, "Connect copied nothing"
                time.sleep(0.1)
            assert out.read_text() == "one\ntwo\nthree\n"


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


def test_streams_counts_words(server):
    source, counted = topic_name("java"), topic_name("java")
    topics(server, "--create", "--topic", source, "--partitions", 2)
    topics(server, "--create", "--topic", counted)
    produce(server, source, "a b a\nb c\n")
    with tempfile.TemporaryDirectory() as state:
        words = (server.kafka, source, counted, topic_name("streams"), "at_least_once", state)
        with running("WordCount", *words) as process:
            await_lines(lambda: counts(server, counted), {"a": "2", "b": "2", "c": "1"})
            produce(server, source, "c c\n")
            await_lines(lambda: counts(server, counted), {"a": "2", "b": "2", "c": "3"})
            assert process.poll() is None, "Streams ended by itself"
