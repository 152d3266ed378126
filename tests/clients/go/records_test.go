// Producing and consuming: acknowledgements, headers, codecs, the idempotent producer.

package clients

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRecordsComeBackWhole(t *testing.T) {
	name := topic(t, "whole", 3)
	at := time.UnixMilli(1700000000123)
	large := bytes.Repeat([]byte{7}, 300000)
	headers := []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: nil}, {Key: "b", Value: []byte{0, 255}}}
	send(t, []*kgo.Record{
		{Topic: name, Partition: 2, Key: []byte("k"), Value: []byte("v"), Timestamp: at, Headers: headers},
		{Topic: name, Partition: 2, Value: large},
		{Topic: name, Partition: 2, Key: []byte("tombstone")},
		{Topic: name, Partition: 2, Key: []byte{}, Value: []byte{}},
	})
	got := read(t, name, 4)
	first := got[0]
	equal(t, "partition", first.Partition, 2)
	equal(t, "key and value", string(first.Key)+string(first.Value), "kv")
	equal(t, "timestamp", first.Timestamp.UnixMilli(), at.UnixMilli())
	equal(t, "headers", first.Headers, headers)
	equal(t, "a large value", bytes.Equal(got[1].Value, large), true)
	equal(t, "key and value that are missing", []bool{got[1].Key == nil, got[2].Value == nil}, []bool{true, true})
	equal(t, "key and value that are empty", []bool{got[3].Key != nil, got[3].Value != nil}, []bool{true, true})
	for n, record := range got {
		equal(t, "offset", record.Offset, int64(n))
	}
}

func TestEveryAcknowledgement(t *testing.T) {
	name := topic(t, "acks", 1)
	for _, acks := range []kgo.Acks{kgo.NoAck(), kgo.LeaderAck(), kgo.AllISRAcks()} {
		send(t, numbered(name, 3, 1, "v"), kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite())
	}
	equal(t, "records", len(read(t, name, 9)), 9)
}

func TestEveryCodec(t *testing.T) {
	codecs := map[string]kgo.CompressionCodec{
		"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for codec, compression := range codecs {
		name := topic(t, codec, 1)
		records := numbered(name, 500, 1, codec+" is a word that repeats itself ")
		send(t, records, kgo.ProducerBatchCompression(compression), kgo.ProducerLinger(50*time.Millisecond))
		equal(t, codec, values(read(t, name, 500)), values(records))
	}
}

func TestIdempotentProducerKeepsOrder(t *testing.T) {
	name := topic(t, "idempotent", 2)
	records := numbered(name, 20000, 2, "v")
	// Small batches, so that many are under way at once.
	send(t, records, kgo.ProducerBatchMaxBytes(2000))
	got := read(t, name, 20000)
	for n, record := range got {
		equal(t, "offset", record.Offset, int64(n%10000))
		equal(t, "value", string(record.Value), fmt.Sprintf("v%d", 2*(n%10000)+n/10000))
	}
}

func TestOffsetsToBeginAt(t *testing.T) {
	name := topic(t, "offsets", 1)
	records := numbered(name, 10, 1, "v")
	for n, record := range records {
		record.Timestamp = time.UnixMilli(1700000000000 + int64(n)*1000)
	}
	send(t, records)
	for what, offset := range map[string]kgo.Offset{
		"number":   kgo.NewOffset().At(7),
		"relative": kgo.NewOffset().AtEnd().Relative(-3),
		"time":     kgo.NewOffset().AfterMilli(1700000006500),
	} {
		reader := client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: offset}}))
		fetches := reader.PollFetches(deadline(t))
		ok(t, fetches.Err())
		equal(t, what, values(fetches.Records()), []string{"v7", "v8", "v9"})
	}
}

func TestRefusals(t *testing.T) {
	small := topic(t, "small", 1, "max.message.bytes", "1000")
	refused := func(topic string, size int, wanted error) {
		t.Helper()
		record := &kgo.Record{Topic: topic, Value: make([]byte, size)}
		producer := client(t, kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.UnknownTopicRetries(0))
		if err := producer.ProduceSync(deadline(t), record).FirstErr(); !errors.Is(err, wanted) {
			t.Fatalf("%v instead of %v", err, wanted)
		}
	}
	refused(small, 5000, kerr.MessageTooLarge)
	refused(name("nowhere"), 1, kerr.UnknownTopicOrPartition)
	refused("no/topic", 1, kerr.InvalidTopicException)
}
