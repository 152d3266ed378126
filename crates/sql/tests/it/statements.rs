//! Statements that need no engine: DDL, SET, SHOW, DESCRIBE, and what is kept of them.

use thalweg_sql::catalog::{Catalog, ObjectRecord};
use thalweg_sql::parser::{self, Statement, Transaction};
use thalweg_sql::{Outcome, PlannedInsert, Session};

use crate::support::{Names, empty, explain, rows, run, session};

const TABLE: &str = "CREATE TABLE t (
    id BIGINT NOT NULL COMMENT 'the key',
    at_ms BIGINT,
    part INT METADATA FROM 'partition' VIRTUAL,
    ts AS TO_TIMESTAMP_LTZ(at_ms, 3),
    PRIMARY KEY (id) NOT ENFORCED,
    WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
) COMMENT 'a table' PARTITIONED BY (id) WITH ('connector' = 'kafka', 'format' = 'json',)";

#[test]
fn describe_shows_flinks_columns() {
    let mut session = session(TABLE);
    let outcomes = run(&mut session, "DESCRIBE t").unwrap();
    assert_eq!(
        rows(&outcomes[0]),
        [
            "id|BIGINT|FALSE|PRI(id)||",
            "at_ms|BIGINT|TRUE|||",
            "part|INT|TRUE||METADATA FROM 'partition' VIRTUAL|",
            "ts|TIMESTAMP_LTZ(3) *ROWTIME*|TRUE||AS TO_TIMESTAMP_LTZ(at_ms, 3)|ts - INTERVAL '1' SECOND",
        ]
    );
}

#[test]
fn show_lists_objects() {
    let mut session = session(&format!(
        "{TABLE}; CREATE VIEW v AS SELECT id FROM t; CREATE DATABASE other; USE other;
         CREATE TABLE u (a INT) WITH ('connector' = 'print'); USE default_database;
         CREATE MATERIALIZED VIEW m AS SELECT id, COUNT(*) AS n FROM t GROUP BY id;"
    ));
    let mut show = |sql: &str| rows(&run(&mut session, sql).unwrap()[0]);
    assert_eq!(show("SHOW TABLES"), ["m", "t", "v"]);
    assert_eq!(show("SHOW TABLES LIKE 't%'"), ["t"]);
    assert_eq!(show("SHOW VIEWS"), ["v"]);
    assert_eq!(show("SHOW MATERIALIZED VIEWS"), ["m"]);
    assert_eq!(show("SHOW DATABASES"), ["default_database", "other"]);
    assert_eq!(show("SHOW CATALOGS"), ["default_catalog"]);
    assert_eq!(show("SHOW CURRENT DATABASE"), ["default_database"]);
    assert_eq!(
        show("SHOW CREATE TABLE other.u"),
        ["CREATE TABLE u (a INT) WITH ('connector' = 'print')"]
    );
    assert_eq!(show("SHOW COLUMNS FROM m"), ["id|BIGINT|TRUE|PRI(id)||", "n|BIGINT|TRUE|||"]);
    assert_eq!(show("SHOW server_version"), ["16.0"]);
    assert!(show("SHOW FUNCTIONS").contains(&"date_format".to_owned()));
    assert!(matches!(run(&mut session, "SHOW JOBS").unwrap()[0], Outcome::Engine));
}

#[test]
fn create_and_drop_follow_if_exists() {
    let mut session = session(TABLE);
    run(&mut session, "CREATE TABLE IF NOT EXISTS t (x INT) WITH ('connector' = 'kafka')").unwrap();
    assert_eq!(run(&mut session, TABLE).unwrap_err().sqlstate(), "42P07");
    assert_eq!(run(&mut session, "DROP VIEW t").unwrap_err().sqlstate(), "42809");
    let outcomes = run(&mut session, "DROP TABLE t; DROP TABLE IF EXISTS t").unwrap();
    let Outcome::Done { tag, dropped, .. } = &outcomes[0] else { panic!() };
    assert_eq!(
        (*tag, dropped.as_slice()),
        ("DROP TABLE", ["default_catalog.default_database.t".to_owned()].as_slice())
    );
    assert_eq!(run(&mut session, "DROP TABLE t").unwrap_err().sqlstate(), "42P01");
}

