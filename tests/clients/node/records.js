// Producing and consuming: acknowledgements, headers, codecs, the idempotent producer.

const assert = require('node:assert/strict')
const { CompressionCodecs, CompressionTypes, Partitioners } = require('kafkajs')
const lz4 = require('lz4js')
const { createTopic, member, name, numbered, read, send, until, using, values } = require('./kit')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => Buffer.from(lz4.compress(encoder.buffer)),
  decompress: async (bytes) => Buffer.from(lz4.decompress(bytes)),
})

async function produceAndConsume(kafka) {
  const topic = await createTopic(kafka, 'records', 3)
  const createPartitioner = Partitioners.DefaultPartitioner
  for (const acks of [-1, 1]) {
    const sent = await send(kafka, topic, [{ partition: 2, value: 'a' }, { partition: 2, value: 'b' }],
      { acks, producer: { createPartitioner } })
    assert.equal(sent.length, 1)
    assert.equal(sent[0].errorCode, 0)
    assert.equal(sent[0].baseOffset, acks === -1 ? '0' : '2')
  }
  await send(kafka, topic, [{ partition: 0, value: 'nobody asks' }], { acks: 0 })
  const got = await read(kafka, topic, 5)
  assert.deepEqual(got.map(({ partition, offset }) => [partition, offset]),
    [[0, '0'], [2, '0'], [2, '1'], [2, '2'], [2, '3']])
  assert.deepEqual(values(got), ['nobody asks', 'a', 'b', 'a', 'b'])
}

async function recordsComeBackWhole(kafka) {
  const topic = await createTopic(kafka, 'whole')
  const timestamp = '1700000000123'
  await send(kafka, topic, [
    { key: 'k', value: 'v', timestamp, headers: { one: 'x', many: ['a', 'b'], bytes: Buffer.from([0, 255]) } },
    { key: null, value: Buffer.alloc(300000, 7) },
    { key: 'tombstone', value: null },
    { key: '', value: '' },
  ])
  const [first, large, tombstone, empty] = await read(kafka, topic, 4)
  assert.equal(first.key.toString(), 'k')
  assert.equal(first.timestamp, timestamp)
  assert.equal(first.headers.one.toString(), 'x')
  assert.deepEqual(first.headers.many.map(String), ['a', 'b'])
  assert.deepEqual([...first.headers.bytes], [0, 255])
  assert.equal(large.key, null)
  assert.deepEqual(large.value, Buffer.alloc(300000, 7))
  assert.equal(tombstone.value, null)
  assert.deepEqual([empty.key.length, empty.value.length], [0, 0])
}

async function everyCodec(kafka) {
  for (const codec of ['GZIP', 'Snappy', 'LZ4']) {
    const topic = await createTopic(kafka, codec.toLowerCase())
    const lines = numbered(200, `${codec} ${'x'.repeat(80)} `)
    await send(kafka, topic, lines, { compression: CompressionTypes[codec] })
    assert.deepEqual(values(await read(kafka, topic, 200)), lines.map(({ value }) => value))
  }
}

async function idempotentProducer(kafka) {
  const topic = await createTopic(kafka, 'idempotent')
  await using(kafka.producer({ idempotent: true, maxInFlightRequests: 1 }), async (producer) => {
    assert.equal(producer.isIdempotent(), true)
    for (let batch = 0; batch < 20; batch += 1) {
      const [{ baseOffset }] = await producer.send({ topic, messages: numbered(10, `${batch}/`) })
      assert.equal(baseOffset, String(batch * 10))
    }
  })
  const got = await read(kafka, topic, 200)
  assert.deepEqual(got.map(({ offset }) => Number(offset)), [...Array(200).keys()])
  assert.equal(new Set(values(got)).size, 200)
}

async function seekPauseAndResume(kafka) {
  const topic = await createTopic(kafka, 'seek')
  await send(kafka, topic, numbered(10))
  const { consumer, got, shares } = await member(kafka, name('seeker'), topic)
  try {
    await until(() => shares() && got.length === 10, 'all records')
    consumer.pause([{ topic }])
    consumer.seek({ topic, partition: 0, offset: '7' })
    consumer.resume([{ topic }])
    await until(() => shares() && got.length === 13, 'the last three once more')
    assert.deepEqual(values(got.slice(10)), ['v7', 'v8', 'v9'])
  } finally {
    await consumer.disconnect()
  }
}

async function unknownTopicsAndTooLargeRecords(kafka) {
  const topic = await createTopic(kafka, 'small', 1, [{ name: 'max.message.bytes', value: '1000' }])
  await assert.rejects(send(kafka, topic, [{ value: Buffer.alloc(5000) }]), { type: 'MESSAGE_TOO_LARGE' })
  const admin = kafka.admin({ retry: { retries: 1 } })
  const unknown = ({ cause, type }) => (type ?? cause?.type) === 'UNKNOWN_TOPIC_OR_PARTITION'
  await using(admin, () => assert.rejects(admin.fetchTopicOffsets(name('nowhere')), unknown))
}

module.exports = {
  produceAndConsume, recordsComeBackWhole, everyCodec, idempotentProducer, seekPauseAndResume,
  unknownTopicsAndTooLargeRecords,
}
