"""Kafka Connect with its file connectors: a part of the set `java`.

What an exactly-once source sends, and where it then stands, are one transaction.
"""

import contextlib
import json
import pathlib
import random
import socket
import subprocess
import tempfile
import time
import urllib.request

from harness import as_json, topic_name, until
from test_java import PROGRAMS, consume_in_order, running, topics

KILLS = 5
LINES_A_KILL = 600
missing = PROGRAMS.missing


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


def test_an_exactly_once_source_is_exact_though_server_and_worker_are_killed(own_server):
    server, seed = own_server, random.randrange(1 << 32)
    print(f"     seed {seed}, {KILLS} kills", flush=True)
    chance = random.Random(seed)
    server.keep_port()
    topic = topic_name("java")
    topics(server, "--create", "--topic", topic)
    written = []
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "in.txt"
        file.touch()
        worker = Worker(pathlib.Path(folder), server.kafka)
        with worker.running():
            worker.copy_file(file, topic)
            for _ in range(KILLS):
                append(file, written, LINES_A_KILL)
                time.sleep(chance.random() * 1.5)
                server.kill()
                server.start()
        # The worker was killed, too. What the connector has read of the end of a file stays in
        # its buffer until there is more, so a little more is written than is waited for.
        append(file, written, LINES_A_KILL)
        wanted = written[:-200]
        with worker.running():
            worker.await_task()
            came = consume_in_order(
                server, topic, len(wanted), "--isolation-level", "read_committed"
            )
            first = next((pair for pair in zip(came, wanted) if pair[0] != pair[1]), None)
            assert came == wanted, f"{len(came)} of {len(wanted)} lines; first other one: {first}"


def append(file, written, count):
    lines = [f"line {number}" for number in range(len(written), len(written) + count)]
    written += lines
    with file.open("a") as out:
        out.write("\n".join(lines) + "\n")


class Worker:
    """A distributed worker that is alone, with exactly-once sources."""

    def __init__(self, folder, bootstrap):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.rest = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.settings = folder / "worker.properties"
        name = topic_name("connect")
        settings = {
            "bootstrap.servers": bootstrap,
            "group.id": name,
            "exactly.once.source.support": "enabled",
            "listeners": self.rest,
            "plugin.discovery": "service_load",
            # Whoever was killed is soon followed by its successor.
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 1000,
            "scheduled.rebalance.max.delay.ms": 0,
            # It begins by waiting for the end of its predecessor's open transactions.
            "producer.transaction.timeout.ms": 5000,
        }
        for what in ("key", "value"):
            settings[f"{what}.converter"] = "org.apache.kafka.connect.storage.StringConverter"
        for what in ("config", "offset", "status"):
            settings[f"{what}.storage.topic"] = f"{name}-{what}"
            settings[f"{what}.storage.replication.factor"] = 1
        for what in ("", "producer.", "consumer.", "admin."):
            settings[f"{what}reconnect.backoff.max.ms"] = 100
        self.settings.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    @contextlib.contextmanager
    def running(self):
        """Ends with kill -9."""
        command = PROGRAMS.command("org.apache.kafka.connect.cli.ConnectDistributed", self.settings)
        # The set's jars have no logging.
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        except BaseException:
            print(self.ask("GET", "/connectors?expand=status"))
            raise
        finally:
            process.kill()
            process.wait()

    def copy_file(self, file, topic):
        """Makes the source, as soon as the worker is ready."""
        settings = {
            "connector.class": "FileStreamSource",
            "tasks.max": 1,
            "file": str(file),
            "topic": topic,
            "batch.size": 5,
            "exactly.once.support": "required",
        }
        until(
            lambda: time.sleep(0.2) or self.ask("PUT", "/connectors/source/config", settings),
            "the worker takes a connector",
        )

    def await_task(self):
        """Until the source runs."""
        def runs():
            time.sleep(0.2)
            status = json.loads(self.ask("GET", "/connectors/source/status") or "{}")
            return [task["state"] for task in status.get("tasks", [])] == ["RUNNING"]

        until(runs, "the source runs again", 60)

    def ask(self, method, path, content=None):
        """The answer; None where there is none yet."""
        request = urllib.request.Request(
            self.rest + path, method=method, data=content and as_json(content),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read()
        except OSError:
            return None
