//! Each statement asks for each object that it touches.

use std::sync::Arc;

use thalweg::node::{Answer, NodeOptions, Session};
use thalweg_core::authorizer::{Authorizer, Operation, Principal, Resource};
use thalweg_sql::error::{ErrorCode, SqlError};

use crate::harness::Bench;

/// Forbids one operation on one resource.
struct Without(Operation, &'static str);

impl Authorizer for Without {
    fn authorize(&self, who: &Principal, operation: Operation, resource: Resource<'_>) -> bool {
        let name = match resource {
            Resource::CatalogObject(name) | Resource::Job(name) => name,
            _ => return true,
        };
        who.name() != "guest" || (operation, name) != (self.0, self.1)
    }
}

const TABLES: &str =
    "CREATE TABLE a (x INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'format' = 'json');
    CREATE TABLE b (x INT) WITH ('connector' = 'kafka', 'topic' = 'b', 'format' = 'json');
    CREATE MATERIALIZED VIEW v AS SELECT x FROM a;";

fn as_guest(bench: &Bench, sql: &str) -> Result<Answer, SqlError> {
    let mut session = Session::of(bench.node(), &Principal::user("guest"));
    let parsed = thalweg_sql::parser::parse_one(sql)?;
    bench.block_on(session.execute(&parsed))
}

#[test]
fn what_is_forbidden_is_refused_and_nothing_else() {
    let a = "default_catalog.default_database.a";
    let b = "default_catalog.default_database.b";
    let v = "default_catalog.default_database.v";
    let w = "default_catalog.default_database.w";
    let cases = [
        (Operation::Read, a, "SELECT * FROM a", "SELECT * FROM v"),
        (Operation::Read, a, "WITH q AS (SELECT x FROM a) SELECT * FROM q", "SELECT 1"),
        (Operation::Read, v, "SELECT 1 FROM b WHERE x IN (SELECT x FROM v)", "SELECT * FROM b"),
        (Operation::Read, v, "SUBSCRIBE TO v", "DESCRIBE v"),
        (Operation::Write, b, "INSERT INTO b VALUES (1)", "INSERT INTO a VALUES (1)"),
        (Operation::Read, a, "INSERT INTO b SELECT x FROM a", "INSERT INTO b VALUES (2)"),
        (
            Operation::Read,
            a,
            "CREATE VIEW w AS SELECT x FROM a",
            "CREATE VIEW y AS SELECT x FROM b",
        ),
        (Operation::Create, w, "CREATE MATERIALIZED VIEW w AS SELECT x FROM b", "SHOW TABLES"),
        (Operation::Delete, v, "DROP MATERIALIZED VIEW v", "DESCRIBE v"),
        (Operation::Describe, a, "EXPLAIN SELECT x FROM a", "EXPLAIN SELECT x FROM b"),
        (Operation::Describe, a, "DESCRIBE a", "DESCRIBE b"),
        (Operation::Alter, "v", "STOP JOB 'v'", "SHOW JOB 'v'"),
    ];
    for (operation, object, refused, allowed) in cases {
        let authorizer = Arc::new(Without(operation, object));
        let bench = Bench::with(NodeOptions { authorizer, ..NodeOptions::default() });
        for topic in ["a", "b"] {
            bench.produce(topic, r#"{"x": 1}"#);
        }
        bench.run(TABLES);
        let error = as_guest(&bench, refused).err().unwrap_or_else(|| panic!("{refused} was done"));
        assert_eq!(error.code, ErrorCode::PermissionDenied, "{refused}: {error}");
        assert!(error.message.contains(object), "{error}");
        as_guest(&bench, allowed).unwrap_or_else(|error| panic!("{allowed}: {error}"));
        bench.run(refused);
    }
}