#[test]
fn a_table_that_a_job_uses_stays() {
    let mut session = session(TABLE);
    let sql = "CREATE MATERIALIZED VIEW v AS SELECT part FROM t";
    let create = parser::parse_one(sql).unwrap().statement;
    let Statement::CreateMaterializedView(create) = create else { panic!() };
    let (view, _) = session.create_materialized_view(&create).unwrap().unwrap();
    let insert = crate::support::job(&session, "INSERT INTO t (id) SELECT id FROM t");
    // Two jobs of one name, and the job of a view.
    let catalog = session.catalog().clone();
    for id in [1, 2] {
        catalog.add_job(insert.to_object(id, "job", "INSERT ...")).unwrap();
    }
    catalog.add_job(view.to_object(3, "v", sql)).unwrap();
    catalog.remove_job(1);
    let error = run(&mut session, "DROP TABLE t").unwrap_err();
    assert_eq!(error.sqlstate(), "2BP01");
    assert!(error.message.ends_with("t`: jobs 'job', 'v' use it"), "{error}");
    assert!(error.hint.unwrap().contains(": STOP JOB 'job'; STOP JOB 'v'; "));
    catalog.remove_job(2);
    let error = run(&mut session, "DROP TABLE t").unwrap_err();
    assert!(error.message.ends_with("t`: job 'v' uses it"), "{error}");
    assert!(error.hint.unwrap().contains("DROP MATERIALIZED VIEW"));
    // A view goes with its job.
    run(&mut session, "DROP MATERIALIZED VIEW v").unwrap();
    catalog.remove_job(3);
    run(&mut session, "DROP TABLE t").unwrap();
    let error = catalog.add_job(insert.to_object(4, "job", "INSERT ...")).unwrap_err();
    assert_eq!(error.sqlstate(), "42P01", "{error}");
    assert!(catalog.jobs().is_empty());
    catalog.put_job(insert.to_object(4, "job", "INSERT ..."));
    assert_eq!(catalog.jobs().len(), 1);
}

#[test]
fn a_view_that_a_job_reads_through_stays() {
    let mut session = session(TABLE);
    let views = "CREATE VIEW inner_view AS SELECT id FROM t;
        CREATE VIEW outer_view AS SELECT id FROM inner_view;
        CREATE VIEW shadowed AS SELECT id FROM t";
    run(&mut session, views).unwrap();
    let sql = "INSERT INTO t (id) WITH shadowed AS (SELECT id FROM outer_view)
        SELECT id FROM shadowed";
    let job = crate::support::job(&session, sql);
    session.catalog().add_job(job.to_object(1, "job", sql)).unwrap();
    for view in ["inner_view", "outer_view"] {
        let error = run(&mut session, &format!("DROP VIEW {view}")).unwrap_err();
        assert_eq!(error.sqlstate(), "2BP01", "{error}");
    }
    run(&mut session, "DROP VIEW shadowed").unwrap();
}

#[test]
fn like_takes_everything_of_the_other_table() {
    let session =
        session(&format!("{TABLE}; CREATE TABLE copy (extra STRING) WITH ('topic' = 'x') LIKE t"));
    let object = session.object(&parser::Name::new(["copy"])).unwrap();
    let thalweg_sql::catalog::CatalogObject::Table(table) = object else { panic!() };
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["id", "at_ms", "part", "ts", "extra"]);
    assert_eq!(table.options["topic"], "x");
    assert_eq!(table.options["connector"], "kafka");
    assert_eq!(table.primary_key, [0]);
    assert_eq!(table.watermark.as_ref().unwrap().column, 3);
}

