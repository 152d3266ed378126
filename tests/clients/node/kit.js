// What the kafkajs programs share: a client of the server under test, topics of their
// own, and reading a known number of records.

const { randomUUID } = require('node:crypto')
const { Kafka, logLevel } = require('kafkajs')

const name = (what) => `${what}-${randomUUID().slice(0, 8)}`

/** A client; the scenario's errors come as exceptions, so its log is quiet. */
const client = (broker) =>
  new Kafka({ clientId: 'kafkajs', brokers: [broker], logLevel: logLevel.NOTHING, retry: { retries: 8 } })

/** Runs `work` with something that is connected, and disconnects it. */
async function using(thing, work) {
  await thing.connect()
  try {
    return await work(thing)
  } finally {
    await thing.disconnect()
  }
}

async function createTopic(kafka, what, numPartitions = 1, configEntries = []) {
  const topic = name(what)
  await using(kafka.admin(), (admin) =>
    admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions, configEntries }] }))
  return topic
}

function send(kafka, topic, messages, options = {}) {
  const { producer, ...rest } = options
  return using(kafka.producer(producer), (connected) => connected.send({ topic, messages, ...rest }))
}

/** Calls `condition` until it gives something. */
async function until(condition, what, ms = 30000) {
  const deadline = Date.now() + ms
  for (;;) {
    const result = await condition()
    if (result) return result
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** A running member of a group: `got` are its records, `shares()` its partitions. */
async function member(kafka, groupId, topic, { run = {}, ...options } = {}) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10000, maxWaitTimeInMs: 200, ...options })
  let assigned = []
  let failure
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    assigned = payload.memberAssignment[topic] ?? []
  })
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    failure = payload.error
  })
  const got = []
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      got.push({ partition, ...message })
    },
    ...run,
  })
  const shares = () => {
    if (failure) throw failure
    return [...assigned].sort()
  }
  return { consumer, got, shares }
}

/** Reads `count` records of a topic from its beginning, sorted by partition and offset. */
async function read(kafka, topic, count, options = {}) {
  const { consumer, got, shares } = await member(kafka, name('reader'), topic, options)
  try {
    await until(() => shares() && got.length >= count, `${count} records of ${topic}`)
  } finally {
    await consumer.disconnect()
  }
  return got.sort((a, b) => a.partition - b.partition || Number(a.offset) - Number(b.offset))
}

const values = (records) => records.map(({ value }) => value.toString())
const numbered = (count, word = 'v') => Array.from({ length: count }, (_, n) => ({ value: `${word}${n}` }))

module.exports = { client, createTopic, member, name, numbered, read, send, until, using, values }
