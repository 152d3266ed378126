"""aiokafka: transactions."""

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerFenced

from harness import topic_name
from test_aiokafka import read, run, send


async def read_all(server, topic, isolation="read_committed"):
    """The values of partition 0, up to where a reader gets."""
    options = {"bootstrap_servers": server.kafka, "isolation_level": isolation}
    part, values = TopicPartition(topic, 0), []
    async with AIOKafkaConsumer(**options) as consumer:
        consumer.assign([part])
        await consumer.seek_to_beginning(part)
        end = (await consumer.end_offsets([part]))[part]
        while await consumer.position(part) < end:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                values.extend(message.value for message in batch)
    return values


class Aborted(Exception):
    """Raised inside a transaction to have it aborted."""


def test_transactions(server):
    async def body():
        topic = topic_name("tx")
        options = {"bootstrap_servers": server.kafka, "transactional_id": topic}
        async with AIOKafkaProducer(**options) as producer:
            for number in range(5):
                try:
                    async with producer.transaction():
                        for i in range(10):
                            await producer.send_and_wait(topic, b"%d-%d" % (number, i))
                        if number % 2:
                            raise Aborted
                except Aborted:
                    pass
        expected = [b"%d-%d" % (number, i) for number in (0, 2, 4) for i in range(10)]
        assert await read_all(server, topic) == expected
        assert len(await read_all(server, topic, "read_uncommitted")) == 50

    run(body())


def test_consume_transform_produce(server):
    async def body():
        source, target, group = topic_name("tx-in"), topic_name("tx-out"), topic_name("group")
        await send(server, source, [b"%d" % n for n in range(40)])
        part = TopicPartition(source, 0)
        options = {
            "bootstrap_servers": server.kafka,
            "group_id": group,
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
        }
        transactional = {"bootstrap_servers": server.kafka, "transactional_id": group}
        async with (
            AIOKafkaConsumer(source, **options) as consumer,
            AIOKafkaProducer(**transactional) as producer,
        ):
            done = rounds = 0
            while done < 40:
                messages = await read(consumer, 10)
                rounds += 1
                try:
                    async with producer.transaction():
                        for message in messages:
                            await producer.send(target, b"out " + message.value)
                        offsets = {part: messages[-1].offset + 1}
                        await producer.send_offsets_to_transaction(offsets, group)
                        if rounds % 2:
                            raise Aborted
                    done += 10
                except Aborted:
                    consumer.seek(part, done)
                assert (await consumer.committed(part) or 0) == done
        assert await read_all(server, target) == [b"out %d" % n for n in range(40)]

    run(body())


def test_a_zombie_is_fenced(server):
    async def body():
        topic = topic_name("tx")
        options = {"bootstrap_servers": server.kafka, "transactional_id": topic}
        zombie = AIOKafkaProducer(**options)
        await zombie.start()
        await zombie.begin_transaction()
        await zombie.send_and_wait(topic, b"zombie")
        async with AIOKafkaProducer(**options) as successor:
            async with successor.transaction():
                await successor.send_and_wait(topic, b"successor")
                try:
                    await zombie.commit_transaction()
                except ProducerFenced:
                    pass
                else:
                    raise AssertionError("a fenced producer went on")
        await zombie.stop()
        assert await read_all(server, topic) == [b"successor"]

    run(body())
