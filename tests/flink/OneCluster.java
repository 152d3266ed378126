import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.apache.flink.client.deployment.executors.LocalExecutor;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.PipelineExecutor;
import org.apache.flink.core.execution.PipelineExecutorFactory;
import org.apache.flink.core.execution.PipelineExecutorServiceLoader;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Lets all jobs of this process run on one embedded cluster, where Flink's local executor would
 * start and stop one for each: several hundred small jobs take minutes instead of an hour.
 */
final class OneCluster implements PipelineExecutorServiceLoader, PipelineExecutorFactory {
    private MiniCluster cluster;

    /** A cluster that starts once and stays. */
    private static final class Kept extends MiniCluster {
        private boolean started;

        Kept(MiniClusterConfiguration configuration) {
            super(configuration);
        }

        @Override
        public void start() throws Exception {
            if (!started) {
                started = true;
                super.start();
            }
        }

        @Override
        public CompletableFuture<Void> closeAsync() {
            return CompletableFuture.completedFuture(null);
        }
    }

    /** The environment that is made where none is asked for, as TableEnvironment does. */
    private static final class Environment extends StreamExecutionEnvironment {
        Environment(PipelineExecutorServiceLoader loader, Configuration configuration) {
            super(loader, configuration, null);
        }

        static void install(PipelineExecutorServiceLoader loader) {
            initializeContextEnvironment(configuration -> new Environment(loader, configuration));
        }
    }

    static void install() {
        Environment.install(new OneCluster());
    }

    private synchronized MiniCluster cluster() {
        if (cluster == null) {
            cluster = new Kept(new MiniClusterConfiguration.Builder()
                    .setNumTaskManagers(1).setNumSlotsPerTaskManager(16).withRandomPorts().build());
        }
        return cluster;
    }

    @Override
    public PipelineExecutorFactory getExecutorFactory(Configuration configuration) {
        return this;
    }

    @Override
    public Stream<String> getExecutorNames() {
        return Stream.of(getName());
    }

    @Override
    public String getName() {
        return LocalExecutor.NAME;
    }

    @Override
    public boolean isCompatibleWith(Configuration configuration) {
        return true;
    }

    @Override
    public PipelineExecutor getExecutor(Configuration configuration) {
        return LocalExecutor.createWithFactory(configuration, wanted -> cluster());
    }
}
