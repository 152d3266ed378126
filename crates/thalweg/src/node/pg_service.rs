//! The node behind the PostgreSQL door.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use futures::StreamExt;
use thalweg_core::authorizer::Principal;
use thalweg_serve::pgwire::{
    CatalogInfo, ParamType, ParamValue, PgError, Prepared, Relation, RelationKind, SqlResponse,
    SqlService, SqlSession, sqlstate, substitute,
};
use thalweg_serve::view::{StoredView, ViewEvent};
use thalweg_sql::PlannedInsert;
use thalweg_sql::catalog::CatalogObject;
use thalweg_sql::error::SqlError;
use thalweg_sql::parser::{Statement, parse, parse_one};
use thalweg_stream::ChangeBatch;

use super::Node;
use super::rows::text_schema;
use super::session::{Answer, Session};

/// Makes sessions for the door.
pub(crate) struct PgService {
    node: Arc<Node>,
}

impl PgService {
    pub(crate) fn new(node: &Arc<Node>) -> Self {
        Self { node: Arc::clone(node) }
    }
}

#[async_trait]
impl SqlService for PgService {
    async fn session(
        &self,
        principal: &Principal,
        _: &str,
    ) -> Result<Box<dyn SqlSession>, PgError> {
        Ok(Box::new(PgSession(Session::of(&self.node, principal))))
    }
}

struct PgSession(Session);

impl PgSession {
    /// The columns that a statement answers with, given these parameters.
    async fn columns(
        &mut self,
        sql: &str,
        params: &[Option<ParamValue>],
    ) -> Result<Option<SchemaRef>, PgError> {
        let text = substitute(sql, params)?;
        let parsed = parse_one(&text).map_err(|error| pg_error(&error, &text))?;
        self.0.describe(&parsed).await.map_err(|error| pg_error(&error, &text))
    }
}

#[async_trait]
impl SqlSession for PgSession {
    async fn prepare(
        &mut self,
        sql: &str,
        declared: &[Option<ParamType>],
    ) -> Result<Prepared, PgError> {
        let count = placeholders(sql)?;
        let params: Vec<Option<ParamType>> =
            (0..count).map(|at| declared.get(at).copied().flatten()).collect();
        // Placeholders are written into the text when it is executed; for the columns any
        // value of the type does.
        let typed: Vec<_> = params.iter().map(|known| known.map(ParamValue::Null)).collect();
        let mut schema = self.columns(sql, &typed).await;
        if schema.is_err() && params.iter().any(Option::is_some) {
            // A null of a type may stand where only a value or a bare null can.
            schema = self.columns(sql, &vec![None; count]).await;
        }
        Ok(Prepared { params, schema: schema? })
    }

    async fn execute(
        &mut self,
        sql: &str,
        params: &[Option<ParamValue>],
    ) -> Result<Vec<SqlResponse>, PgError> {
        let text = substitute(sql, params)?;
        let statements = parse(&text).map_err(|error| pg_error(&error, &text))?;
        let mut responses = Vec::with_capacity(statements.len());
        for parsed in &statements {
            let answer = self.0.execute(parsed).await;
            responses.push(response(answer.map_err(|error| pg_error(&error, &text))?)?);
        }
        Ok(responses)
    }

    fn catalog(&self) -> Option<&dyn CatalogInfo> {
        Some(self)
    }
}

impl CatalogInfo for PgSession {
    fn database(&self) -> String {
        self.0.sql.state().catalog.clone()
    }

    fn current_schema(&self) -> String {
        self.0.sql.state().database.clone()
    }

    fn schemas(&self) -> Vec<String> {
        self.0.sql.catalog().databases(&self.0.sql.state().catalog)
    }

    fn relations(&self) -> Vec<Relation> {
        self.0.sql.catalog().objects().iter().filter_map(relation).collect()
    }
}

fn relation(object: &CatalogObject) -> Option<Relation> {
    let (kind, primary_key, definition) = match object {
        CatalogObject::Table(table) => (RelationKind::Table, table.primary_key.clone(), None),
        CatalogObject::View(view) => {
            let kind =
                if view.materialized { RelationKind::MaterializedView } else { RelationKind::View };
            (kind, view.key.clone(), Some(view.definition.clone()))
        }
        CatalogObject::Function(_) => return None,
    };
    let fields: Vec<Field> = object.columns().iter().map(|column| column.to_field()).collect();
    Some(Relation {
        schema_name: object.name().database.clone(),
        name: object.name().name.clone(),
        kind,
        columns: Arc::new(Schema::new(fields)),
        primary_key,
        definition,
    })
}

