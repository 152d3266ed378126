// Transactions: what readers see, fenced producers, and copying a topic exactly once.

package clients

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var committed = kgo.FetchIsolationLevel(kgo.ReadCommitted())

func inTransaction(t *testing.T, producer *kgo.Client, records []*kgo.Record, end kgo.TransactionEndTry) {
	t.Helper()
	ok(t, producer.BeginTransaction())
	ok(t, producer.ProduceSync(deadline(t), records...).FirstErr())
	ok(t, producer.EndTransaction(deadline(t), end))
}

func TestCommittedAndAborted(t *testing.T) {
	name, id := topic(t, "tx", 2), name("id")
	producer := client(t, kgo.TransactionalID(id), manual())
	inTransaction(t, producer, numbered(name, 4, 2, "lost "), kgo.TryAbort)
	inTransaction(t, producer, numbered(name, 4, 2, "kept "), kgo.TryCommit)
	inTransaction(t, producer, numbered(name, 4, 2, "lost again "), kgo.TryAbort)
	inTransaction(t, producer, numbered(name, 4, 2, "last "), kgo.TryCommit)
	wanted := []string{"kept 0", "kept 2", "last 0", "last 2", "kept 1", "kept 3", "last 1", "last 3"}
	equal(t, "committed", values(read(t, name, 8, committed)), wanted)
	equal(t, "all", len(read(t, name, 16)), 16)
}

func TestAnOpenTransactionIsSeen(t *testing.T) {
	name, id := topic(t, "open", 1), name("id")
	producer := client(t, kgo.TransactionalID(id), manual())
	ok(t, producer.BeginTransaction())
	ok(t, producer.ProduceSync(deadline(t), numbered(name, 2, 1, "open ")...).FirstErr())
	send(t, numbered(name, 1, 1, "behind "))
	look := admin(t)
	described, err := look.DescribeTransactions(deadline(t), id)
	ok(t, err)
	equal(t, "state", described[id].State, "Ongoing")
	equal(t, "partitions", described[id].Topics.Lookup(name, 0), true)
	listed, err := look.ListTransactions(deadline(t), nil, []string{"Ongoing"})
	ok(t, err)
	equal(t, "listed", slices.Contains(listed.TransactionalIDs(), id), true)
	stable, err := look.ListCommittedOffsets(deadline(t), name)
	ok(t, err)
	end, err := look.ListEndOffsets(deadline(t), name)
	ok(t, err)
	offsets := []int64{stable[name][0].Offset, end[name][0].Offset}
	equal(t, "last stable offset and end", offsets, []int64{0, 3})
	ok(t, producer.EndTransaction(deadline(t), kgo.TryCommit))
	equal(t, "values", values(read(t, name, 3, committed)), []string{"open 0", "open 1", "behind 0"})
}

func TestANewProducerFencesTheOld(t *testing.T) {
	name, id := topic(t, "fenced", 1), name("id")
	old := client(t, kgo.TransactionalID(id), manual())
	ok(t, old.BeginTransaction())
	ok(t, old.ProduceSync(deadline(t), numbered(name, 1, 1, "zombie ")...).FirstErr())
	fresh := client(t, kgo.TransactionalID(id), manual())
	inTransaction(t, fresh, numbered(name, 1, 1, "fresh "), kgo.TryCommit)
	err := old.ProduceSync(deadline(t), numbered(name, 1, 1, "zombie ")...).FirstErr()
	if !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) {
		t.Fatalf("%v instead of a refusal", err)
	}
	equal(t, "values", values(read(t, name, 1, committed)), []string{"fresh 0"})
}

// TestCopiesExactlyOnce copies a topic in sessions that abort every third transaction,
// while members come and go.
func TestCopiesExactlyOnce(t *testing.T) {
	for protocol, options := range protocols {
		t.Run(protocol, func(t *testing.T) {
			const count = 600
			source, target, group := topic(t, "in", 4), topic(t, "out", 4), name("group")
			records := numbered(source, count, 4, "v")
			send(t, records)
			ctx, stop := context.WithTimeout(context.Background(), waitFor)
			defer stop()
			failed := make(chan error, 3)
			for n := range 3 {
				session, err := kgo.NewGroupTransactSession(append([]kgo.Opt{
					server(),
					kgo.TransactionalID(name("id")), kgo.ConsumerGroup(group), kgo.ConsumeTopics(source),
					kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), committed, kgo.RequireStableFetchOffsets(),
				}, options...)...)
				ok(t, err)
				// The last member leaves early.
				go func() { failed <- copies(ctx, session, target, n == 2) }()
			}
			got := read(t, target, count, committed)
			stop()
			for range 3 {
				ok(t, <-failed)
			}
			found, wanted := values(got), values(records)
			slices.Sort(found)
			slices.Sort(wanted)
			equal(t, "copied", found, wanted)
		})
	}
}

// copies runs until the context ends, or for four transactions.
func copies(ctx context.Context, session *kgo.GroupTransactSession, target string, leaves bool) error {
	defer session.Close()
	for n := 1; ctx.Err() == nil && !(leaves && n > 4); n++ {
		fetches := session.PollRecords(ctx, 20)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		if err := session.Begin(); err != nil {
			return err
		}
		fetches.EachRecord(func(record *kgo.Record) {
			session.Produce(ctx, &kgo.Record{Topic: target, Value: record.Value}, nil)
		})
		if _, err := session.End(ctx, kgo.TransactionEndTry(n%3 != 0)); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}
