//! Plans of queries as EXPLAIN shows them, and properties of the graph.

use thalweg_stream::graph::{Exchange, Operator};

use crate::support::{explain, job, session};

const TABLES: &str = "
CREATE TABLE clicks (
    id BIGINT,
    user_id STRING,
    url STRING,
    item ROW<name STRING, size INT, tags ARRAY<STRING>>,
    attributes MAP<STRING, INT>,
    `key` INT, `value` STRING, `day` STRING, `minute` INT, `timestamp` BIGINT,
    offset_ BIGINT METADATA FROM 'offset' VIRTUAL,
    ts AS TO_TIMESTAMP_LTZ(`timestamp`, 3),
    p AS PROCTIME(),
    WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'kafka');
CREATE TABLE out (a STRING, n BIGINT) WITH ('connector' = 'print');
CREATE TABLE upsert (a STRING, n BIGINT, PRIMARY KEY (a) NOT ENFORCED)
WITH ('connector' = 'upsert-kafka');
";

fn check(sql: &str, expected: &str) {
    let session = session(TABLES);
    let plan = explain(&session, sql).unwrap_or_else(|error| panic!("{}", error.render(sql)));
    let lines =
        |text: &str| text.trim().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(lines(&plan), lines(expected), "\n{plan}");
}

#[test]
fn reserved_words_and_nested_values() {
    check(
        "SELECT `key`, value, day, minute, item.name, item.tags[1] AS tag, attributes['x'] AS x,
                c.url
         FROM clicks AS c WHERE c.item.size > 3",
        r"
[2] sink default_catalog.default_database.query (print)
  <-- [1] calc
      where: item.size > 3
      select: key, value, day, minute, item.name AS name, item.tags[1] AS tag, attributes['x'] AS x, url
      changelog: insert
    <-- [0] source default_catalog.default_database.clicks (kafka)
        reads: url, item(name, size, tags), attributes, key, value, day, minute
        changelog: insert
",
    );
}

#[test]
fn names_of_columns_are_flinks() {
    check(
        "SELECT id + 1, url, url, c.user_id, COALESCE(url, 'x') AS url FROM clicks c",
        r"
[2] sink default_catalog.default_database.query (print)
  <-- [1] calc
      select: id + 1 AS EXPR$0, url, url AS url0, user_id, CASE WHEN url IS NOT NULL THEN url ELSE 'x' END AS url1
      changelog: insert
    <-- [0] source default_catalog.default_database.clicks (kafka)
        reads: id, user_id, url
        changelog: insert
",
    );
}

#[test]
fn a_table_function_window_with_names() {
    check(
        "SELECT user_id, window_start, COUNT(*) AS n, MAX(id)
         FROM CUMULATE(DATA => TABLE clicks, TIMECOL => DESCRIPTOR(ts),
                       STEP => INTERVAL '1' MINUTE, SIZE => INTERVAL '1' HOUR)
         WHERE url LIKE 'https://%'
         GROUP BY window_start, window_end, user_id
         HAVING COUNT(*) > 10",
        r"
[4] sink default_catalog.default_database.query (print)
  <-- [3] calc
      where: COUNT(*) > 10
      select: user_id, window_start, COUNT(*) AS n, MAX(id) AS EXPR$3
      changelog: insert
    <-- [2] window aggregate cumulate(1 min, 1 h) on ts
        keys: user_id
        aggregates: COUNT(*), MAX(id)
        state: until the window is complete
        changelog: insert; event time: window_time
      <- hash(user_id) - [1] calc
          where: url LIKE 'https://%'
          select: user_id, id, ts
          changelog: insert; event time: ts
        <-- [0] source default_catalog.default_database.clicks (kafka)
            reads: id, user_id, url, timestamp
            computes: TO_TIMESTAMP_LTZ(timestamp, 3) AS ts
            watermark: ts - INTERVAL '5' SECOND
            changelog: insert; event time: ts
",
    );
}

#[test]
fn a_window_without_aggregation() {
    check(
        "SELECT id, window_start, window_time
         FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '10' SECOND))",
        r"
