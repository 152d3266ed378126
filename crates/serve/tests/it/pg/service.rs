//! A session that understands a handful of statements, enough to see what the door does.

use std::sync::Arc;

use arrow_array::types::IntervalMonthDayNano;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, RecordBatch,
    StringArray, StructArray, Time64MicrosecondArray, TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use futures::StreamExt;
use thalweg_core::authorizer::Principal;
use thalweg_serve::pgwire::{
    CatalogInfo, ParamType, ParamValue, PgError, Prepared, Relation, RelationKind, Result,
    SqlResponse, SqlService, SqlSession, substitute,
};
use tokio::sync::broadcast;

/// Makes sessions; what is sent to `feed` goes to all subscriptions.
pub(super) struct TestService {
    pub(super) feed: broadcast::Sender<i64>,
}

impl Default for TestService {
    fn default() -> Self {
        Self { feed: broadcast::channel(16).0 }
    }
}

#[async_trait]
impl SqlService for TestService {
    async fn session(&self, principal: &Principal, database: &str) -> Result<Box<dyn SqlSession>> {
        if database == "nowhere" {
            return Err(PgError::new("3D000", "database \"nowhere\" does not exist"));
        }
        Ok(Box::new(TestSession { user: principal.name().to_owned(), feed: self.feed.clone() }))
    }
}

struct TestSession {
    user: String,
    feed: broadcast::Sender<i64>,
}

/// A catalog of a table and a view.
struct TestCatalog;

impl CatalogInfo for TestCatalog {
    fn database(&self) -> String {
        "main".into()
    }

    fn current_schema(&self) -> String {
        "default_database".into()
    }

    fn schemas(&self) -> Vec<String> {
        vec!["default_database".into()]
    }

    fn relations(&self) -> Vec<Relation> {
        let relation = |name: &str, kind, primary_key, definition| Relation {
            schema_name: "default_database".into(),
            name: name.into(),
            kind,
            columns: types_batch().schema(),
            primary_key,
            definition,
        };
        vec![
            relation("sensor", RelationKind::Table, vec![2, 7], None),
            relation(
                "averages",
                RelationKind::MaterializedView,
                vec![],
                Some("SELECT avg(x) FROM sensor".into()),
            ),
        ]
    }
}

pub(super) fn numbers_batch(range: std::ops::Range<i64>) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(range.clone()));
    let names: ArrayRef =
        Arc::new(StringArray::from_iter_values(range.map(|number| format!("name {number}"))));
    RecordBatch::try_from_iter([("n", numbers), ("name", names)]).expect("batch")
}

/// A row of every type, then a row of nulls.
pub(super) fn types_batch() -> RecordBatch {
    let instant = 1_720_000_000_123;
    let interval = IntervalMonthDayNano { months: 14, days: 3, nanoseconds: 1_000_000_000 };
    let list = ListArray::from_iter_primitive::<arrow_array::types::Int32Type, _, _>([
        Some(vec![Some(1), None, Some(3)]),
        None,
    ]);
    let inner: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
    let structs = StructArray::new(
        vec![Field::new("a", DataType::Int32, true)].into(),
        vec![inner],
        Some(vec![true, false].into()),
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("int2", Arc::new(Int16Array::from(vec![Some(-2), None]))),
        ("int4", Arc::new(Int32Array::from(vec![Some(i32::MIN), None]))),
        ("int8", Arc::new(Int64Array::from(vec![Some(i64::MAX), None]))),
        ("float4", Arc::new(Float32Array::from(vec![Some(1.5), None]))),
        ("float8", Arc::new(Float64Array::from(vec![Some(-0.1), None]))),
        (
            "numeric",
            Arc::new(
                Decimal128Array::from(vec![Some(-1_234_567), None])
                    .with_precision_and_scale(12, 3)
                    .expect("fits"),
            ),
        ),
        ("text", Arc::new(StringArray::from(vec![Some("grüße"), None]))),
        ("bytea", Arc::new(BinaryArray::from(vec![Some(&[0_u8, 255][..]), None]))),
        ("date", Arc::new(Date32Array::from(vec![Some(19_907), None]))),
        ("time", Arc::new(Time64MicrosecondArray::from(vec![Some(3_723_000_004), None]))),
        ("timestamp", Arc::new(TimestampMillisecondArray::from(vec![Some(instant), None]))),
        (
            "timestamptz",
            Arc::new(
                TimestampMillisecondArray::from(vec![Some(instant), None]).with_timezone("UTC"),
            ),
        ),
        ("interval", Arc::new(IntervalMonthDayNanoArray::from(vec![Some(interval), None]))),
        ("int4s", Arc::new(list)),
        ("row", Arc::new(structs)),
    ];
    RecordBatch::try_from_iter(columns).expect("batch")
}

