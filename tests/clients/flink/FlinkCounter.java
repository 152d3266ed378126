// Counts a topic's numbers by their remainder, from Kafka to Kafka, exactly once.
// FlinkCounter BOOTSTRAP IN OUT GROUP ID_PREFIX NAMING CHECKPOINTS [CHECKPOINT]
// NAMING is Flink's naming of transactions: INCREMENTING or POOLING. Checkpoints go into the folder
// CHECKPOINTS and stay there; with CHECKPOINT the job goes on from that one. Runs until it is killed
// and says each checkpoint that is complete.

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

public final class FlinkCounter {
    static final long KEYS = 17;

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0];
        StreamExecutionEnvironment job =
            StreamExecutionEnvironment.getExecutionEnvironment(settings(args[6], args.length > 7 ? args[7] : null));
        KafkaSource<String> source = KafkaSource.<String>builder()
            .setBootstrapServers(bootstrap)
            .setTopics(args[1])
            .setGroupId(args[3])
            .setStartingOffsets(OffsetsInitializer.earliest())
            .setValueOnlyDeserializer(new SimpleStringSchema())
            .setProperties(clients())
            .build();
        // The transaction timeout stays as Flink has it: an hour.
        KafkaSink<String> sink = KafkaSink.<String>builder()
            .setBootstrapServers(bootstrap)
            .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
            .setTransactionalIdPrefix(args[4])
            .setTransactionNamingStrategy(TransactionNamingStrategy.valueOf(args[5]))
            .setKafkaProducerConfig(clients())
            // Pooling asks it for the topic, to find the transactions that are open there.
            .setRecordSerializer(KafkaRecordSerializationSchema.<String>builder()
                .setTopic(args[2])
                .setKeySerializationSchema((String line) -> bytes(line.split(" ")[0]))
                .setValueSerializationSchema(new SimpleStringSchema())
                .build())
            .build();
        job.fromSource(source, WatermarkStrategy.noWatermarks(), "numbers").uid("source")
            .keyBy(number -> Long.parseLong(number) % KEYS, Types.LONG)
            .process(new Counter()).uid("count")
            .sinkTo(sink).uid("sink");
        job.execute("count");
    }

    private static Configuration settings(String checkpoints, String restored) {
        Map<String, String> settings = new HashMap<>();
        settings.put("parallelism.default", "2");
        settings.put("execution.checkpointing.interval", "500 ms");
        settings.put("execution.checkpointing.timeout", "10 s");
        settings.put("execution.checkpointing.storage", "filesystem");
        settings.put("execution.checkpointing.dir", checkpoints);
        settings.put("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
        settings.put("restart-strategy.type", "fixed-delay");
        settings.put("restart-strategy.fixed-delay.attempts", "1000000");
        settings.put("restart-strategy.fixed-delay.delay", "100 ms");
        if (restored != null) {
            settings.put("execution.state-recovery.path", restored);
        }
        return Configuration.fromMap(settings);
    }

    private static Properties clients() {
        Properties settings = new Properties();
        settings.put("reconnect.backoff.max.ms", "100");
        return settings;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    // REMAINDER NUMBER COUNT for each number.
    private static final class Counter extends KeyedProcessFunction<Long, String, String>
            implements CheckpointListener {
        private transient ValueState<Long> count;

        @Override
        public void open(OpenContext context) {
            count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Types.LONG));
        }

        @Override
        public void processElement(String number, Context context, Collector<String> out)
                throws Exception {
            long next = count.value() == null ? 1 : count.value() + 1;
            count.update(next);
            out.collect(context.getCurrentKey() + " " + number + " " + next);
        }

        @Override
        public void notifyCheckpointComplete(long checkpoint) {
            if (getRuntimeContext().getTaskInfo().getIndexOfThisSubtask() == 0) {
                System.out.println("checkpoint " + checkpoint);
            }
        }
    }
}