[3] sink default_catalog.default_database.query (print)
  <-- [2] calc
      select: id, window_start, window_time
      changelog: insert; event time: window_time
    <-- [1] assign window tumble(1 min, offset 10 s) on ts
        changelog: insert; event time: ts
      <-- [0] source default_catalog.default_database.clicks (kafka)
          reads: id, timestamp
          computes: TO_TIMESTAMP_LTZ(timestamp, 3) AS ts
          watermark: ts - INTERVAL '5' SECOND
          changelog: insert; event time: ts
",
    );
}

#[test]
fn a_session_of_a_table_function() {
    check(
        "SELECT user_id, window_start, window_end, COUNT(*)
         FROM TABLE(SESSION(TABLE clicks PARTITION BY user_id, DESCRIPTOR(ts), INTERVAL '5' MINUTE))
         GROUP BY user_id, window_start, window_end",
        r"
[3] sink default_catalog.default_database.query (print)
  <-- [2] calc
      select: user_id, window_start, window_end, COUNT(*) AS EXPR$3
      changelog: insert
    <-- [1] window aggregate session(5 min) on ts
        keys: user_id
        aggregates: COUNT(*)
        state: until the window is complete
        changelog: insert; event time: window_time
      <- hash(user_id) - [0] source default_catalog.default_database.clicks (kafka)
          reads: user_id, timestamp
          computes: TO_TIMESTAMP_LTZ(timestamp, 3) AS ts
          watermark: ts - INTERVAL '5' SECOND
          changelog: insert; event time: ts
",
    );
}

#[test]
fn group_windows_with_all_their_parts() {
    check(
        "SELECT TUMBLE_START(ts, INTERVAL '1' MINUTE) AS s, TUMBLE_END(ts, INTERVAL '1' MINUTE) AS e,
                TUMBLE_ROWTIME(ts, INTERVAL '1' MINUTE) AS r, SUM(id)
         FROM clicks GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)",
        r"
[3] sink default_catalog.default_database.query (print)
  <-- [2] calc
      select: window_start AS s, window_end AS e, window_time AS r, SUM(id) AS EXPR$3
      changelog: insert; event time: r
    <-- [1] window aggregate tumble(1 min) on ts
        aggregates: SUM(id)
        state: until the window is complete
        changelog: insert; event time: window_time
      <- single - [0] source default_catalog.default_database.clicks (kafka)
          reads: id, timestamp
          computes: TO_TIMESTAMP_LTZ(timestamp, 3) AS ts
          watermark: ts - INTERVAL '5' SECOND
          changelog: insert; event time: ts
",
    );
}

#[test]
fn windows_over_windows_by_rowtime() {
    check(
        "SELECT TUMBLE_START(r, INTERVAL '1' HOUR) AS s, SUM(n) FROM (
             SELECT TUMBLE_ROWTIME(ts, INTERVAL '1' MINUTE) AS r, COUNT(*) AS n
             FROM clicks GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE))
         GROUP BY TUMBLE(r, INTERVAL '1' HOUR)",
        r"
[5] sink default_catalog.default_database.query (print)
  <-- [4] calc
      select: window_start AS s, SUM(n) AS EXPR$1
      changelog: insert
    <-- [3] window aggregate tumble(1 h) on r
        aggregates: SUM(n)
        state: until the window is complete
        changelog: insert; event time: window_time
      <- single - [2] calc
          select: COUNT(*) AS n, window_time AS r
          changelog: insert; event time: r
        <-- [1] window aggregate tumble(1 min) on ts
            aggregates: COUNT(*)
            state: until the window is complete
            changelog: insert; event time: window_time
          <- single - [0] source default_catalog.default_database.clicks (kafka)
              reads: timestamp
              computes: TO_TIMESTAMP_LTZ(timestamp, 3) AS ts
              watermark: ts - INTERVAL '5' SECOND
              changelog: insert; event time: ts
",
    );
}

#[test]
fn union_distinct_and_with() {
    check(
        "WITH big AS (SELECT user_id AS u, id FROM clicks WHERE id > 100)
         SELECT u FROM big UNION SELECT url FROM clicks",
        r"
[5] sink default_catalog.default_database.query (print)
  <-- [4] distinct
      keys: u
      state: each key for ever
      changelog: insert
    <- hash(u) - [3] union all
        changelog: insert
      <-- [1] calc
          where: id > 100
          select: user_id AS u
          changelog: insert
        <-- [0] source default_catalog.default_database.clicks (kafka)
            reads: id, user_id, url
            changelog: insert
      <-- [2] calc
          select: url AS u
          changelog: insert
        <-- [0] source default_catalog.default_database.clicks (kafka)
            (as above)
",
    );
}

