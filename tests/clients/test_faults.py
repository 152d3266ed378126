"""The disk fails under the server: strace makes its system calls fail while a producer writes.

THALWEG_FAULTS is how often each of them fails (2).
"""

import contextlib
import os
import shutil
import signal
import subprocess
import threading

from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from harness import START_SECONDS, WAIT_SECONDS, topic_name, until

FAULTS = int(os.environ.get("THALWEG_FAULTS", 2))


def missing():
    if shutil.which("strace") is None:
        return "strace is not on PATH"
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True)
    return None if tried.returncode == 0 else "strace may not trace processes here"


class Numbers:
    """Sends 0, 1, 2... to one partition until told to stop, and keeps what became of each."""

    def __init__(self, address, topic):
        self.client = KafkaProducer(
            bootstrap_servers=address, acks="all", enable_idempotence=True, linger_ms=1,
            delivery_timeout_ms=180_000, request_timeout_ms=5_000,
        )
        self.topic = topic
        self.sent = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping.wait(0.002):
            value = str(len(self.sent)).encode()
            self.sent.append(self.client.send(self.topic, value, partition=0))

    def acknowledged(self):
        return sum(future.is_done and future.succeeded() for future in self.sent)

    def await_more(self, count=20):
        wanted = self.acknowledged() + count

        def done():
            threading.Event().wait(0.05)
            return self.acknowledged() >= wanted

        until(done, f"{count} more records acknowledged", 60)

    def finish(self):
        self.stopping.set()
        self.thread.join()
        self.client.flush(180)
        return [future.get(0).offset for future in self.sent]


@contextlib.contextmanager
def failing(server, call, error):
    """While this lasts, a system call of the server fails each time."""
    inject = f"inject={call}:error={error}"
    command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", inject, "-p", str(server.process.pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield tracer
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(WAIT_SECONDS)


def check(server, topic, offsets):
    """Each number once, in order, where the producer was told."""
    assert offsets == list(range(len(offsets))), "offsets are not those of one writer"
    consumer = KafkaConsumer(bootstrap_servers=server.kafka, auto_offset_reset="earliest")
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    end = consumer.end_offsets([partition])[partition]
    assert end == len(offsets), f"{end} records for {len(offsets)}"
    found = []
    until(lambda: read(consumer, found) or len(found) >= end, f"{end} records read")
    assert [int(value) for value in found] == offsets
    consumer.close()


def read(consumer, found):
    for records in consumer.poll(200).values():
        found.extend(record.value for record in records)


def fails(server, call):
    """A failure after which nobody knows what is durable: the server ends, and what it had
    acknowledged is there when it is started again."""
    signal.alarm(60 + 30 * FAULTS)
    server.keep_port()
    topic = topic_name("faults")
    numbers = Numbers(server.kafka, topic)
    for _ in range(FAULTS):
        numbers.await_more()
        with failing(server, call, "EIO"):
            code = server.process.wait(START_SECONDS)
        assert code not in (0, -signal.SIGKILL), f"ended with {code}"
        assert any("disk failed" in line for line in server.log), "".join(server.log[-5:])
        server.start()
    numbers.await_more()
    check(server, topic, numbers.finish())


def test_a_failed_sync_ends_the_server(own_server):
    fails(own_server, "fdatasync")


def test_a_failed_write_ends_the_server(own_server):
    fails(own_server, "pwrite64")


def test_a_full_disk_holds_writers_back_and_nothing_else(own_server):
    server = own_server
    signal.alarm(60 + 30 * FAULTS)
    server.keep_port()
    topic = topic_name("faults")
    numbers = Numbers(server.kafka, topic)
    for number in range(FAULTS):
        numbers.await_more()
        with failing(server, "pwrite64", "ENOSPC"):
            waits(numbers)
            consumer = KafkaConsumer(bootstrap_servers=server.kafka)
            consumer.assign([TopicPartition(topic, 0)])
            consumer.seek_to_beginning()
            found = []
            until(lambda: read(consumer, found) or found, "records can still be read")
            consumer.close()
        assert server.process.poll() is None, "".join(server.log[-5:])
        numbers.await_more()
        if number % 2:
            server.kill()
            server.start()
    numbers.await_more()
    check(server, topic, numbers.finish())


def waits(numbers):
    """Until nothing has been acknowledged for a second."""
    seen = [-1]

    def still():
        threading.Event().wait(1)
        before, seen[0] = seen[0], numbers.acknowledged()
        return before == seen[0]

    until(still, "nothing more is acknowledged")
