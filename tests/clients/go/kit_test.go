// Package clients has scenarios of franz-go against the server that THALWEG_KAFKA names.
// kit_test.go is what they share: clients, topics of their own, and waiting with a deadline.
package clients

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const waitFor = 30 * time.Second

// name is one that no other test uses.
func name(what string) string {
	return fmt.Sprintf("%s-%s", what, rand.Text()[:8])
}

// deadline is a context that ends with the time a step may take.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitFor)
	t.Cleanup(cancel)
	return ctx
}

func server() kgo.Opt {
	return kgo.SeedBrokers(os.Getenv("THALWEG_KAFKA"))
}

func client(t *testing.T, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	made, err := kgo.NewClient(append([]kgo.Opt{server()}, options...)...)
	ok(t, err)
	t.Cleanup(made.CloseAllowingRebalance)
	return made
}

func admin(t *testing.T) *kadm.Client {
	return kadm.NewClient(client(t))
}

func topic(t *testing.T, what string, partitions int32, settings ...string) string {
	t.Helper()
	configs := map[string]*string{}
	for n := 0; n < len(settings); n += 2 {
		configs[settings[n]] = &settings[n+1]
	}
	created, err := admin(t).CreateTopic(deadline(t), partitions, -1, configs, name(what))
	ok(t, err)
	return created.Topic
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T any](t *testing.T, what string, got, wanted T) {
	t.Helper()
	if shown, expected := fmt.Sprintf("%v", got), fmt.Sprintf("%v", wanted); shown != expected {
		t.Fatalf("%s: %s instead of %s", what, shown, expected)
	}
}

// until asks until the condition holds.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(waitFor); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", waitFor, what)
		}
	}
}

// numbered are records word0, word1, ... in the partitions by turns.
func numbered(topic string, count, partitions int, word string) []*kgo.Record {
	records := make([]*kgo.Record, count)
	for n := range records {
		value := fmt.Appendf(nil, "%s%d", word, n)
		records[n] = &kgo.Record{Topic: topic, Partition: int32(n % partitions), Value: value}
	}
	return records
}

func manual() kgo.Opt {
	return kgo.RecordPartitioner(kgo.ManualPartitioner())
}

func send(t *testing.T, records []*kgo.Record, options ...kgo.Opt) {
	t.Helper()
	producer := client(t, append(options, manual())...)
	ok(t, producer.ProduceSync(deadline(t), records...).FirstErr())
}

func values(records []*kgo.Record) []string {
	found := make([]string, len(records))
	for n, record := range records {
		found[n] = string(record.Value)
	}
	return found
}

// read takes at least `count` records of a topic from its beginning, in order of
// partition and offset.
func read(t *testing.T, topic string, count int, options ...kgo.Opt) []*kgo.Record {
	t.Helper()
	options = append(options, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	reader := client(t, options...)
	ctx := deadline(t)
	var got []*kgo.Record
	for len(got) < count {
		fetches := reader.PollFetches(ctx)
		ok(t, fetches.Err())
		got = append(got, fetches.Records()...)
	}
	slices.SortFunc(got, func(a, b *kgo.Record) int {
		return int(a.Partition-b.Partition)<<32 + int(a.Offset-b.Offset)
	})
	return got
}

// member is a running member of a group.
type member struct {
	client *kgo.Client
	lock   sync.Mutex
	owned  map[int32]bool
	lost   int
	got    []*kgo.Record
	failed error
}

func join(t *testing.T, group, topic string, options ...kgo.Opt) *member {
	t.Helper()
	m := &member{owned: map[int32]bool{}}
	gone := func(_ context.Context, _ *kgo.Client, revoked map[string][]int32) {
		m.lock.Lock()
		defer m.lock.Unlock()
		for _, partition := range revoked[topic] {
			delete(m.owned, partition)
			m.lost++
		}
	}
	options = append(options,
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.HeartbeatInterval(200*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsLost(gone),
		// Who has this hook commits in it.
		kgo.OnPartitionsRevoked(func(ctx context.Context, client *kgo.Client, revoked map[string][]int32) {
			if manual, _ := client.OptValue(kgo.DisableAutoCommit).(bool); !manual {
				_ = client.CommitUncommittedOffsets(ctx)
			}
			gone(ctx, client, revoked)
		}),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, added map[string][]int32) {
			m.lock.Lock()
			defer m.lock.Unlock()
			for _, partition := range added[topic] {
				m.owned[partition] = true
			}
		}))
	m.client = client(t, options...)
	go m.run()
	return m
}

func (m *member) run() {
	for {
		fetches := m.client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		m.lock.Lock()
		m.got = append(m.got, fetches.Records()...)
		if err := fetches.Err(); err != nil {
			m.failed = err
		}
		m.lock.Unlock()
	}
}

// state is the partitions owned, how many were given up so far, and the records so far.
func (m *member) state(t *testing.T) (int, int, []*kgo.Record) {
	t.Helper()
	m.lock.Lock()
	defer m.lock.Unlock()
	ok(t, m.failed)
	return len(m.owned), m.lost, slices.Clone(m.got)
}

// leave commits what was read, and leaves the group.
func (m *member) leave(t *testing.T) {
	t.Helper()
	ok(t, m.client.CommitUncommittedOffsets(deadline(t)))
	m.client.Close()
}