#[test]
fn an_aggregate_of_an_updating_result() {
    check(
        "SELECT n, COUNT(*) FROM (SELECT user_id, COUNT(*) AS n FROM clicks GROUP BY user_id)
         GROUP BY n",
        r"
[5] sink default_catalog.default_database.query (print)
  <-- [4] calc
      select: n, COUNT(*) AS EXPR$1
      changelog: insert, update, delete
    <-- [3] group aggregate
        keys: n
        aggregates: COUNT(*)
        state: each key for ever
        changelog: insert, update, delete
      <- hash(n) - [2] calc
          select: COUNT(*) AS n
          changelog: insert, update, delete
        <-- [1] group aggregate
            keys: user_id
            aggregates: COUNT(*)
            state: each key for ever
            changelog: insert, update, delete
          <- hash(user_id) - [0] source default_catalog.default_database.clicks (kafka)
              reads: user_id
              changelog: insert
",
    );
}

#[test]
fn moments_are_computed_on_doubles() {
    check(
        "SELECT STDDEV_POP(`key`), VAR_SAMP(CAST(id AS DECIMAL(10, 2))) FROM clicks",
        r"
[4] sink default_catalog.default_database.query (print)
  <-- [3] calc
      select: CAST(STDDEV_POP(CAST(key AS DOUBLE)) AS INT) AS EXPR$0, CAST(VAR_SAMP(CAST(CAST(id AS DECIMAL(10, 2)) AS DOUBLE)) AS DECIMAL(38, 6)) AS EXPR$1
      changelog: insert, update, delete
    <-- [2] group aggregate
        aggregates: STDDEV_POP(CAST(key AS DOUBLE)), VAR_SAMP(CAST(CAST(id AS DECIMAL(10, 2)) AS DOUBLE))
        state: each key for ever
        changelog: insert, update, delete
      <- single - [1] calc
          select: CAST(key AS DOUBLE), CAST(CAST(id AS DECIMAL(10, 2)) AS DOUBLE)
          changelog: insert
        <-- [0] source default_catalog.default_database.clicks (kafka)
            reads: id, key
            changelog: insert
",
    );
}

#[test]
fn an_upsert_sink_gets_no_update_before() {
    let session = session(TABLES);
    let sql = "INSERT INTO upsert SELECT user_id, COUNT(*) FROM clicks GROUP BY user_id";
    let graph = job(&session, sql).graph;
    let aggregate = graph.nodes.iter().find_map(|node| match &node.operator {
        Operator::GroupAggregate(aggregate) => Some(aggregate),
        _ => None,
    });
    assert!(!aggregate.unwrap().update_before);
    // A filter above has to see both halves.
    let sql = "INSERT INTO upsert SELECT u, n FROM (
        SELECT user_id AS u, COUNT(*) AS n FROM clicks GROUP BY user_id) WHERE n > 5";
    let graph = job(&session, sql).graph;
    let aggregate = graph.nodes.iter().find_map(|node| match &node.operator {
        Operator::GroupAggregate(aggregate) => Some(aggregate),
        _ => None,
    });
    assert!(aggregate.unwrap().update_before);
}

#[test]
fn rows_of_a_key_reach_an_upsert_sink_by_one_way() {
    let session = session(TABLES);
    let sql = "INSERT INTO upsert SELECT url, MAX(id) FROM clicks GROUP BY url, user_id";
    let graph = job(&session, sql).graph;
    let sink = graph.nodes.last().unwrap();
    assert_eq!(sink.inputs[0].exchange, Exchange::Hash(vec![0]));
}

