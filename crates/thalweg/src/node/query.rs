//! Ad-hoc queries: answered at once, from views as of one epoch and from tables up to
//! their current end.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use sqlparser::ast::Query;
use thalweg_sql::adhoc::{AdHoc, ViewResolver};
use thalweg_sql::catalog::CatalogObject;
use thalweg_sql::error::{ErrorCode, SqlError};

use super::Node;
use super::bounded_read::read_table;

/// Bytes that one query may hold, with its inputs and its result.
const QUERY_BYTES_MAX: usize = 512 << 20;

impl Node {
    /// Answers a query.
    pub(crate) async fn query(
        self: &Arc<Self>,
        session: &thalweg_sql::Session,
        query: &Query,
    ) -> Result<(SchemaRef, Vec<RecordBatch>), SqlError> {
        let ad_hoc = AdHoc { memory_bytes: QUERY_BYTES_MAX, now: self.env.clock.wall_ms() };
        let resolver = Resolver { node: self, session, columns_only: false };
        ad_hoc.query(session, query, &resolver).await
    }

    /// The columns that a query would answer with. Its tables count as empty.
    pub(crate) async fn query_schema(
        self: &Arc<Self>,
        session: &thalweg_sql::Session,
        query: &Query,
    ) -> Result<SchemaRef, SqlError> {
        let ad_hoc = AdHoc { memory_bytes: QUERY_BYTES_MAX, now: self.env.clock.wall_ms() };
        let resolver = Resolver { node: self, session, columns_only: true };
        ad_hoc.query(session, query, &resolver).await.map(|(schema, _)| schema)
    }
}

struct Resolver<'a> {
    node: &'a Arc<Node>,
    session: &'a thalweg_sql::Session,
    columns_only: bool,
}

/// The name of an object whose rows are kept.
fn kept(object: &CatalogObject) -> Option<String> {
    match object {
        CatalogObject::View(view) if view.materialized => Some(view.name.to_string()),
        _ => None,
    }
}

#[async_trait]
impl ViewResolver for Resolver<'_> {
    /// All views of a query as of one moment: those of one job show one epoch.
    async fn all_rows(
        &self,
        objects: &[CatalogObject],
    ) -> Result<Vec<Option<Vec<RecordBatch>>>, SqlError> {
        if self.columns_only {
            return Ok(vec![Some(Vec::new()); objects.len()]);
        }
        let names: Vec<String> = objects.iter().filter_map(kept).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for name in &names {
            self.node.kept_view(name)?;
        }
        let mut views = self.node.view_rows(&names).map_err(failed)?.into_iter();
        let mut all = Vec::with_capacity(objects.len());
        for object in objects {
            all.push(match kept(object) {
                Some(_) => views.next(),
                None => self.rows(object).await?,
            });
        }
        Ok(all)
    }

    async fn rows(&self, object: &CatalogObject) -> Result<Option<Vec<RecordBatch>>, SqlError> {
        if self.columns_only {
            return Ok(Some(Vec::new()));
        }
        match object {
            CatalogObject::View(view) if view.materialized => {
                let name = view.name.to_string();
                self.node.kept_view(&name)?;
                let mut rows = self.node.view_rows(&[&name]).map_err(failed)?;
                Ok(rows.pop())
            }
            CatalogObject::Table(_) => {
                let node = Arc::clone(self.node);
                let graph = self.session.plan_table(object)?;
                let read = move || read_table(&node.env, node.connectors.as_ref(), &graph);
                let read = tokio::task::spawn_blocking(read).await;
                Ok(Some(read.map_err(failed)??))
            }
            _ => Ok(None),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> SqlError {
    SqlError::new(ErrorCode::Execution, error.to_string())
}
