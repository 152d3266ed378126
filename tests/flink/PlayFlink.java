import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.ExplainDetail;
import org.apache.flink.table.api.SqlParserException;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableException;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.catalog.Column;
import org.apache.flink.table.functions.ScalarFunction;
import org.apache.flink.types.Row;
import org.apache.flink.types.RowKind;
import org.apache.flink.util.CloseableIterator;

/**
 * Plays SQL files through the Flink in the class path and writes what each gives, in the form that
 * README.md beside this file describes.
 *
 * <p>Arguments: RUNS, then pairs of a script (placeholders already replaced) and the file to write.
 * A file is written only when RUNS runs agree; a line for each case goes to standard output.
 */
public class PlayFlink {
    static final Pattern SET =
            Pattern.compile("(?is)\\s*SET\\s+'([^']*)'\\s*=\\s*'([^']*)'\\s*");
    static final Pattern PLACE = Pattern.compile("(?i)line (\\d+), column (\\d+)");
    static final Pattern MODE = Pattern.compile("changelogMode=\\[([A-Z,]*)\\]");
    static final long TIMEOUT_S = 120;

    /** The benchmark's user function of Nexmark q14: how often a character occurs. */
    public static class CountChar extends ScalarFunction {
        public Long eval(String text, String character) {
            return text == null
                    ? 0L
                    : text.chars().filter(c -> c == character.charAt(0)).count();
        }
    }

    /** A statement at its place in the file, so that error positions are those of the file. */
    record Statement(String text, int at) {
        /** Blanks and line ends stand for all that comes before it. */
        String placed(String file) {
            return file.substring(0, at).replaceAll("[^\\n]", " ") + text;
        }

        String firstWord() {
            return text.split("\\s+", 2)[0].toUpperCase();
        }
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = System.out;
        OneCluster.install();
        int runs = Integer.parseInt(args[0]);
        for (int i = 1; i + 1 < args.length; i += 2) {
            Path script = Path.of(args[i]);
            String text = Files.readString(script);
            String answer = null;
            boolean agree = true;
            for (int run = 0; run < runs && agree; run++) {
                String again = withinTime(script.getFileName().toString(), text);
                agree = answer == null || answer.equals(again);
                answer = again;
            }
            if (agree) {
                Files.createDirectories(Path.of(args[i + 1]).toAbsolutePath().getParent());
                Files.writeString(Path.of(args[i + 1]), answer);
            }
            System.setOut(out);
            String first = answer.lines().findFirst().orElse("");
            out.println((agree ? "agreed " : "DISAGREED ") + script.getFileName() + " " + first);
            out.flush();
        }
        System.exit(0);
    }

    static String withinTime(String name, String text) throws Exception {
        ExecutorService worker = Executors.newSingleThreadExecutor(r -> {
            Thread thread = new Thread(r, name);
            thread.setDaemon(true);
            return thread;
        });
        Future<String> played = worker.submit(() -> play(text));
        try {
            return played.get(TIMEOUT_S, TimeUnit.SECONDS);
        } catch (TimeoutException late) {
            return "error: timeout\n";
        } finally {
            worker.shutdownNow();
        }
    }

