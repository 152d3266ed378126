"""Prints what the SQL job writes to 'temperature_alerts' and 'temperature_adjusted'.

    pip install kafka-python
    python examples/temperature/consume.py [HOST:PORT]
"""
import json
import sys

from kafka import KafkaConsumer

consumer = KafkaConsumer(
    "temperature_alerts",
    "temperature_adjusted",
    bootstrap_servers=sys.argv[1] if len(sys.argv) > 1 else "localhost:9092",
    auto_offset_reset="earliest",
    value_deserializer=json.loads,
)
for record in consumer:
    print(record.topic, record.value, flush=True)
