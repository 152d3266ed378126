"""Flink's Kafka connector, exactly once, while the server and Flink itself are killed.

Maven fetches the jars of flink/pom.xml into the virtual environment of the set `flink`;
`THALWEG_FLINK_LIBS` names a folder that has them already. THALWEG_KILLS is how often the server
is killed (5).
"""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time

from harness import topic_name
from maven import Programs

KILLS = int(os.environ.get("THALWEG_KILLS", 5))
COUNT = 4000 * KILLS
FILL_SECONDS = 3 * KILLS
# Its log goes to stderr, so that a test can show it.
PROGRAMS = Programs("flink", "-Xmx600m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
missing = PROGRAMS.missing


def test_flink_counts_exactly_once_with_incrementing_names(own_server):
    counts_exactly_once(own_server, "INCREMENTING")


def test_flink_counts_exactly_once_with_pooled_names(own_server):
    counts_exactly_once(own_server, "POOLING")


def counts_exactly_once(server, naming):
    signal.alarm(90 + 10 * KILLS)
    seed = random.randrange(1 << 32)
    print(f"     seed {seed}, {KILLS} kills", flush=True)
    chance = random.Random(seed)
    server.keep_port()
    source, target, group, ids = map(topic_name, ("numbers", "counts", "group", "flink"))
    ledger("create", server, source, target)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(pathlib.Path(folder), (server.kafka, source, target, group, ids, naming))
        left = KILLS
        with background("fill", server, source, COUNT, FILL_SECONDS) as finish:
            # Flink, too, is killed after each round.
            while left:
                times = min(left, chance.randrange(2, 5))
                left -= times
                with job.running() as checkpoints:
                    kill(server, checkpoints, chance, times)
                    if not left:
                        finish()
                        ledger("await", server, source, target, group, COUNT)
    print("     " + ", ".join(ledger("check", server, target, ids, COUNT).splitlines()), flush=True)


class Job:
    """Flink in a process of its own, with its checkpoints in a folder."""

    def __init__(self, folder, arguments):
        self.arguments = arguments
        self.checkpoints = folder / "checkpoints"

    @contextlib.contextmanager
    def running(self):
        """Starts it where its newest checkpoint is, gives what it says, ends it with kill -9."""
        restored = self.newest_checkpoint()
        arguments = [*self.arguments, self.checkpoints.as_uri(), *filter(None, [restored])]
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                PROGRAMS.command("FlinkCounter", *arguments),
                stdout=subprocess.PIPE, stderr=log, text=True,
            )
            try:
                yield process.stdout
            except BaseException:
                log.seek(0)
                print(log.read()[-6000:])
                raise
            finally:
                process.kill()
                process.wait()
                process.stdout.close()

    def newest_checkpoint(self):
        """The one that was completed last; None before the first."""
        found = self.checkpoints.glob("*/chk-*/_metadata")
        newest = max(found, key=lambda file: file.stat().st_mtime_ns, default=None)
        return newest and newest.parent.as_uri()


def kill(server, checkpoints, chance, times):
    """kill -9 of the server, each time somewhere near a checkpoint; ends at such a moment, too."""
    def somewhen(checkpoints_first):
        for _ in range(checkpoints_first):
            assert next(checkpoints, None), "Flink ended by itself"
        # A checkpoint's own work, or the commit that follows it.
        time.sleep(chance.random() * 0.7)

    for _ in range(times):
        somewhen(chance.randrange(1, 4))
        server.kill()
        server.start()
    somewhen(1)


def ledger(step, server, *arguments):
    return PROGRAMS.tool("Ledger", step, server.kafka, *arguments, seconds=80)


@contextlib.contextmanager
def background(step, server, *arguments):
    """Gives a function that waits for its end."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            PROGRAMS.command("Ledger", step, server.kafka, *arguments), stdout=log, stderr=log
        )

        def finish():
            code = process.wait(60 + FILL_SECONDS)
            log.seek(0)
            assert code == 0, log.read()[-2000:]

        try:
            yield finish
        finally:
            process.kill()
            process.wait()
