//! Catalog queries over a small catalog.

use super::*;
use crate::pgwire::relations::{Relation, RelationKind};

struct Info;

impl CatalogInfo for Info {
    fn database(&self) -> String {
        "main".into()
    }

    fn current_schema(&self) -> String {
        "public".into()
    }

    fn schemas(&self) -> Vec<String> {
        vec!["other".into(), "public".into()]
    }

    fn relations(&self) -> Vec<Relation> {
        let relation = |schema: &str, name: &str, kind| Relation {
            schema_name: schema.into(),
            name: name.into(),
            kind,
            columns: Arc::new(Schema::new(vec![
                Field::new("id", DataType::Int64, false),
                Field::new("price", DataType::Decimal128(10, 2), true),
            ])),
            primary_key: if name == "bid" { vec![0] } else { vec![] },
            definition: (kind != RelationKind::Table).then(|| "SELECT 1".to_owned()),
        };
        vec![
            relation("public", "totals", RelationKind::MaterializedView),
            relation("public", "bid", RelationKind::Table),
            relation("other", "hidden", RelationKind::Table),
        ]
    }
}

/// The rows of a query, cells joined by bars.
fn run(sql: &str) -> Result<Vec<String>> {
    let query = CatalogQuery::recognise(sql).expect("a catalog query");
    let settings = Settings::new("ada");
    let batch = query.run(&Info, &Asker { user: "ada", pid: 7, settings: &settings })?;
    let cell = |column: &ArrayRef, row| {
        use arrow_array::Array;
        let column = arrow_array::cast::AsArray::as_string::<i32>(column);
        if column.is_null(row) { "NULL".to_owned() } else { column.value(row).to_owned() }
    };
    let row = |row| batch.columns().iter().map(|c| cell(c, row)).collect::<Vec<_>>().join("|");
    Ok((0..batch.num_rows()).map(row).collect())
}

#[test]
fn relations_are_filtered_and_sorted() {
    let visible = "SELECT n.nspname as \"Schema\", c.relname AS \"Name\" FROM pg_catalog.pg_class c \
                   LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                   WHERE c.relkind IN ('r','m','') AND n.nspname <> 'pg_catalog' \
                   AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2";
    assert_eq!(run(visible).expect("runs"), ["public|bid", "public|totals"]);
    let tables = "select table_name from information_schema.tables \
                  where table_schema between 'a' or 'b'";
    assert!(run(tables).is_err(), "what is not understood is refused");
    let tables = "SELECT table_name, table_type FROM information_schema.tables \
                  WHERE table_schema = 'public' ORDER BY table_name DESC";
    assert_eq!(run(tables).expect("runs"), ["totals|VIEW", "bid|BASE TABLE"]);
    let columns = "SELECT column_name, data_type, is_nullable FROM information_schema.columns \
                   WHERE table_name = 'bid' ORDER BY ordinal_position";
    assert_eq!(run(columns).expect("runs"), ["id|bigint|NO", "price|numeric(10,2)|YES"]);
}

#[test]
fn a_pattern_is_a_regular_expression() {
    let find = |pattern: &str| {
        run(&format!(
            "SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c \
             LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relname OPERATOR(pg_catalog.~) '{pattern}' COLLATE pg_catalog.default \
             ORDER BY 2, 3"
        ))
    };
    assert_eq!(find("^(b.*)$").expect("runs").len(), 1);
    assert_eq!(find("^(.*)$").expect("runs").len(), 3);
    assert_eq!(find("^((((.*){99}){99}){99})$").expect_err("huge").sqlstate, "2201B");
}

#[test]
fn functions_answer_and_other_queries_are_left_to_sql() {
    assert_eq!(run("select current_schema(), CURRENT_USER").expect("runs"), ["public|ada"]);
    assert!(run("SELECT pg_catalog.version()").expect("runs")[0].starts_with("PostgreSQL 14."));
    assert_eq!(run("SELECT current_setting('TimeZone') AS tz").expect("runs"), ["UTC"]);
    for sql in ["SELECT 1", "SELECT a FROM b", "INSERT INTO pg_class VALUES (1)", "SELECT now()"] {
        assert_eq!(CatalogQuery::recognise(sql), None, "{sql}");
    }
    let error = run("SELECT reltuples FROM pg_class").expect_err("not known");
    assert_eq!(error.detail.as_deref(), Some("not understood: reltuples"));
    assert!(run("SELECT relname FROM pg_class LIMIT 1").is_err());
    assert_eq!(run("SELECT polname FROM pg_catalog.pg_policy pol").expect("none"), [""; 0]);
}