#[test]
fn uids_and_fingerprints_are_stable() {
    let session = session(TABLES);
    let sql = "INSERT INTO out SELECT user_id, COUNT(*) FROM clicks WHERE id > 1 GROUP BY user_id";
    let (first, second) = (job(&session, sql), job(&session, sql));
    assert_eq!(first.fingerprint, second.fingerprint);
    let uids = |job: &thalweg_sql::PlannedJob| {
        job.graph.nodes.iter().map(|node| node.uid.clone()).collect::<Vec<_>>()
    };
    assert_eq!(uids(&first), uids(&second));
    // Another filter is another plan, but the aggregation keeps its state.
    let changed = job(
        &session,
        "INSERT INTO out SELECT user_id, COUNT(*) FROM clicks WHERE id > 2 GROUP BY user_id",
    );
    assert_ne!(first.fingerprint, changed.fingerprint);
    let state = |job: &thalweg_sql::PlannedJob| {
        let uids = uids(job);
        uids.into_iter().find(|uid| uid.starts_with("group-aggregate")).unwrap()
    };
    assert_eq!(state(&first), state(&changed));
    let mut all = uids(&first);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), first.graph.nodes.len());
}

#[test]
fn a_source_delivers_only_what_is_read() {
    let session = session(TABLES);
    let graph = job(&session, "INSERT INTO out SELECT item.name, `timestamp` FROM clicks").graph;
    let (_, source) = graph.sources().next().unwrap();
    let schema = &source.table.schema;
    let names: Vec<&str> =
        source.columns.iter().map(|&column| schema.field(column).name().as_str()).collect();
    assert_eq!(names, ["item", "timestamp"]);
    let item = schema.field_with_name("item").unwrap().data_type();
    assert!(
        matches!(item, datafusion::arrow::datatypes::DataType::Struct(fields) if fields.len() == 1)
    );
    assert!(source.watermark.is_none(), "nobody follows event time here");
    let metadata = schema.field_with_name("offset_").unwrap().metadata();
    assert_eq!(metadata.get(thalweg_stream::table::METADATA_KEY).unwrap(), "offset");
}

#[test]
fn settings_reach_the_plan() {
    let mut session = session(TABLES);
    crate::support::run(
        &mut session,
        "SET 'table.exec.state.ttl' = '1 h'; SET 'pipeline.name' = 'mine';
         SET 'table.exec.source.idle-timeout' = '3 s'; SET 'table.exec.emit.allow-lateness' = '1 min'",
    )
    .unwrap();
    let grouped =
        job(&session, "INSERT INTO out SELECT user_id, COUNT(*) FROM clicks GROUP BY user_id");
    assert_eq!(grouped.name, "mine");
    let ttl = grouped.graph.nodes.iter().find_map(|node| match &node.operator {
        Operator::GroupAggregate(aggregate) => aggregate.ttl,
        _ => None,
    });
    assert_eq!(ttl, Some(3_600_000));
    let windowed = job(
        &session,
        "INSERT INTO out SELECT user_id, COUNT(*) FROM TUMBLE(TABLE clicks, DESCRIPTOR(ts), \
         INTERVAL '1' MINUTE) GROUP BY user_id, window_start, window_end",
    );
    let (_, source) = windowed.graph.sources().next().unwrap();
    assert_eq!(source.watermark.as_ref().unwrap().idle_timeout, Some(3000));
    let lateness = windowed.graph.nodes.iter().find_map(|node| match &node.operator {
        Operator::WindowAggregate(aggregate) => Some(aggregate.allowed_lateness),
        _ => None,
    });
    assert_eq!(lateness, Some(60_000));
}

