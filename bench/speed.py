"""Thalweg and Apache Kafka under the same loads in one run, as a table in Markdown.

    python3 bench/speed.py THALWEG_BINARY KAFKA_LIBS LOAD_BINARY

LOAD_BINARY is bench/kafka-load, built in release. Servers take turns in every round; each gets an empty
directory. RUNS (3) rounds, medians. MB (400) is how much every load writes, FILTER a regular expression
over the names of the loads.
"""
import itertools
import json
import os
import re
import statistics
import subprocess
import sys

import servers

RUNS = int(os.environ.get("RUNS", 3))
MB = int(os.environ.get("MB", 400))
FILTER = re.compile(os.environ.get("FILTER", ""))


def loads():
    """Name -> options of `produce`: what the issue of a trusted broker asks for, all of it."""
    found = {}
    for parts, size, acks, codec, producers in itertools.product(
            (1, 16), (100, 1000), ("1", "all"), ("none", "lz4"), (1, 8)):
        name = f"{parts} p, {size} B, acks={acks}, {codec}, {producers} producer{'s' * (producers > 1)}"
        if FILTER.search(name):
            found[name] = {"partitions": parts, "size": size, "acks": acks, "codec": codec,
                           "producers": producers, "records": MB * 1_000_000 // size}
    return found


def load(command, port, topic, **options):
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    line = [sys.argv[3], command, f"127.0.0.1:{port}", topic, *words]
    return json.loads(subprocess.run(line, check=True, capture_output=True, timeout=300).stdout)


def create(port, topic, partitions):
    subprocess.run([sys.argv[1], "topic", "create", "-b", f"127.0.0.1:{port}", "-p", str(partitions), topic],
                   check=True, capture_output=True)


def one(server, port, options):
    """Produces a load, consumes it again, and takes the latency at a tenth of a light rate."""
    pid = server.pid
    create(port, "load", options["partitions"])
    start = servers.used(pid)[0]
    produced = load("produce", port, "load", **options)
    middle = servers.used(pid)[0]
    consumed = load("consume", port, "load", partitions=options["partitions"], records=options["records"],
                    consumers=min(2, options["partitions"]))
    end = servers.used(pid)[0]
    return {"produce krec/s": produced["records_s"] / 1e3, "produce MB/s": produced["mb_s"],
            "produce cpu s": middle - start, "consume krec/s": consumed["records_s"] / 1e3,
            "consume MB/s": consumed["mb_s"], "consume cpu s": end - middle, "RSS MB": servers.used(pid)[1]}


def tail(server, port, acks):
    """Latency at 1000 records of 1 kB a second, a consumer waiting."""
    create(port, "tail", 1)
    took = load("tail", port, "tail", size=1000, rate=1000, records=10_000, acks=acks)
    return {f"{what} {share}": took[f"{what}_ms"][share]
            for what in ("acked", "seen") for share in ("p50", "p99", "p999")}


def measure(work, *arguments):
    results = {name: [] for name in servers.chosen()}
    for run in range(RUNS):
        for place, (name, command) in enumerate(servers.chosen().items()):
            port = 30000 + 100 * run + 10 * place
            with servers.running(command, port) as (server, _):
                results[name].append(work(server, port, *arguments))
    return {name: {what: statistics.median(run[what] for run in runs) for what in runs[0]}
            for name, runs in results.items()}


def row(title, medians):
    cells = []
    for what in medians["thalweg"]:
        ours, theirs = medians["thalweg"][what], medians.get("kafka", {}).get(what)
        ratio = f" ({ours / theirs:.2f})" if theirs else ""
        form = ".0f" if ours >= 20 else ".2f"
        cells.append(f"{ours:{form}} / {theirs:{form}}{ratio}" if theirs is not None else f"{ours:{form}}")
    print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


def head(first, columns):
    print(f"\n| {first} | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1), flush=True)


headed = False
for title, options in loads().items():
    medians = measure(one, options)
    if not headed:
        head("load", medians["thalweg"])
        headed = True
    row(title, medians)
headed = False
for acks in ("1", "all"):
    if FILTER.search(f"tail, acks={acks}"):
        medians = measure(tail, acks)
        if not headed:
            head("1000 records of 1 kB a second, ms", medians["thalweg"])
            headed = True
        row(f"acks={acks}", medians)
