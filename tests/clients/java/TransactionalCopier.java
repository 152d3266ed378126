// Copies a topic exactly once: consume, transform, produce and commit offsets in one transaction.
// TransactionalCopier BOOTSTRAP IN OUT GROUP TRANSACTIONAL_ID ABORT_EVERY
// Every ABORT_EVERYth transaction is aborted and done again; 0 aborts none. Ends when everything
// that is in IN is copied. Whatever fails, it begins anew where its group stands. Says each step.

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

public final class TransactionalCopier {
    private final Properties settings;
    private final String source;
    private final String target;
    private final int abortEvery;
    private int transactions = 0;

    private TransactionalCopier(String[] args) {
        settings = settings(args[0], args[3], args[4]);
        source = args[1];
        target = args[2];
        abortEvery = Integer.parseInt(args[5]);
    }

    public static void main(String[] args) {
        TransactionalCopier copier = new TransactionalCopier(args);
        while (!copier.attempt()) {
            System.out.println("again");
        }
    }

    private static Properties settings(String bootstrap, String group, String transactionalId) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("group.id", group);
        // The successor of one that was killed need not wait for the end of its session.
        settings.put("group.instance.id", transactionalId);
        settings.put("transactional.id", transactionalId);
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("isolation.level", "read_committed");
        settings.put("max.poll.records", "25");
        settings.put("reconnect.backoff.max.ms", "100");
        for (String what : List.of("key", "value")) {
            String of = "org.apache.kafka.common.serialization.String";
            settings.put(what + ".serializer", of + "Serializer");
            settings.put(what + ".deserializer", of + "Deserializer");
        }
        return settings;
    }

    // With clients of its own. False where something failed.
    private boolean attempt() {
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings);
        KafkaProducer<String, String> producer = new KafkaProducer<>(settings);
        try {
            consumer.subscribe(List.of(source));
            producer.initTransactions();
            System.out.println("initialised");
            while (!isDone(consumer)) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
                if (!records.isEmpty()) {
                    copy(consumer, producer, records);
                }
            }
            return true;
        } catch (KafkaException | IllegalStateException failed) {
            System.err.println(failed);
            return false;
        } finally {
            // Neither ends its transaction nor waits for a server that may be gone.
            producer.close(Duration.ZERO);
            consumer.close(CloseOptions.timeout(Duration.ZERO));
        }
    }

    private void copy(KafkaConsumer<String, String> consumer,
            KafkaProducer<String, String> producer, ConsumerRecords<String, String> records) {
        producer.beginTransaction();
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (ConsumerRecord<String, String> record : records) {
            producer.send(new ProducerRecord<>(target, record.key(), record.value()));
            offsets.put(new TopicPartition(record.topic(), record.partition()),
                new OffsetAndMetadata(record.offset() + 1));
        }
        transactions++;
        if (abortEvery > 0 && transactions % abortEvery == 0) {
            producer.flush();
            System.out.println("aborting");
            producer.abortTransaction();
            for (TopicPartition partition : records.partitions()) {
                consumer.seek(partition, records.records(partition).get(0).offset());
            }
            return;
        }
        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
        System.out.println("committing");
        producer.commitTransaction();
        System.out.println("committed");
    }

    // Whether the group stands at the end of every partition.
    private boolean isDone(KafkaConsumer<String, String> consumer) {
        Set<TopicPartition> partitions = consumer.partitionsFor(source).stream()
            .map(found -> new TopicPartition(source, found.partition()))
            .collect(Collectors.toSet());
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(partitions);
        return consumer.endOffsets(partitions).entrySet().stream().allMatch(end -> {
            OffsetAndMetadata reached = committed.get(end.getKey());
            return end.getValue() <= (reached == null ? 0 : reached.offset());
        });
    }
}