fn text_batch(name: &str, text: &str) -> RecordBatch {
    let array: ArrayRef = Arc::new(StringArray::from(vec![text]));
    RecordBatch::try_from_iter([(name, array)]).expect("batch")
}

fn live_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
}

/// What a statement returns; `None` where it returns no rows.
fn schema_of(sql: &str) -> Result<Option<SchemaRef>> {
    let schema = match sql.split_whitespace().collect::<Vec<_>>()[..] {
        ["SELECT", "types"] => types_batch().schema(),
        ["SELECT", "numbers", _] => numbers_batch(0..0).schema(),
        ["SELECT", "user"] => text_batch("user", "").schema(),
        ["SELECT", "echo", ..] => text_batch("echo", "").schema(),
        ["SUBSCRIBE", ..] => live_schema(),
        ["SELECT", "endless"] => numbers_batch(0..0).schema(),
        ["SELECT", "forever"] | ["CREATE" | "INSERT", ..] => return Ok(None),
        _ => {
            let position = sql.find("wrong").map_or(1, |at| sql[..at].chars().count() as u32 + 1);
            return Err(PgError::new("42601", "syntax error")
                .at(position)
                .with_detail("a detail")
                .with_hint("a hint"));
        }
    };
    Ok(Some(schema))
}

#[async_trait]
impl SqlSession for TestSession {
    fn catalog(&self) -> Option<&dyn CatalogInfo> {
        Some(&TestCatalog)
    }

    async fn prepare(&mut self, sql: &str, _: &[Option<ParamType>]) -> Result<Prepared> {
        let numbered = sql.contains("numbers").then_some(ParamType::Int4);
        Ok(Prepared { params: vec![numbered], schema: schema_of(sql)? })
    }

    async fn execute(
        &mut self,
        sql: &str,
        params: &[Option<ParamValue>],
    ) -> Result<Vec<SqlResponse>> {
        let schema = schema_of(sql)?;
        let response = match (sql.split_whitespace().collect::<Vec<_>>()[..].as_ref(), schema) {
            (["SELECT", "forever"], _) => std::future::pending().await,
            (["SUBSCRIBE", ..], Some(schema)) => {
                let receiver = self.feed.subscribe();
                let rows = futures::stream::unfold(receiver, |mut receiver| async {
                    let number = receiver.recv().await.ok()?;
                    let array: ArrayRef = Arc::new(Int64Array::from(vec![number]));
                    Some((Ok(RecordBatch::try_new(live_schema(), vec![array]).ok()?), receiver))
                });
                SqlResponse::Subscription { schema, rows: rows.boxed() }
            }
            (["SELECT", "endless"], Some(schema)) => {
                // The receiver shows for how long the rows are held.
                let rows = futures::stream::unfold(self.feed.subscribe(), |held| async {
                    Some((Ok(numbers_batch(0..1_000)), held))
                });
                SqlResponse::Rows { schema, rows: rows.boxed(), tag: "SELECT".into() }
            }
            (["SELECT", what, rest @ ..], Some(schema)) => {
                let batches = match *what {
                    "types" => vec![types_batch()],
                    "user" => vec![text_batch("user", &self.user)],
                    "echo" => {
                        let text = substitute(sql, params)?;
                        vec![text_batch("echo", text.trim_start_matches("SELECT echo").trim())]
                    }
                    _ => numbers(rest, params),
                };
                SqlResponse::rows(schema, batches)
            }
            ([first, second, ..], _) => SqlResponse::command(format!("{first} {second}")),
            _ => SqlResponse::command("DONE"),
        };
        Ok(vec![response])
    }
}

/// As many numbers as asked for, in batches of a thousand.
fn numbers(rest: &[&str], params: &[Option<ParamValue>]) -> Vec<RecordBatch> {
    let count = match params.first() {
        Some(Some(ParamValue::Int(count, _))) => *count,
        _ => rest.first().and_then(|count| count.parse().ok()).unwrap_or(0),
    };
    (0..count).step_by(1_000).map(|from| numbers_batch(from..count.min(from + 1_000))).collect()
}
