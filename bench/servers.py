"""The servers that the broker's measurements compare: how they start, when they are ready, what they use.

The first argument of a measurement is Thalweg's binary; the second, where given, a folder with the jars of
org.apache.kafka:kafka_2.13 and what it depends on (`mvn dependency:copy-dependencies`).
"""
import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")


def thalweg(folder, port):
    """The command that starts Thalweg in a folder."""
    return [sys.argv[1], "server", "--data-dir", f"{folder}/data", "--kafka", f"127.0.0.1:{port}",
            "--sql", "127.0.0.1:0", "--http", "127.0.0.1:0"]


def kafka(folder, port):
    """The command that starts Apache Kafka in a folder: one node, 1 GiB of heap."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kafka-server.sh")
    return ["env", "HEAP=1g", script, f"{folder}/data", str(port), sys.argv[2]]


def used(pid):
    """Processor seconds and megabytes resident."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    rss = next(line for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS"))
    return (int(fields[11]) + int(fields[12])) / TICK, int(rss.split()[1]) / 1e3


def ready(port, process):
    """Waits until the server answers ApiVersions."""
    request = struct.pack(">ihhih", 12, 18, 0, 1, 2) + b"up"
    end = time.time() + 60
    while time.time() < end:
        if process.poll() is not None:
            sys.exit(f"the server ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as door:
            door.settimeout(5)
            door.sendall(request)
            if door.recv(4):
                return
        time.sleep(0.005)
    sys.exit(f"port {port} is not ready")


@contextlib.contextmanager
def running(command, port):
    """A server in an empty directory, stopped and cleared away at the end: (process, ms to ready)."""
    folder = tempfile.mkdtemp(dir=os.environ.get("DIR"))
    try:
        line = command(folder, port)
        start = time.time()
        server = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            ready(port, server)
            yield server, (time.time() - start) * 1e3
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def chosen():
    """The servers of this run by name."""
    return {"thalweg": thalweg} | ({"kafka": kafka} if len(sys.argv) > 2 else {})
