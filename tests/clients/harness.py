"""What the client tests share: a server under test, and waiting with a deadline."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid

START_SECONDS = 30
WAIT_SECONDS = 30


class Server:
    """A server process on a data directory of its own. Ports are free ones."""

    def __init__(self, command):
        self.command = command
        self.data = tempfile.mkdtemp(prefix="thalweg-clients-")
        self.process = None
        self.kafka = None
        self.sql = None
        self.log = []

    def start(self):
        """Starts the process and waits for its `ready` line."""
        command = shlex.split(self.command.replace("{data}", os.path.join(self.data, "data")))
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._collect, args=(self.process.stderr,), daemon=True).start()
        timer = threading.Timer(START_SECONDS, self.process.kill)
        timer.start()
        try:
            for line in self.process.stdout:
                if line.startswith("ready "):
                    fields = dict(part.split("=", 1) for part in line.split()[1:])
                    self.kafka = fields["kafka"]
                    # A server without this door says "-".
                    self.sql = fields.get("sql", "-").strip("-") or None
                    return self
        finally:
            timer.cancel()
        raise RuntimeError("the server did not become ready:\n" + "".join(self.log[-20:]))

    def _collect(self, stream):
        for line in stream:
            self.log.append(line)
            del self.log[:-200]

    def keep_port(self):
        """From now on it is found where it is, also when it is started again."""
        port = self.kafka.rsplit(":", 1)[1]
        self.command = self.command.replace("--kafka 127.0.0.1:0", f"--kafka 127.0.0.1:{port}")

    def kill(self):
        """kill -9: nothing is flushed, nobody is told."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGTERM, as a service manager would; returns the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the server did not stop on SIGTERM") from None

    def remove(self):
        """Ends the process however it is, and deletes its data."""
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.data, ignore_errors=True)


def topic_name(what):
    """A name that no other test uses."""
    return f"{what}-{uuid.uuid4().hex[:8]}"


def until(condition, what, seconds=WAIT_SECONDS):
    """Calls `condition` until it gives something; it must wait a little by itself."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")


def as_json(value):
    """Compact JSON bytes, the way tutorials serialise values."""
    return json.dumps(value).encode()
