// The admin client: topics, settings, offsets, groups, deletion of records.

const assert = require('node:assert/strict')
const { ConfigResourceTypes } = require('kafkajs')
const { createTopic, member, name, numbered, read, send, until, using, values } = require('./kit')

const admin = (work) => (kafka) => using(kafka.admin(), (connected) => work(connected, kafka))

const topicsComeAndGo = admin(async (client) => {
  const topic = name('topics')
  const wanted = { topics: [{ topic, numPartitions: 2, replicationFactor: 1 }] }
  assert.equal(await client.createTopics(wanted), true)
  assert.equal(await client.createTopics(wanted), false, 'it exists already')
  assert.ok((await client.listTopics()).includes(topic))
  await client.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
  const { topics: [described] } = await client.fetchTopicMetadata({ topics: [topic] })
  assert.deepEqual(described.partitions.map(({ partitionId }) => partitionId).sort(), [0, 1, 2, 3, 4])
  await client.deleteTopics({ topics: [topic] })
  assert.ok(!(await client.listTopics()).includes(topic))
  await assert.rejects(client.fetchTopicMetadata({ topics: [topic] }), { type: 'UNKNOWN_TOPIC_OR_PARTITION' })
})

const theCluster = admin(async (client) => {
  const { brokers, controller, clusterId } = await client.describeCluster()
  assert.equal(brokers.length, 1)
  assert.equal(controller, brokers[0].nodeId)
  assert.ok(clusterId)
})

const settings = admin(async (client, kafka) => {
  const topic = await createTopic(kafka, 'settings', 1, [{ name: 'retention.ms', value: '1234567' }])
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
  const described = async () => {
    const { resources } = await client.describeConfigs({ includeSynonyms: true, resources: [resource] })
    return Object.fromEntries(resources[0].configEntries.map(({ configName, configValue }) => [configName, configValue]))
  }
  assert.equal((await described())['retention.ms'], '1234567')
  await client.alterConfigs({
    validateOnly: false,
    resources: [{ ...resource, configEntries: [{ name: 'cleanup.policy', value: 'compact' }] }],
  })
  const altered = await described()
  assert.equal(altered['cleanup.policy'], 'compact')
  assert.notEqual(altered['retention.ms'], '1234567', 'AlterConfigs sets the whole')
})

const offsetsOfATopic = admin(async (client, kafka) => {
  const topic = await createTopic(kafka, 'offsets')
  await send(kafka, topic, [1000, 2000, 3000].map((ms) => ({ value: 'v', timestamp: String(1700000000000 + ms) })))
  const [offsets] = await client.fetchTopicOffsets(topic)
  assert.deepEqual(offsets, { partition: 0, offset: '3', high: '3', low: '0' })
  const at = async (ms) => (await client.fetchTopicOffsetsByTimestamp(topic, 1700000000000 + ms))[0].offset
  assert.deepEqual([await at(0), await at(1500), await at(3000), await at(4000)], ['0', '1', '2', '3'])
})

const recordsAreDeleted = admin(async (client, kafka) => {
  const topic = await createTopic(kafka, 'deleted')
  await send(kafka, topic, numbered(10))
  // kafkajs deletes only where it has looked at the topic before.
  await client.fetchTopicOffsets(topic)
  await client.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '6' }] })
  const [{ low, high }] = await client.fetchTopicOffsets(topic)
  assert.deepEqual([low, high], ['6', '10'])
  assert.deepEqual(values(await read(kafka, topic, 4)), ['v6', 'v7', 'v8', 'v9'])
})

const groups = admin(async (client, kafka) => {
  const topic = await createTopic(kafka, 'groups', 2)
  const groupId = name('group')
  const running = await member(kafka, groupId, topic)
  await until(() => running.shares().length === 2, 'the assignment')
  const { groups: [described] } = await client.describeGroups([groupId])
  assert.deepEqual([described.groupId, described.state, described.protocolType], [groupId, 'Stable', 'consumer'])
  assert.equal(described.members.length, 1)
  assert.equal(described.members[0].clientId, 'kafkajs')
  assert.ok((await client.listGroups()).groups.some((listed) => listed.groupId === groupId))
  await assert.rejects(client.deleteGroups([groupId]), ({ groups: [refused] }) => refused.errorCode === 68)
  await running.consumer.disconnect()
  await send(kafka, topic, numbered(6).map((m) => ({ ...m, partition: 1 })))
  const at = async () => {
    const [{ partitions }] = await client.fetchOffsets({ groupId, topics: [topic] })
    return partitions.sort((a, b) => a.partition - b.partition).map(({ offset }) => offset)
  }
  await client.setOffsets({ groupId, topic, partitions: [{ partition: 1, offset: '4' }] })
  assert.equal((await at())[1], '4')
  await client.resetOffsets({ groupId, topic, earliest: true })
  assert.deepEqual(await at(), ['-2', '-2'], 'kafkajs commits the name of the earliest offset')
  await client.deleteGroups([groupId])
  assert.ok(!(await client.listGroups()).groups.some((listed) => listed.groupId === groupId))
})

module.exports = { topicsComeAndGo, theCluster, settings, offsetsOfATopic, recordsAreDeleted, groups }
