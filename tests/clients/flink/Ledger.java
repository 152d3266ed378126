// What goes into FlinkCounter and what must come out of it.
// Ledger create BOOTSTRAP IN OUT
// Ledger fill   BOOTSTRAP IN COUNT SECONDS          the numbers under COUNT, spread over a time
// Ledger await  BOOTSTRAP IN OUT GROUP COUNT        until all of them are counted and committed
// Ledger check  BOOTSTRAP OUT ID_PREFIX COUNT       each was counted once, and nothing is left open
// For `check` the job is over. Exits with an error where something is not as it must be.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeProducersResult.PartitionProducerState;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;

public final class Ledger {
    private static final int SOURCE_PARTITIONS = 4;
    private static final int TARGET_PARTITIONS = 3;
    private static final long WAIT_NANOS = 60_000_000_000L;

    private final String bootstrap;

    private Ledger(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    public static void main(String[] args) throws Exception {
        Ledger ledger = new Ledger(args[1]);
        switch (args[0]) {
            case "create" -> ledger.create(args[2], args[3]);
            case "fill" -> ledger.fill(args[2], Integer.parseInt(args[3]), Integer.parseInt(args[4]));
            case "await" -> ledger.await(args[2], args[3], args[4], Integer.parseInt(args[5]));
            case "check" -> ledger.check(args[2], args[3], Integer.parseInt(args[4]));
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    private Properties settings(String isolation) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("isolation.level", isolation);
        settings.put("enable.auto.commit", "false");
        settings.put("reconnect.backoff.max.ms", "100");
        for (String what : List.of("key", "value")) {
            String of = "org.apache.kafka.common.serialization.String";
            settings.put(what + ".serializer", of + "Serializer");
            settings.put(what + ".deserializer", of + "Deserializer");
        }
        return settings;
    }

    private void create(String source, String target) throws Exception {
        try (Admin admin = Admin.create(settings("read_committed"))) {
            admin.createTopics(List.of(
                new NewTopic(source, SOURCE_PARTITIONS, (short) 1),
                new NewTopic(target, TARGET_PARTITIONS, (short) 1))).all().get();
        }
    }

    // The same remainder goes to the same partition, so that the order of its numbers stays.
    private void fill(String topic, int count, int seconds) throws Exception {
        long began = System.nanoTime();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings("read_committed"))) {
            for (int number = 0; number < count; number++) {
                long due = began + (long) number * seconds * 1_000_000_000L / count;
                while (System.nanoTime() < due) {
                    Thread.sleep(1);
                }
                String key = String.valueOf(number % FlinkCounter.KEYS);
                sent.add(producer.send(new ProducerRecord<>(topic, key, String.valueOf(number))));
            }
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        }
    }

    private void await(String source, String target, String group, int count) throws Exception {
        long deadline = System.nanoTime() + WAIT_NANOS;
        try (KafkaConsumer<String, String> reader = reader(target, "read_committed");
                Admin admin = Admin.create(settings("read_committed"))) {
            int seen = 0;
            while (seen < count || lag(admin, reader, source, group) > 0) {
                if (System.nanoTime() > deadline) {
                    throw new AssertionError(seen + " of " + count + " were counted, the group lags by "
                        + lag(admin, reader, source, group));
                }
                seen += reader.poll(Duration.ofMillis(200)).count();
            }
        }
    }

    private static long lag(Admin admin, KafkaConsumer<String, String> reader, String topic, String group)
            throws ExecutionException, InterruptedException {
        Map<TopicPartition, OffsetAndMetadata> reached =
            admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        return reader.endOffsets(partitions(topic, SOURCE_PARTITIONS)).entrySet().stream()
            .mapToLong(end -> {
                OffsetAndMetadata offset = reached.get(end.getKey());
                return end.getValue() - (offset == null ? 0 : offset.offset());
            }).sum();
    }

