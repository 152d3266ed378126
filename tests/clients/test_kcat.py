"""kcat: list, produce, consume."""

import json
import shutil
import subprocess

from harness import topic_name


def missing():
    return None if shutil.which("kcat") else "kcat is not on PATH"


def kcat(server, *arguments, text=None):
    command = ["kcat", "-b", server.kafka, *arguments]
    ran = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_produce_list_consume(server):
    topic = topic_name("kcat")
    kcat(server, "-P", "-t", topic, "-K:", text="a:1\nb:2\nc:3\n")
    listed = json.loads(kcat(server, "-L", "-J", "-t", topic))
    assert [t["topic"] for t in listed["topics"]] == [topic]
    assert len(listed["topics"][0]["partitions"]) == 1
    out = kcat(server, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%o %k=%s\n")
    assert out == "0 a=1\n1 b=2\n2 c=3\n"


def test_every_compression(server):
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        topic = topic_name("kcat")
        lines = "".join(f"line {i} {'x' * 50}\n" for i in range(200))
        kcat(server, "-P", "-t", topic, "-z", codec, text=lines)
        assert kcat(server, "-C", "-t", topic, "-o", "beginning", "-e", "-q") == lines, codec


def test_offset_by_timestamp(server):
    topic = topic_name("kcat")
    kcat(server, "-P", "-t", topic, text="1\n2\n")
    out = kcat(server, "-C", "-t", topic, "-o", "s@1", "-e", "-q")
    assert out == "1\n2\n"
    assert "offset 2" in kcat(server, "-Q", "-t", f"{topic}:0:-1")


def test_balanced_consumer(server):
    topic, group = topic_name("kcat"), topic_name("group")
    kcat(server, "-P", "-t", topic, text="1\n2\n3\n")
    out = kcat(server, "-G", group, "-X", "auto.offset.reset=earliest", "-c", "3", "-q", topic)
    assert out == "1\n2\n3\n"