    static String play(String file) {
        Configuration conf = new Configuration();
        conf.setString("parallelism.default", "1");
        conf.setString("table.local-time-zone", "UTC");
        conf.setString("execution.target", "local");
        conf.setString("execution.attached", "true");
        conf.setString("restart-strategy.type", "none");
        TableEnvironment tables =
                TableEnvironment.create(
                        EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(conf).build());
        String stage = "planning";
        try {
            List<Statement> statements = statements(file);
            for (Statement statement : statements.subList(0, statements.size() - 1)) {
                prepare(tables, statement, file);
            }
            Statement last = statements.get(statements.size() - 1);
            boolean rows = List.of("SELECT", "WITH", "VALUES").contains(last.firstWord());
            String plan = rows || last.firstWord().equals("INSERT") || last.firstWord().equals("EXECUTE")
                    ? tables.explainSql(last.placed(file), ExplainDetail.CHANGELOG_MODE)
                    : "";
            if (!rows) {
                return inserted(tables, last, file, plan);
            }
            TableResult result = tables.executeSql(last.placed(file));
            stage = "runtime";
            StringBuilder answer = new StringBuilder();
            answer.append("stream: ").append(mode(plan)).append('\n');
            for (Column column : result.getResolvedSchema().getColumns()) {
                answer.append("column: ").append(column.getName()).append(' ')
                        .append(column.getDataType().getLogicalType().asSummaryString()).append('\n');
            }
            Map<String, Long> counts = new TreeMap<>();
            String keyLine = file.lines().filter(l -> l.startsWith("-- key: ")).findFirst().orElse(null);
            Map<String, String> latest = new TreeMap<>();
            long after = 0;
            long before = 0;
            try (CloseableIterator<Row> it = result.collect()) {
                while (it.hasNext()) {
                    Row row = it.next();
                    boolean add = row.getKind() == RowKind.INSERT || row.getKind() == RowKind.UPDATE_AFTER;
                    after += row.getKind() == RowKind.UPDATE_AFTER ? 1 : 0;
                    before += row.getKind() == RowKind.UPDATE_BEFORE ? 1 : 0;
                    row.setKind(RowKind.INSERT);
                    if (keyLine == null || keyLine.equals("-- key: none")) {
                        counts.merge(shown(row), add ? 1L : -1L, Long::sum);
                    } else {
                        upsert(latest, row, add, keyLine.substring(8).split("\\s*,\\s*"));
                    }
                }
            }
            if (after > 0 && before == 0 && keyLine == null) {
                throw new IllegalStateException("updates without what was before: give the case a `-- key:` line");
            }
            latest.values().forEach(row -> counts.merge(row, 1L, Long::sum));
            return answer + lines(counts);
        } catch (Throwable thrown) {
            return error(thrown, stage);
        }
    }

    static void prepare(TableEnvironment tables, Statement statement, String file) {
        Matcher set = SET.matcher(statement.text());
        if (set.matches()) {
            tables.getConfig().set(set.group(1), set.group(2));
        } else if (statement.text().contains("com.github.nexmark.flink.udf.CountChar")) {
            tables.createTemporarySystemFunction("count_char", CountChar.class);
        } else {
            TableResult result = tables.executeSql(statement.placed(file));
            if (statement.firstWord().equals("INSERT")) {
                try {
                    result.await();
                } catch (Exception failed) {
                    throw new RuntimeException(failed);
                }
            }
        }
    }

    /** An INSERT into the print connector: what it prints; into another sink: that it ran. */
    static String inserted(TableEnvironment tables, Statement last, String file, String plan) throws Exception {
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        TableResult result = tables.executeSql(last.placed(file));
        boolean job = result.getJobClient().isPresent();
        StringBuilder answer = new StringBuilder();
        if (job) {
            try {
                result.await();
            } catch (Throwable failed) {
                return error(failed, "runtime");
            }
            answer.append("stream: ").append(mode(plan)).append('\n');
            Map<String, Long> counts = new TreeMap<>();
            Map<String, String> latest = file.startsWith("-- key: first") ? new TreeMap<>() : null;
            for (String line : printed.toString(StandardCharsets.UTF_8).split("\n")) {
                Matcher kind = Pattern.compile("(?:(.*)> )?([+-][IUD])(\\[.*\\])").matcher(line);
                if (kind.matches()) {
                    if (latest != null) {
                        String old = latest.put(kind.group(3).split(", ")[0], kind.group(3));
                        if (old != null) {
                            counts.merge(old, -1L, Long::sum);
                        }
                    }
                    String name = kind.group(1) == null ? "" : kind.group(1) + " ";
                    counts.merge(name + kind.group(3), kind.group(2).startsWith("+") ? 1L : -1L, Long::sum);
                }
            }
            return answer + lines(counts);
        }
        answer.append("stream: none\n");
        Map<String, Long> counts = new TreeMap<>();
        try (CloseableIterator<Row> it = result.collect()) {
            while (it.hasNext()) {
                counts.merge(shown(it.next()), 1L, Long::sum);
            }
        }
        return answer + lines(counts);
    }