    private void check(String target, String prefix, int count) throws Exception {
        nothingIsOpen(target, prefix);
        List<TopicPartition> partitions = partitions(target, TARGET_PARTITIONS);
        // Behind all others: whoever waits for a transaction's end never gets here.
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings("read_committed"))) {
            for (TopicPartition partition : partitions) {
                producer.send(new ProducerRecord<>(target, partition.partition(), null, "end")).get();
            }
        }
        Map<String, List<String>> counted = read(target);
        int all = 0;
        for (int key = 0; key < FlinkCounter.KEYS; key++) {
            List<String> lines = counted.getOrDefault(String.valueOf(key), List.of());
            int place = 0;
            for (long number = key; number < count; number += FlinkCounter.KEYS) {
                String expected = key + " " + number + " " + (place + 1);
                String found = place < lines.size() ? lines.get(place) : "nothing";
                require(found.equals(expected), "'" + found + "' instead of '" + expected + "'");
                place++;
            }
            require(lines.size() == place, lines.size() + " lines of " + key + " instead of " + place);
            all += place;
        }
        System.out.println(all + " exactly once");
    }

    // What a read_committed reader sees before each partition's end, by key.
    private Map<String, List<String>> read(String topic) {
        Map<String, List<String>> lines = new HashMap<>();
        Set<Integer> ended = new HashSet<>();
        long deadline = System.nanoTime() + WAIT_NANOS;
        try (KafkaConsumer<String, String> reader = reader(topic, "read_committed")) {
            while (ended.size() < TARGET_PARTITIONS) {
                require(System.nanoTime() < deadline, "the end of " + topic + " is not to be seen");
                for (ConsumerRecord<String, String> record : reader.poll(Duration.ofMillis(200))) {
                    if (record.key() == null) {
                        ended.add(record.partition());
                    } else {
                        lines.computeIfAbsent(record.key(), key -> new ArrayList<>()).add(record.value());
                    }
                }
            }
        }
        return lines;
    }

    // No transaction of the job is open, neither at its coordinator nor in the log.
    private void nothingIsOpen(String target, String prefix) throws Exception {
        List<TopicPartition> partitions = partitions(target, TARGET_PARTITIONS);
        try (Admin admin = Admin.create(settings("read_committed"));
                KafkaConsumer<String, String> committed = reader(target, "read_committed");
                KafkaConsumer<String, String> all = reader(target, "read_uncommitted")) {
            Collection<TransactionListing> listed =
                admin.listTransactions(new ListTransactionsOptions()).all().get();
            List<String> ids = listed.stream().map(TransactionListing::transactionalId)
                .filter(id -> id.startsWith(prefix)).collect(Collectors.toList());
            require(!ids.isEmpty(), "no transactions of " + prefix);
            List<TransactionDescription> described =
                List.copyOf(admin.describeTransactions(ids).all().get().values());
            for (TransactionDescription one : described) {
                require(one.transactionTimeoutMs() == 3_600_000, "a timeout of " + one.transactionTimeoutMs());
                require(isOver(one.state()), "open: " + one);
            }
            for (PartitionProducerState state : admin.describeProducers(partitions).all().get().values()) {
                for (ProducerState producer : state.activeProducers()) {
                    require(producer.currentTransactionStartOffset().isEmpty(), "open: " + producer);
                }
            }
            Map<TopicPartition, Long> stable = committed.endOffsets(partitions);
            require(stable.equals(all.endOffsets(partitions)), "the end of what is committed is " + stable);
            System.out.println(described.size() + " transactional ids, none open");
        }
    }

    private static boolean isOver(TransactionState state) {
        return state == TransactionState.COMPLETE_COMMIT || state == TransactionState.COMPLETE_ABORT
            || state == TransactionState.EMPTY;
    }

    private KafkaConsumer<String, String> reader(String topic, String isolation) {
        KafkaConsumer<String, String> reader = new KafkaConsumer<>(settings(isolation));
        List<TopicPartition> partitions = partitions(topic, TARGET_PARTITIONS);
        reader.assign(partitions);
        reader.seekToBeginning(partitions);
        return reader;
    }

    private static List<TopicPartition> partitions(String topic, int count) {
        List<TopicPartition> partitions = new ArrayList<>();
        for (int partition = 0; partition < count; partition++) {
            partitions.add(new TopicPartition(topic, partition));
        }
        return partitions;
    }

    private static void require(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }
}
