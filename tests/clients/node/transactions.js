// Transactions: what readers see, offsets in a transaction, and a fenced producer.

const assert = require('node:assert/strict')
const { createTopic, name, numbered, read, send, using, values } = require('./kit')

const transactional = (kafka, transactionalId = name('tx')) =>
  kafka.producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 })

async function committedAndAborted(kafka) {
  const topic = await createTopic(kafka, 'tx', 2)
  const to = (partition, word) => numbered(3, word).map((m) => ({ ...m, partition }))
  await using(transactional(kafka), async (producer) => {
    for (const [word, commit] of [['lost', false], ['kept', true], ['lost again', false], ['last', true]]) {
      const transaction = await producer.transaction()
      await transaction.send({ topic, messages: to(0, word) })
      await transaction.send({ topic, messages: to(1, word) })
      await (commit ? transaction.commit() : transaction.abort())
    }
  })
  const committed = ['kept0', 'kept1', 'kept2', 'last0', 'last1', 'last2']
  assert.deepEqual(values(await read(kafka, topic, 12)), [...committed, ...committed])
  const all = await read(kafka, topic, 24, { readUncommitted: true })
  assert.equal(all.length, 24)
}

async function openTransactionsHoldReadersBack(kafka) {
  const topic = await createTopic(kafka, 'open')
  await using(transactional(kafka), async (producer) => {
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [{ value: 'open' }] })
    await send(kafka, topic, [{ value: 'behind' }])
    assert.deepEqual(values(await read(kafka, topic, 2, { readUncommitted: true })), ['open', 'behind'])
    await using(kafka.admin(), async (admin) => {
      const [{ high }] = await admin.fetchTopicOffsets(topic)
      assert.equal(high, '0', 'kafkajs asks for what a read_committed reader gets')
    })
    await transaction.commit()
  })
  assert.deepEqual(values(await read(kafka, topic, 2)), ['open', 'behind'])
}

async function offsetsInATransaction(kafka) {
  const [source, target] = [await createTopic(kafka, 'in'), await createTopic(kafka, 'out')]
  const group = name('group')
  const committed = () =>
    using(kafka.admin(), async (admin) => {
      const [{ partitions }] = await admin.fetchOffsets({ groupId: group, topics: [source] })
      return partitions[0].offset
    })
  await send(kafka, source, numbered(4))
  await using(transactional(kafka), async (producer) => {
    for (const [offset, commit, expected] of [['4', false, '-1'], ['2', true, '2'], ['4', false, '2'], ['4', true, '4']]) {
      const transaction = await producer.transaction()
      await transaction.send({ topic: target, messages: [{ value: `${offset} ${commit}` }] })
      await transaction.sendOffsets({
        consumerGroupId: group,
        topics: [{ topic: source, partitions: [{ partition: 0, offset }] }],
      })
      await (commit ? transaction.commit() : transaction.abort())
      assert.equal(await committed(), expected)
    }
  })
  assert.deepEqual(values(await read(kafka, target, 2)), ['2 true', '4 true'])
}

async function aNewProducerFencesTheOld(kafka) {
  const topic = await createTopic(kafka, 'fenced')
  const id = name('tx')
  await using(transactional(kafka, id), async (old) => {
    const zombie = await old.transaction()
    await zombie.send({ topic, messages: [{ value: 'zombie' }] })
    await using(transactional(kafka, id), async (fresh) => {
      const transaction = await fresh.transaction()
      await transaction.send({ topic, messages: [{ value: 'fresh' }] })
      await transaction.commit()
    })
    await assert.rejects(zombie.commit(), (error) => /INVALID_PRODUCER_EPOCH|PRODUCER_FENCED/.test(error.type))
  })
  assert.deepEqual(values(await read(kafka, topic, 1)), ['fresh'])
}

module.exports = {
  committedAndAborted, openTransactionsHoldReadersBack, offsetsInATransaction, aNewProducerFencesTheOld,
}
