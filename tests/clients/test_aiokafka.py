"""aiokafka: producer, consumer and group in asyncio."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from harness import topic_name

WAIT_SECONDS = 30


def run(body):
    asyncio.run(asyncio.wait_for(body, 60))


async def send(server, topic, values, **options):
    async with AIOKafkaProducer(bootstrap_servers=server.kafka, **options) as producer:
        reports = [await producer.send(topic, value) for value in values]
        return [(await report).offset for report in reports]


async def read(consumer, count):
    async def collect():
        return [await consumer.getone() for _ in range(count)]

    return await asyncio.wait_for(collect(), WAIT_SECONDS)


def test_produce_and_consume(server):
    async def body():
        for codec in (None, "gzip", "snappy", "lz4", "zstd"):
            topic = topic_name("aio")
            values = [b"%d" % n for n in range(100)]
            offsets = await send(server, topic, values, compression_type=codec, linger_ms=5)
            assert offsets == list(range(100))
            options = {"bootstrap_servers": server.kafka, "auto_offset_reset": "earliest"}
            async with AIOKafkaConsumer(topic, **options) as consumer:
                assert [m.value for m in await read(consumer, 100)] == values, codec

    run(body())


def test_idempotent_producer(server):
    async def body():
        values = [b"%d" % n for n in range(200)]
        offsets = await send(server, topic_name("aio"), values, enable_idempotence=True)
        assert offsets == list(range(200))

    run(body())


def test_group_commits_and_resumes(server):
    async def body():
        topic, group = topic_name("aio"), topic_name("group")
        await send(server, topic, [b"%d" % n for n in range(20)])
        options = {
            "bootstrap_servers": server.kafka,
            "group_id": group,
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
        }
        async with AIOKafkaConsumer(topic, **options) as consumer:
            await read(consumer, 8)
            await consumer.commit({TopicPartition(topic, 0): 8})
        async with AIOKafkaConsumer(topic, **options) as consumer:
            assert (await read(consumer, 12))[0].value == b"8"

    run(body())


def test_members_share_and_take_over(server):
    async def body():
        topic, group = topic_name("aio"), topic_name("group")
        await send(server, topic, [b"first"])
        options = {
            "bootstrap_servers": server.kafka,
            "group_id": group,
            "auto_offset_reset": "earliest",
            "session_timeout_ms": 10000,
            "heartbeat_interval_ms": 300,
            "metadata_max_age_ms": 500,
        }

        async def shares(*counts):
            while sorted(len(c.assignment()) for c in members) != sorted(counts):
                await asyncio.gather(*(c.getmany(timeout_ms=50) for c in members))

        async with AIOKafkaConsumer(topic, **options) as one:
            members = [one]
            await asyncio.wait_for(shares(1), WAIT_SECONDS)
            admin = AIOKafkaAdminClient(bootstrap_servers=server.kafka)
            await admin.start()
            await admin.create_partitions({topic: NewPartitions(4)})
            await asyncio.wait_for(shares(4), WAIT_SECONDS)
            await admin.close()
            async with AIOKafkaConsumer(topic, group_instance_id="me", **options) as two:
                members.append(two)
                await asyncio.wait_for(shares(2, 2), WAIT_SECONDS)
            members.remove(two)
            await asyncio.wait_for(shares(4), WAIT_SECONDS)

    run(body())
