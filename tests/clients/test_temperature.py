"""The worked example with kafka-python at both ends while the server is killed: a producer of
temperatures, a SQL job that averages, warns and corrects, a consumer of its two topics.

THALWEG_KILLS is how often the server is killed (5).
"""

import collections
import json
import os
import pathlib
import random
import shlex
import signal
import subprocess
import threading
import time
from datetime import datetime, timedelta

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

from harness import as_json, until

KILLS = int(os.environ.get("THALWEG_KILLS", 5))
SQL = pathlib.Path(__file__).resolve().parents[2] / "examples/temperature/temperature.sql"
OUTPUTS = ("temperature_alerts", "temperature_adjusted")
SENSORS = ("boiler", "cellar", "attic")
START = datetime(2026, 1, 31, 12)


def sql(server, *arguments):
    binary = shlex.split(server.command)[0]
    host, port = server.sql.rsplit(":", 1)
    command = [binary, "sql", "--host", host, "--port", port, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


class Readings:
    """Sends readings until told to stop; keeps what became of each."""

    def __init__(self, address):
        self.client = KafkaProducer(
            bootstrap_servers=address, acks="all", enable_idempotence=True,
            delivery_timeout_ms=120_000, request_timeout_ms=5_000, value_serializer=as_json,
        )
        self.sent = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        number = 0
        while not self.stopping.wait(0.005):
            self.send(SENSORS[number % 3], 60 + number * 7 % 40 + 0.25, START + number * timedelta(milliseconds=10))
            number += 1
        # The windows of all sensors end when all have moved on.
        for sensor in SENSORS:
            self.send(sensor, 20.5, START + timedelta(days=1))

    def send(self, sensor, celsius, at):
        reading = {"sensor": sensor, "celsius": celsius, "measured_at": at.isoformat(" ", "milliseconds")}
        self.sent.append((reading, self.client.send("temperature", reading)))

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.client.flush(60)
        acknowledged, unknown = [], []
        for reading, future in self.sent:
            try:
                future.get(30)
                acknowledged.append(reading)
            except KafkaError:
                unknown.append(reading)
        self.client.close()
        return acknowledged, unknown


class Reader:
    """Reads the outputs all the time; an offset has to keep its record."""

    def __init__(self, address):
        self.address = address
        self.seen = {}
        self.changed = []
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        client = KafkaConsumer(
            *OUTPUTS, bootstrap_servers=self.address, auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        while not self.stopping:
            for record in (record for batch in client.poll(timeout_ms=200).values() for record in batch):
                place = record.topic, record.partition, record.offset
                if self.seen.setdefault(place, record.value) != record.value:
                    self.changed.append(place)
        client.close()


def whole(server, topic):
    """Every record of a topic: value by (topic, partition, offset)."""
    client = KafkaConsumer(
        bootstrap_servers=server.kafka, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    client.subscribe([topic])
    records = {}

    def done():
        for batch in client.poll(timeout_ms=200).values():
            for record in batch:
                records[record.topic, record.partition, record.offset] = record.value
        parts = client.assignment()
        ends = client.end_offsets(list(parts)) if parts else {}
        return bool(ends) and all(client.position(part) >= end for part, end in ends.items())

    until(done, f"the end of {topic}")
    client.close()
    return records


def rows(records):
    return collections.Counter(tuple(sorted(json.loads(value).items())) for value in records.values())


def expected(readings):
    """What the two jobs give for an input."""
    alerts, adjusted = [], []
    for row in readings:
        celsius = row["celsius"]
        # As Flink's JSON format writes a timestamp: a fraction without zeros at its end.
        at = {"measured_at": row["measured_at"].rstrip("0").rstrip("."), "sensor": row["sensor"]}
        if celsius > 80:
            message = f"{row['sensor']} is hot: {celsius} degrees"
            alerts.append(at | {"celsius": celsius, "message": message})
        cooler = celsius - 0.5
        adjusted.append(at | {"celsius": cooler, "fahrenheit": cooler * 9 / 5 + 32})
    return {
        topic: collections.Counter(tuple(sorted(row.items())) for row in found)
        for topic, found in zip(OUTPUTS, (alerts, adjusted))
    }


def last_windows(readings):
    """The newest window of each sensor that has ended: (until, average, count)."""
    found = {}
    for sensor in SENSORS:
        mine = [
            (datetime.fromisoformat(row["measured_at"]), row["celsius"])
            for row in readings if row["sensor"] == sensor
        ]
        mine = [(at, celsius) for at, celsius in mine if at < START + timedelta(hours=23)]
        from_ = max(at for at, _ in mine).replace(microsecond=0)
        inside = [celsius for at, celsius in mine if at >= from_]
        found[sensor] = (from_ + timedelta(seconds=5), sum(inside) / len(inside), len(inside))
    return found


def averages(server):
    found = {}
    for line in sql(server, "--mode", "json", "-c", "SELECT * FROM temperature_average").splitlines():
        row = json.loads(line)
        until_ = datetime.fromisoformat(row["until"].replace("T", " "))
        found[row["sensor"]] = (until_, row["celsius"], row["readings"])
    return found


def test_the_example_survives_kills(own_server):
    server = own_server
    signal.alarm(90 + 5 * KILLS)
    seed = random.randrange(1 << 32)
    print(f"     seed {seed}, {KILLS} kills", flush=True)
    pause = random.Random(seed)
    server.keep_port()
    server.stop()
    server.start()
    sql(server, "-f", str(SQL))
    readings, reader = Readings(server.kafka), Reader(server.kafka)
    for _ in range(KILLS):
        time.sleep(pause.uniform(0.05, 1.5))
        server.kill()
        server.start()
    acknowledged, unknown = readings.stop()
    found = {}

    def input_():
        return [json.loads(value) for value in whole(server, "temperature").values()]

    read = input_()
    times = collections.Counter((row["sensor"], row["measured_at"]) for row in read)
    assert set(times.values()) == {1}, "an idempotent producer's record is there twice"
    missing = [row for row in acknowledged if (row["sensor"], row["measured_at"]) not in times]
    assert not missing, f"acknowledged and gone: {missing[:3]}"
    assert len(read) <= len(acknowledged) + len(unknown)
    for topic, wanted in expected(read).items():
        def complete():
            found[topic] = whole(server, topic)
            return len(found[topic]) >= wanted.total()

        until(complete, f"{wanted.total()} records on {topic}")
        given = rows(found[topic])
        assert given == wanted, f"{topic}: too many {list(given - wanted)[:3]}, missing {list(wanted - given)[:3]}"
    wanted = last_windows(read)

    def shown():
        found["view"] = averages(server)
        return found["view"] == wanted or time.sleep(0.2)

    try:
        until(shown, "the view of the last windows")
    except AssertionError as error:
        raise AssertionError(f"the view shows {found['view']}, not {wanted}") from error
    reader.stopping = True
    reader.thread.join()
    assert not reader.changed, f"records that changed: {reader.changed[:3]}"
    everything = found[OUTPUTS[0]] | found[OUTPUTS[1]]
    gone = [place for place, value in reader.seen.items() if everything.get(place) != value]
    assert not gone, f"read once and not there: {gone[:3]}"
    print(
        f"     {len(acknowledged)} acknowledged, {len(unknown)} unknown, {len(read)} in the input, "
        f"{len(reader.seen)} output records read meanwhile of {len(everything)}", flush=True,
    )