    static void upsert(Map<String, String> latest, Row row, boolean add, String[] keys) {
        StringBuilder key = new StringBuilder();
        for (String name : keys) {
            key.append(row.getField(name)).append('\u0001');
        }
        if (add) {
            latest.put(key.toString(), shown(row));
        } else if (shown(row).equals(latest.get(key.toString()))) {
            latest.remove(key.toString());
        }
    }

    /** A row without its kind, in the form of Flink's own print connector. */
    static String shown(Row row) {
        return row.toString().substring(2).replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r");
    }

    static String lines(Map<String, Long> counts) {
        StringBuilder text = new StringBuilder();
        counts.forEach((row, count) -> {
            if (count != 0) {
                text.append(count > 0 ? "+" : "").append(count).append(' ').append(row).append('\n');
            }
        });
        return text.toString();
    }

    /** Whether the node that gives the answer is planned with inserts alone. */
    static String mode(String plan) {
        int at = plan.indexOf("== Optimized Physical Plan ==");
        Matcher mode = MODE.matcher(plan.substring(Math.max(at, 0)));
        while (mode.find()) {
            if (!mode.group(1).equals("NONE")) {
                return mode.group(1).equals("I") ? "append-only" : "updating";
            }
        }
        return "unknown";
    }

    /** The class of an error and, where Flink names one, its place as line:column. */
    static String error(Throwable thrown, String stage) {
        String kind = stage;
        String place = "";
        List<String> messages = new ArrayList<>();
        boolean known = false;
        for (Throwable t = thrown; t != null && t != t.getCause(); t = t.getCause()) {
            if (!known && !stage.equals("runtime")) {
                known = true;
                if (t instanceof SqlParserException) {
                    kind = "parse";
                } else if (t instanceof ValidationException) {
                    kind = "validation";
                } else if (t instanceof TableException) {
                    kind = "planning";
                } else {
                    known = false;
                }
            }
            messages.add(String.valueOf(t.getMessage()));
            Matcher found = PLACE.matcher(String.valueOf(t.getMessage()));
            if (place.isEmpty() && found.find()) {
                place = " at " + found.group(1) + ":" + found.group(2);
            }
        }
        System.err.println(Thread.currentThread().getName() + ": " + String.join(" | ", messages));
        return "error: " + kind + place + "\n";
    }

    /** Splits at the semicolons outside strings, quoted names, comments and statement sets. */
    static List<Statement> statements(String file) {
        List<Statement> all = new ArrayList<>();
        StringBuilder text = new StringBuilder();
        int start = 0;
        int i = 0;
        while (i < file.length()) {
            char c = file.charAt(i);
            int end = i + 1;
            if (c == '\'' || c == '`') {
                end = file.indexOf(c, i + 1) + 1;
                end = end == 0 ? file.length() : end;
                text.append(file, i, end);
            } else if (file.startsWith("--", i)) {
                end = file.indexOf('\n', i);
                end = end < 0 ? file.length() : end;
                text.append(" ".repeat(end - i));
            } else if (c == ';' && !openSet(text.toString())) {
                add(all, text.toString(), start);
                text.setLength(0);
                start = end;
            } else {
                text.append(c);
            }
            i = end;
        }
        add(all, text.toString(), start);
        return all;
    }

    static boolean openSet(String text) {
        String upper = text.strip().toUpperCase();
        return upper.startsWith("EXECUTE STATEMENT SET") && !upper.endsWith("END");
    }

    static void add(List<Statement> all, String text, int start) {
        if (!text.isBlank()) {
            int lead = text.length() - text.stripLeading().length();
            all.add(new Statement(text.strip(), start + lead));
        }
    }
}
