// kadm: topics, settings, offsets, groups, producers, deletion of records.

package clients

import (
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestTopicsComeAndGo(t *testing.T) {
	look, name := admin(t), topic(t, "topics", 2)
	_, err := look.CreateTopic(deadline(t), 1, 1, nil, name)
	equal(t, "a second one", errors.Is(err, kerr.TopicAlreadyExists), true)
	grown, err := look.UpdatePartitions(deadline(t), 5, name)
	ok(t, err)
	ok(t, grown.Error())
	listed, err := look.ListTopics(deadline(t), name)
	ok(t, err)
	equal(t, "partitions", listed[name].Partitions.Numbers(), []int32{0, 1, 2, 3, 4})
	deleted, err := look.DeleteTopics(deadline(t), name)
	ok(t, err)
	ok(t, deleted.Error())
	listed, err = look.ListTopics(deadline(t))
	ok(t, err)
	equal(t, "still there", listed.Has(name), false)
}

func TestTheCluster(t *testing.T) {
	look := admin(t)
	metadata, err := look.BrokerMetadata(deadline(t))
	ok(t, err)
	equal(t, "brokers", len(metadata.Brokers), 1)
	equal(t, "controller", metadata.Controller, metadata.Brokers[0].NodeID)
	equal(t, "a name", metadata.Cluster != "", true)
	versions, err := look.ApiVersions(deadline(t))
	ok(t, err)
	broker := versions[metadata.Controller]
	equal(t, "taken for something known", broker.VersionGuess() != "", true)
}

func TestSettings(t *testing.T) {
	look, name := admin(t), topic(t, "settings", 1, "retention.ms", "1234567")
	described := func(setting string) *kadm.Config {
		t.Helper()
		configs, err := look.DescribeTopicConfigs(deadline(t), name)
		ok(t, err)
		found, err := configs.On(name, nil)
		ok(t, err)
		at := slices.IndexFunc(found.Configs, func(config kadm.Config) bool { return config.Key == setting })
		return &found.Configs[at]
	}
	alter := func(change kadm.AlterConfig) {
		t.Helper()
		altered, err := look.AlterTopicConfigs(deadline(t), []kadm.AlterConfig{change}, name)
		ok(t, err)
		ok(t, altered[0].Err)
	}
	equal(t, "as created", described("retention.ms").MaybeValue(), "1234567")
	policy := "compact"
	alter(kadm.AlterConfig{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &policy})
	equal(t, "altered", described("cleanup.policy").MaybeValue(), "compact")
	equal(t, "left alone", described("retention.ms").MaybeValue(), "1234567")
	alter(kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "retention.ms"})
	equal(t, "back to what the broker has", described("retention.ms").Source.String(), "DEFAULT_CONFIG")
}

func TestRecordsAreDeleted(t *testing.T) {
	look, name := admin(t), topic(t, "deleted", 1)
	send(t, numbered(name, 10, 1, "v"))
	var before kadm.Offsets
	before.AddOffset(name, 0, 6, -1)
	deleted, err := look.DeleteRecords(deadline(t), before)
	ok(t, err)
	equal(t, "low watermark", deleted[name][0].LowWatermark, 6)
	starts, err := look.ListStartOffsets(deadline(t), name)
	ok(t, err)
	equal(t, "start", starts[name][0].Offset, 6)
	equal(t, "values", values(read(t, name, 4)), []string{"v6", "v7", "v8", "v9"})
	dirs, err := look.DescribeAllLogDirs(deadline(t), nil)
	ok(t, err)
	found := false
	dirs.Each(func(dir kadm.DescribedLogDir) {
		partition, exists := dir.Topics.Lookup(name, 0)
		found = found || exists && partition.Size > 0
	})
	equal(t, "its size is known", found, true)
}

func TestGroupsAreDescribed(t *testing.T) {
	look := admin(t)
	for protocol, options := range protocols {
		t.Run(protocol, func(t *testing.T) {
			name, group := topic(t, "groups", 2), name("group")
			send(t, numbered(name, 10, 2, "v"))
			member := join(t, group, name, append([]kgo.Opt{kgo.DisableAutoCommit()}, options...)...)
			until(t, "all records", func() bool { _, _, got := member.state(t); return len(got) == 10 })
			if protocol == "broker" {
				described, err := look.DescribeConsumerGroups(deadline(t), group)
				ok(t, err)
				ok(t, described.Error())
				equal(t, "members", len(described[group].Members), 1)
				assigned := described[group]
				equal(t, "assigned", assigned.AssignedPartitions().Lookup(name, 1), true)
			} else {
				described, err := look.DescribeGroups(deadline(t), group)
				ok(t, err)
				assigned := described[group]
				equal(t, "state", assigned.State, "Stable")
				equal(t, "assigned", assigned.AssignedPartitions().Lookup(name, 1), true)
			}
			listed, err := look.ListGroups(deadline(t))
			ok(t, err)
			equal(t, "listed", slices.Contains(listed.Groups(), group), true)
			_, err = look.DeleteGroup(deadline(t), group)
			equal(t, "deleted while used", errors.Is(err, kerr.NonEmptyGroup), true)
			member.client.Close()

			var offsets kadm.Offsets
			offsets.AddOffset(name, 0, 2, -1)
			offsets.AddOffset(name, 1, 5, -1)
			ok(t, look.CommitAllOffsets(deadline(t), group, offsets))
			if protocol != "broker" { // kadm asks for the lag of classic groups only.
				lags, err := look.Lag(deadline(t), group)
				ok(t, err)
				ok(t, lags.Error())
				equal(t, "lag", lags[group].Lag.Total(), 3)
			}
			stored, err := look.FetchOffsets(deadline(t), group)
			ok(t, err)
			offset, _ := stored.Lookup(name, 0)
			equal(t, "committed", offset.At, 2)
			_, err = look.DeleteGroup(deadline(t), group)
			ok(t, err)
			listed, err = look.ListGroups(deadline(t))
			ok(t, err)
			equal(t, "still there", slices.Contains(listed.Groups(), group), false)
		})
	}
}

func TestProducersAreDescribed(t *testing.T) {
	look, name := admin(t), topic(t, "producers", 1)
	producer := client(t, manual())
	ok(t, producer.ProduceSync(deadline(t), numbered(name, 3, 1, "v")...).FirstErr())
	id, epoch, err := producer.ProducerID(deadline(t))
	ok(t, err)
	described, err := look.DescribeProducers(deadline(t), kadm.TopicsSet{name: {0: {}}})
	ok(t, err)
	seen := 0
	described.EachProducer(func(found kadm.DescribedProducer) {
		seen++
		equal(t, "id", found.ProducerID, id)
		equal(t, "epoch", found.ProducerEpoch, epoch)
		equal(t, "sequence", found.LastSequence, 2)
	})
	equal(t, "producers", seen, 1)
}
