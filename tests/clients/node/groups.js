// Consumer groups: sharing, commits, and what a restart of client or server leaves.

const assert = require('node:assert/strict')
const { createTopic, member, name, numbered, send, until, using, values } = require('./kit')

async function membersShareATopic(kafka) {
  const topic = await createTopic(kafka, 'shared', 4)
  const group = name('group')
  const spread = (word) => send(kafka, topic, numbered(40, word).map((m, n) => ({ ...m, partition: n % 4 })))
  const first = await member(kafka, group, topic)
  await until(() => first.shares().length === 4, 'all partitions to the first member')
  const second = await member(kafka, group, topic)
  await until(() => first.shares().length === 2 && second.shares().length === 2, 'two partitions each')
  assert.deepEqual([...first.shares(), ...second.shares()].sort(), [0, 1, 2, 3])
  await spread('both ')
  await until(() => first.got.length + second.got.length >= 40, 'the records of both')
  assert.deepEqual([first.got.length, second.got.length], [20, 20])
  await first.consumer.disconnect()
  await until(() => second.shares().length === 4, 'all partitions to the second member')
  await spread('one ')
  await until(() => second.got.length >= 60, 'the records of one')
  await second.consumer.disconnect()
  assert.equal(new Set(values([...first.got, ...second.got])).size, 80)
}

async function manualCommitsAndARestart(kafka) {
  const topic = await createTopic(kafka, 'commits')
  const group = name('group')
  await send(kafka, topic, numbered(10))
  const manual = { run: { autoCommit: false } }
  const first = await member(kafka, group, topic)
  await first.consumer.disconnect()
  await using(kafka.admin(), async (admin) => {
    await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '0' }] })
  })
  const again = await member(kafka, group, topic, { run: { ...manual.run, eachMessage: async () => {} } })
  await until(() => again.shares().length === 1, 'the partition')
  await again.consumer.commitOffsets([{ topic, partition: 0, offset: '6', metadata: 'six' }])
  await again.consumer.disconnect()
  await using(kafka.admin(), async (admin) => {
    const [{ partitions }] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    assert.deepEqual(partitions, [{ partition: 0, offset: '6', metadata: 'six' }])
  })
  const last = await member(kafka, group, topic)
  await until(() => last.shares() && last.got.length >= 4, 'what was not committed')
  await last.consumer.disconnect()
  assert.deepEqual(values(last.got), ['v6', 'v7', 'v8', 'v9'])
}

async function eachBatch(kafka) {
  const topic = await createTopic(kafka, 'batches')
  const group = name('group')
  await send(kafka, topic, numbered(30))
  const seen = []
  const { consumer, shares } = await member(kafka, group, topic, {
    run: {
      eachMessage: undefined,
      eachBatch: async ({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary }) => {
        assert.equal(batch.highWatermark, '30')
        for (const message of batch.messages) {
          seen.push(message.value.toString())
          resolveOffset(message.offset)
        }
        await heartbeat()
        await commitOffsetsIfNecessary()
      },
    },
  })
  await until(() => shares() && seen.length >= 30, 'the batches')
  await consumer.disconnect()
  assert.deepEqual(seen, numbered(30).map(({ value }) => value))
  await using(kafka.admin(), async (admin) => {
    const [{ partitions }] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    assert.equal(partitions[0].offset, '30')
  })
}

/** Keeps reading through the server's death; the caller kills it when `half` is printed. */
async function outlivesAServer(kafka, topic, group) {
  await using(kafka.admin(), (admin) => admin.createTopics({ topics: [{ topic, numPartitions: 2 }] }))
  await send(kafka, topic, numbered(10).map((m, n) => ({ ...m, partition: n % 2 })))
  const reader = await member(kafka, group, topic, { retry: { retries: 50, maxRetryTime: 500 } })
  await until(() => reader.shares() && reader.got.length === 10, 'the first half')
  await reader.consumer.commitOffsets([0, 1].map((partition) => ({ topic, partition, offset: '5' })))
  console.log('half')
  await new Promise((resolve) => process.stdin.once('data', resolve))
  process.stdin.pause()
  await send(kafka, topic, numbered(10, 'after ').map((m, n) => ({ ...m, partition: n % 2 })))
  await until(() => reader.got.length >= 20, 'the second half')
  await reader.consumer.disconnect()
  assert.equal(new Set(values(reader.got)).size, 20)
  assert.equal(reader.got.length, 20)
}

module.exports = { membersShareATopic, manualCommitsAndARestart, eachBatch, outlivesAServer }