/// A window that still takes late rows gives its result again, so not every sink will do.
#[test]
fn windows_that_take_late_rows_update_their_results() {
    const WINDOWED: &str = "SELECT user_id, COUNT(*) AS n FROM TUMBLE(TABLE clicks, \
        DESCRIPTOR(ts), INTERVAL '1' MINUTE) GROUP BY user_id, window_start, window_end";
    const BY_WINDOW: &str = "SELECT user_id, window_start, window_end, COUNT(*) AS n FROM \
        TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE) \
        GROUP BY user_id, window_start, window_end";
    const DAILY: &str = "SELECT TUMBLE_START(p, INTERVAL '1' DAY), COUNT(*) FROM clicks \
        GROUP BY TUMBLE(p, INTERVAL '1' DAY)";
    let tables = "
        CREATE TABLE plain (a STRING, n BIGINT) WITH ('connector' = 'kafka');
        CREATE TABLE daily (a TIMESTAMP(3), n BIGINT) WITH ('connector' = 'kafka');
        CREATE TABLE pairs (a STRING, n BIGINT) WITH ('connector' = 'kafka');
        CREATE TABLE per_window (a STRING, s TIMESTAMP(3), e TIMESTAMP(3), n BIGINT,
            PRIMARY KEY (a, s, e) NOT ENFORCED) WITH ('connector' = 'upsert-kafka')";
    let mut session = session(&format!("{TABLES};{tables}"));
    explain(&session, &format!("INSERT INTO plain {WINDOWED}")).unwrap();

    crate::support::run(&mut session, "SET 'table.exec.emit.allow-lateness' = '1 min'").unwrap();
    let error = explain(&session, &format!("INSERT INTO plain {WINDOWED}")).unwrap_err();
    assert!(error.message.contains("the query updates its results"), "{error}");
    // Without an aggregate a late row can only add a result.
    let distinct = WINDOWED.replace("COUNT(*) AS n", "CAST(1 AS BIGINT) AS n");
    explain(&session, &format!("INSERT INTO pairs {distinct}")).unwrap();
    // No row is late for a window in processing time.
    explain(&session, &format!("INSERT INTO daily {DAILY}")).unwrap();

    let upsert = job(&session, &format!("INSERT INTO per_window {BY_WINDOW}"));
    let sink = upsert.graph.nodes.last().unwrap();
    assert!(sink.updating);
    assert_eq!(sink.inputs[0].exchange, Exchange::Forward, "by key already");
    // What counts these results has to take some of them back.
    let counted = format!("SELECT n, COUNT(*) FROM ({WINDOWED}) GROUP BY n");
    let plan = explain(&session, &counted).unwrap();
    assert!(plan.contains("changelog: insert, update, delete"), "{plan}");
}

#[test]
fn a_statement_set_shares_its_source() {
    let session = session(TABLES);
    let sql = "EXECUTE STATEMENT SET BEGIN
        INSERT INTO out SELECT user_id, id FROM clicks;
        INSERT INTO out SELECT user_id, id FROM clicks;
    END";
    let parsed = thalweg_sql::parser::parse_one(sql).unwrap();
    let thalweg_sql::parser::Statement::StatementSet(inserts) = parsed.statement else { panic!() };
    let job = session.plan_statement_set(&inserts).unwrap();
    assert_eq!(job.graph.sources().count(), 1);
    assert_eq!(job.graph.nodes.len(), 4, "source, calc and two sinks");
    assert_ne!(job.graph.nodes[2].uid, job.graph.nodes[3].uid);
}

#[test]
fn a_job_is_named_as_in_flink() {
    let session = session(TABLES);
    let job = job(&session, "INSERT INTO out SELECT user_id, id FROM clicks");
    assert_eq!(job.name, "insert-into_default_catalog.default_database.out");
    let uses: Vec<String> = job.uses.iter().map(|name| name.name.clone()).collect();
    assert_eq!(uses, ["clicks", "out"]);
}

#[test]
fn windows_of_a_view_are_aggregated_again() {
    let session = session(&format!(
        "{TABLES} CREATE VIEW counts (u, n, s, e) AS
         SELECT user_id, COUNT(*), window_start, window_end
         FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
         GROUP BY user_id, window_start, window_end"
    ));
    let sql = "SELECT s, MAX(n) FROM counts GROUP BY s, e";
    let plan = explain(&session, sql).unwrap_or_else(|error| panic!("{}", error.render(sql)));
    assert_eq!(plan.matches("window aggregate").count(), 2, "{plan}");
    assert!(explain(&session, "SELECT `$window_time` FROM counts").is_err());
    let star = explain(&session, "SELECT * FROM counts").unwrap();
    assert!(!star.contains("$window_time"), "{star}");
}

#[test]
fn a_filter_on_the_window_itself() {
    let session = session(TABLES);
    let sql = "SELECT window_end, COUNT(*) AS n
         FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
         WHERE window_start >= TIMESTAMP '2024-01-01 00:00:00'
         GROUP BY window_start, window_end";
    let plan = explain(&session, sql).unwrap_or_else(|error| panic!("{}", error.render(sql)));
    assert!(plan.contains("assign window tumble(1 min) on ts"), "{plan}");
    assert!(plan.contains("window aggregate tumble(1 ms) on window_time"), "{plan}");
}
