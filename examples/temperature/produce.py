"""Sends temperatures of three sensors to the topic 'temperature', until Ctrl-C.

    pip install kafka-python
    python examples/temperature/produce.py [HOST:PORT]
"""
import json
import random
import sys
import time
from datetime import datetime, timezone

from kafka import KafkaProducer

producer = KafkaProducer(
    bootstrap_servers=sys.argv[1] if len(sys.argv) > 1 else "localhost:9092",
    key_serializer=str.encode,
    value_serializer=lambda value: json.dumps(value).encode(),
    acks="all",
)
level = {"boiler": 75.0, "cellar": 12.0, "attic": 31.0}
while True:
    for sensor in level:
        level[sensor] += random.uniform(-1, 1)
        now = datetime.now(timezone.utc).replace(tzinfo=None)
        reading = {
            "sensor": sensor,
            "celsius": round(level[sensor], 1),
            "measured_at": now.isoformat(" ", "milliseconds"),
        }
        producer.send("temperature", key=sensor, value=reading)
    producer.flush()
    time.sleep(0.2)
