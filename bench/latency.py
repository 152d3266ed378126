"""From produce to visible result: a record goes to a topic, a SQL job copies it exactly once to
another topic, a consumer sees it there. One record in flight.

    python bench/latency.py KAFKA_HOST:PORT SQL_PORT [RECORDS]     (confluent-kafka, psql)
"""
import subprocess
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

kafka, sql_port = sys.argv[1], sys.argv[2]
records = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
SCRIPT = """
CREATE TABLE latency_in (v STRING) WITH ('connector' = 'kafka', 'topic' = 'latency_in', 'format' = 'json');
CREATE TABLE latency_out (v STRING) WITH ('connector' = 'kafka', 'topic' = 'latency_out', 'format' = 'json');
INSERT INTO latency_out SELECT v FROM latency_in;
"""
subprocess.run(
    ["psql", "-q", "-h", "127.0.0.1", "-p", sql_port, "-v", "ON_ERROR_STOP=1", "-c", SCRIPT],
    check=True, stdout=subprocess.DEVNULL,
)
producer = Producer({"bootstrap.servers": kafka, "linger.ms": 0, "acks": "all"})
consumer = Consumer({
    "bootstrap.servers": kafka, "group.id": "latency", "fetch.wait.max.ms": 500,
    "auto.offset.reset": "earliest", "enable.auto.commit": False,
})
consumer.assign([TopicPartition("latency_out", 0, 0)])
times = []
for number in range(records):
    start = time.perf_counter()
    producer.produce("latency_in", b'{"v": "%d"}' % number)
    producer.poll(0)
    while True:
        message = consumer.poll(5)
        if message is not None and not message.error():
            break
    times.append((time.perf_counter() - start) * 1e3)
    producer.poll(0)
times = sorted(times[records // 20:])
print(f"produce to exactly-once result: p50 {times[len(times) // 2]:.2f} ms, "
      f"p99 {times[int(len(times) * 0.99)]:.2f} ms, {len(times)} records")