#[test]
fn records_bring_the_catalog_back() {
    let script = format!(
        "CREATE DATABASE d; USE d; {TABLE}; CREATE VIEW v AS SELECT id, ts FROM t;
         CREATE FUNCTION cc AS 'x.y.CountChar'; USE default_database;
         CREATE VIEW w AS SELECT id FROM d.v"
    );
    let mut first = empty();
    let mut records: Vec<ObjectRecord> = Vec::new();
    for outcome in run(&mut first, &script).unwrap() {
        if let Outcome::Done { created, .. } = outcome {
            records.extend(created);
        }
    }
    let mut second = Session::new(Catalog::default(), std::sync::Arc::new(Names));
    for record in &records {
        second.restore(record).unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(records.len(), 5);
    let describe = |session: &mut Session| {
        let outcomes = run(session, "DESCRIBE d.t; DESCRIBE d.v; DESCRIBE w; SHOW DATABASES");
        outcomes.unwrap().iter().map(rows).collect::<Vec<_>>()
    };
    assert_eq!(describe(&mut first), describe(&mut second));
    let ids = |session: &Session| {
        let objects = session.catalog().objects();
        objects
            .iter()
            .filter_map(ObjectRecord::of)
            .map(|record| (record.name, record.id))
            .collect::<Vec<_>>()
    };
    let views = |session: &Session| {
        ids(session).into_iter().filter(|(name, _)| !name.ends_with(".cc")).collect::<Vec<_>>()
    };
    assert_eq!(views(&first), views(&second));
    // New objects get ids that were never used.
    run(&mut second, "CREATE VIEW z AS SELECT id FROM d.t").unwrap();
    let used: Vec<_> = records.iter().map(|record| record.id).collect();
    let z = ids(&second).into_iter().find(|(name, _)| name.ends_with(".z")).unwrap();
    assert!(!used.contains(&z.1));
}

#[test]
fn a_broken_view_is_named() {
    let mut session = session(&format!(
        "{TABLE}; CREATE VIEW v AS SELECT id FROM t; DROP TABLE t;
         CREATE TABLE t (other INT) WITH ('connector' = 'kafka')"
    ));
    let error = explain(&session, "SELECT * FROM v").unwrap_err();
    assert_eq!(
        error.message,
        "in view `default_catalog.default_database.v`: there is no column `id`"
    );
    run(&mut session, "DROP VIEW v").unwrap();
}

#[test]
fn scripts_are_cut_at_semicolons() {
    let script = "-- a comment; with a semicolon
        SET 'a' = 'x;y'; /* another; one */ ;
        BEGIN STATEMENT SET; INSERT INTO a SELECT * FROM b; INSERT INTO c SELECT * FROM d; END;
        EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT * FROM b; END;
        SELECT ';' AS `semi;colon`";
    let statements = parser::parse(script).unwrap();
    assert_eq!(statements.len(), 4);
    let Statement::StatementSet(inserts) = &statements[1].statement else { panic!() };
    assert_eq!(inserts.len(), 2);
    assert_eq!(statements[3].text, "SELECT ';' AS `semi;colon`");
    assert_eq!(statements[1].span.start.line, 3);
}

#[test]
fn variables_are_put_in() {
    let lookup = |name: &str| (name == "TOPIC").then(|| "bids".to_owned());
    assert_eq!(parser::substitute("a '${TOPIC}' b", &lookup).unwrap(), "a 'bids' b");
    let text = "x\n  '${GROUP}'";
    let error = parser::substitute(text, &lookup).unwrap_err();
    assert_eq!(
        error.render(text),
        "error[unknown-object]: there is no value for `${GROUP}`\n --> line 2, column 4\n  |\n\
         2 |   '${GROUP}'\n  |    ^^^^^^^^\n  = help: set GROUP in the environment, or with --set GROUP=value\n"
    );
}

#[test]
fn other_statements() {
    let parse = |sql: &str| parser::parse_one(sql).map(|parsed| parsed.statement);
    assert_eq!(parse("BEGIN").unwrap(), Statement::Transaction(Transaction::Begin));
    assert_eq!(parse("commit").unwrap(), Statement::Transaction(Transaction::Commit));
    assert_eq!(
        parse("STOP JOB 'j' WITH SAVEPOINT").unwrap(),
        Statement::StopJob { job: "j".into(), with_savepoint: true, with_drain: false }
    );
    assert_eq!(parse("RESTART JOB 'j'").unwrap(), Statement::RestartJob("j".into()));
    assert_eq!(parse("cancel job 77").unwrap(), Statement::CancelJob("77".into()));
    assert!(parse("RESTART 'j'").is_err() && parse("CANCEL JOB").is_err());
    let Statement::Subscribe(name) = parse("SUBSCRIBE TO d.v").unwrap() else { panic!() };
    assert_eq!(name.parts, ["d", "v"]);
    assert!(matches!(parse("SHOW TIME ZONE").unwrap(), Statement::Show(_)));
    assert!(parse("DELETE FROM t").is_err());
}

#[test]
fn constant_rows_are_not_a_job() {
    let session = session(
        "CREATE TABLE t (id BIGINT NOT NULL, name VARCHAR(3), at_ TIMESTAMP(3)) WITH ('connector' = 'kafka')",
    );
    let sql =
        "INSERT INTO t VALUES (1, 'abcdef', TIMESTAMP '2024-01-01 00:00:00'), (2, NULL, NULL)";
    let Statement::Insert(insert) = parser::parse_one(sql).unwrap().statement else { panic!() };
    let PlannedInsert::Rows { table, rows } = session.plan_insert(&insert).unwrap() else {
        panic!()
    };
    assert_eq!(rows.num_rows(), 2);
    assert_eq!(rows.schema().field(0).data_type(), table.schema.field(0).data_type());
    let names = datafusion::common::cast::as_string_array(rows.column(1)).unwrap();
    assert_eq!(names.value(0), "abc");
}

#[test]
fn a_materialized_view_over_a_view_reads_the_tables() {
    let session = session(&format!(
        "{TABLE}; CREATE VIEW v AS SELECT id FROM t WHERE id > 3;
        CREATE MATERIALIZED VIEW m AS SELECT id, COUNT(*) AS n FROM v GROUP BY id"
    ));
    let plan = explain(&session, "CREATE MATERIALIZED VIEW k (a) AS SELECT n FROM m").unwrap();
    assert!(
        plan.starts_with("[4] view default_catalog.default_database.k\n    key: the whole row\n"),
        "{plan}"
    );
    assert!(plan.contains("source default_catalog.default_database.t (kafka)"), "{plan}");
}
