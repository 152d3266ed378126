// Consumer groups of both protocols: sharing, moving as little as possible, commits.

package clients

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// protocols are the ways in which a group can come to its assignment.
var protocols = map[string][]kgo.Opt{
	"eager":       {kgo.Balancers(kgo.RangeBalancer())},
	"cooperative": {kgo.Balancers(kgo.CooperativeStickyBalancer())},
	"broker":      {kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer()},
}

func TestMembersShareATopic(t *testing.T) {
	for protocol, options := range protocols {
		t.Run(protocol, func(t *testing.T) {
			name, group := topic(t, "shared", 4), name("group")
			first := join(t, group, name, options...)
			until(t, "all to the first", func() bool { owned, _, _ := first.state(t); return owned == 4 })
			second := join(t, group, name, options...)
			until(t, "two for each", func() bool {
				mine, _, _ := first.state(t)
				theirs, _, _ := second.state(t)
				return mine == 2 && theirs == 2
			})
			if _, lost, _ := first.state(t); protocol != "eager" {
				equal(t, "given up", lost, 2)
			}
			send(t, numbered(name, 40, 4, "both "))
			until(t, "the records of both", func() bool {
				_, _, mine := first.state(t)
				_, _, theirs := second.state(t)
				return len(mine) == 20 && len(theirs) == 20
			})
			first.leave(t)
			until(t, "all to the second", func() bool { owned, _, _ := second.state(t); return owned == 4 })
			send(t, numbered(name, 40, 4, "one "))
			until(t, "the records of one", func() bool { _, _, got := second.state(t); return len(got) == 60 })
			second.leave(t)
			stored, err := admin(t).FetchOffsets(deadline(t), group)
			ok(t, err)
			for partition := range int32(4) {
				offset, _ := stored.Lookup(name, partition)
				equal(t, "committed", offset.At, 20)
			}
		})
	}
}

func TestCommitsAndRestarts(t *testing.T) {
	for protocol, options := range protocols {
		t.Run(protocol, func(t *testing.T) {
			name, group := topic(t, "commits", 1), name("group")
			send(t, numbered(name, 10, 1, "v"))
			manually := append([]kgo.Opt{kgo.DisableAutoCommit()}, options...)
			first := join(t, group, name, manually...)
			until(t, "all records", func() bool { _, _, got := first.state(t); return len(got) == 10 })
			_, _, got := first.state(t)
			ok(t, first.client.CommitRecords(deadline(t), got[5]))
			first.client.Close()
			second := join(t, group, name, manually...)
			until(t, "what was not committed", func() bool { _, _, got := second.state(t); return len(got) == 4 })
			_, _, got = second.state(t)
			equal(t, "values", values(got), []string{"v6", "v7", "v8", "v9"})
		})
	}
}

func TestAStaticMemberReturns(t *testing.T) {
	for protocol, options := range protocols {
		if protocol == "broker" {
			// franz-go 1.22.2 goes away without its instance id, which Kafka refuses too.
			continue
		}
		t.Run(protocol, func(t *testing.T) {
			name, group := topic(t, "static", 4), name("group")
			with := func(instance string) []kgo.Opt {
				return append([]kgo.Opt{kgo.InstanceID(instance), kgo.SessionTimeout(20 * time.Second)}, options...)
			}
			first, second := join(t, group, name, with("one")...), join(t, group, name, with("two")...)
			until(t, "two for each", func() bool {
				mine, _, _ := first.state(t)
				theirs, _, _ := second.state(t)
				return mine == 2 && theirs == 2
			})
			_, before, _ := second.state(t)
			// A static member that closes stays in the group until its session ends.
			first.client.Close()
			first = join(t, group, name, with("one")...)
			until(t, "two again", func() bool { owned, _, _ := first.state(t); return owned == 2 })
			owned, lost, _ := second.state(t)
			equal(t, "the other member", []int{owned, lost}, []int{2, before})
		})
	}
}

func TestANewTopicMatchesAPattern(t *testing.T) {
	group, prefix := name("group"), name("pattern")
	reader := client(t, kgo.ConsumerGroup(group), kgo.ConsumeRegex(), kgo.ConsumeTopics("^"+prefix+"-.*"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.MetadataMaxAge(500*time.Millisecond))
	for _, what := range []string{"first", "second"} {
		found := topic(t, prefix+"-"+what, 1)
		send(t, numbered(found, 1, 1, what))
		fetches := reader.PollFetches(deadline(t))
		ok(t, fetches.Err())
		equal(t, "values", values(fetches.Records()), []string{what + "0"})
	}
}