impl Session {
    /// The columns that a statement would answer with, without executing it.
    async fn describe(
        &mut self,
        parsed: &thalweg_sql::parser::ParsedStatement,
    ) -> Result<Option<SchemaRef>, SqlError> {
        self.check_access(parsed)?;
        match &parsed.statement {
            Statement::Query(query) => self.node.query_schema(&self.sql, query).await.map(Some),
            Statement::Show(_) | Statement::Describe(_) | Statement::Explain(_) => {
                match self.execute(parsed).await? {
                    Answer::Rows { schema, .. } => Ok(Some(schema)),
                    _ => Ok(None),
                }
            }
            Statement::Subscribe(name) => {
                let object = self.sql.object(name)?;
                let view = self.node.view(&object.name().to_string());
                Ok(view.map(|view| change_schema(view.schema())))
            }
            Statement::StatementSet(_) => Ok(Some(text_schema(&JOB_COLUMNS))),
            Statement::Insert(insert) => Ok(match self.sql.plan_insert(insert)? {
                PlannedInsert::Job(_) => Some(text_schema(&JOB_COLUMNS)),
                PlannedInsert::Rows { .. } => None,
            }),
            _ => Ok(None),
        }
    }
}

/// Columns of the answer to a statement that starts a job.
const JOB_COLUMNS: [&str; 2] = ["job id", "job name"];

fn response(answer: Answer) -> Result<SqlResponse, PgError> {
    Ok(match answer {
        Answer::Done(tag) => SqlResponse::command(tag),
        Answer::Rows { schema, batches } => SqlResponse::rows(schema, batches),
        Answer::Job(job) => {
            let (schema, batch) = super::rows::text_rows(
                &JOB_COLUMNS,
                &[vec![job.id().to_string(), job.name().to_owned()]],
            );
            SqlResponse::rows(schema, vec![batch])
        }
        Answer::Subscribe(view) => subscription(&view)?,
    })
}

/// Most parameters of a statement, as in the protocol.
const PARAMETERS_MAX: usize = u16::MAX as usize;

/// How many parameters a statement has: as many nulls as it takes to write them all in.
fn placeholders(sql: &str) -> Result<usize, PgError> {
    let mut count = 0;
    loop {
        match substitute(sql, &vec![None; count]) {
            Ok(_) => return Ok(count),
            Err(error)
                if error.sqlstate == sqlstate::UNDEFINED_PARAMETER && count < PARAMETERS_MAX =>
            {
                count += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// An error of ours as PostgreSQL's clients want it: a position in characters, from 1.
fn pg_error(error: &SqlError, text: &str) -> PgError {
    let mut pg = PgError::new(error.sqlstate(), error.message.clone());
    if let Some(hint) = &error.hint {
        pg = pg.with_hint(hint.clone());
    }
    match error.span.and_then(|span| span.char_offset(text)) {
        Some(offset) => pg.at(offset as u32 + 1),
        None => pg,
    }
}

/// Columns of a subscription: what the change is, its epoch, then the view's.
fn change_schema(schema: &SchemaRef) -> SchemaRef {
    let mut fields = vec![
        Arc::new(Field::new("op", DataType::Utf8, false)),
        Arc::new(Field::new("epoch", DataType::Int64, false)),
    ];
    fields.extend(schema.fields().iter().cloned());
    Arc::new(Schema::new(fields))
}

/// The view as it is, as inserts, then its changes, epoch by epoch.
fn subscription(view: &StoredView) -> Result<SqlResponse, PgError> {
    let (snapshot, changes) = view.subscribe().map_err(PgError::internal)?;
    let schema = change_schema(snapshot.schema());
    let epoch = snapshot.epoch().0;
    let mut first = Vec::new();
    for batch in snapshot.batches() {
        let batch = ChangeBatch::inserts(batch.map_err(PgError::internal)?);
        first.push(change_rows(&schema, epoch, &batch));
    }
    let following = futures::stream::unfold(Some(changes), {
        let schema = Arc::clone(&schema);
        move |changes| {
            let schema = Arc::clone(&schema);
            async move {
                let mut changes = changes?;
                match changes.next().await {
                    ViewEvent::Changes { epoch, changes: batches } => {
                        let rows: Vec<_> =
                            batches.iter().map(|b| change_rows(&schema, epoch.0, b)).collect();
                        Some((rows, Some(changes)))
                    }
                    ViewEvent::Lagged => Some((vec![Err(lagged())], None)),
                    ViewEvent::Closed => None,
                }
            }
        }
    });
    let rows = futures::stream::iter(first).chain(following.flat_map(futures::stream::iter));
    Ok(SqlResponse::Subscription { schema, rows: Box::pin(rows) })
}

fn lagged() -> PgError {
    PgError::new("53400", "the client is too slow for the view's changes")
        .with_hint("subscribe again: the first rows are the view as it is then")
}

fn change_rows(
    schema: &SchemaRef,
    epoch: u64,
    batch: &ChangeBatch,
) -> Result<RecordBatch, PgError> {
    let rows = batch.num_rows();
    let ops = (0..rows).map(|row| batch.kind(row).short());
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(ops)),
        Arc::new(Int64Array::from_value(epoch as i64, rows)),
    ];
    columns.extend(batch.rows.columns().iter().cloned());
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(PgError::internal)
}
