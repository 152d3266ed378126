//! What stands behind the door: SQL, as a trait.
//!
//! The door speaks the protocol, keeps prepared statements, portals, transactions and
//! PostgreSQL's settings; everything else is handed to a [`SqlSession`], one for each
//! connection.

use std::pin::Pin;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use futures::Stream;
use thalweg_core::authorizer::Principal;

use super::error::Result;
use super::params::{ParamType, ParamValue};
use super::relations::CatalogInfo;

/// Makes sessions.
#[async_trait]
pub trait SqlService: Send + Sync {
    /// A session for somebody who has just connected.
    ///
    /// # Errors
    /// A database that does not exist (3D000), or no room.
    async fn session(&self, principal: &Principal, database: &str) -> Result<Box<dyn SqlSession>>;
}

/// A prepared statement, as far as the client wants to know it.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// Types of `$1`, `$2`, ...; `None` where it does not matter (sent as text).
    pub params: Vec<Option<ParamType>>,
    /// Columns of the rows that the statement returns; `None` where it returns none.
    pub schema: Option<SchemaRef>,
}

/// Rows as they come.
pub type RowStream = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// What a statement answers.
pub enum SqlResponse {
    /// Rows, to the end of `rows`. `tag` is the command tag, to which the number of rows
    /// is added, such as `SELECT` or `SHOW`.
    Rows {
        /// The columns.
        schema: SchemaRef,
        /// The rows.
        rows: RowStream,
        /// The command tag.
        tag: String,
    },
    /// Rows without an end (`SUBSCRIBE`): each batch is sent to the client as it comes.
    Subscription {
        /// The columns.
        schema: SchemaRef,
        /// The rows.
        rows: RowStream,
    },
    /// Done, without rows. `tag` is the whole tag, such as `CREATE TABLE` or
    /// `INSERT 0 3`.
    Command {
        /// The command tag.
        tag: String,
    },
}

impl SqlResponse {
    /// The answer of a query whose rows are there already.
    pub fn rows(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        let rows = Box::pin(futures::stream::iter(batches.into_iter().map(Ok)));
        Self::Rows { schema, rows, tag: "SELECT".into() }
    }

    /// The answer of a statement without rows.
    pub fn command(tag: impl Into<String>) -> Self {
        Self::Command { tag: tag.into() }
    }
}

impl std::fmt::Debug for SqlResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rows { schema, tag, .. } => write!(f, "Rows({tag}, {schema})"),
            Self::Subscription { schema, .. } => write!(f, "Subscription({schema})"),
            Self::Command { tag } => write!(f, "Command({tag})"),
        }
    }
}

/// One client's session. Futures are dropped where the client cancels or goes away, and
/// must leave the session usable.
#[async_trait]
pub trait SqlSession: Send {
    /// Plans one statement without executing it. `declared` are the types that the
    /// client gave to the parameters, where it did.
    ///
    /// # Errors
    /// What is wrong with the text; [`super::PgError::position`] counts in `sql`.
    async fn prepare(&mut self, sql: &str, declared: &[Option<ParamType>]) -> Result<Prepared>;

    /// Executes one statement; there are as many `params` as it has placeholders
    /// ([`super::substitute`] writes them into the text).
    ///
    /// # Errors
    /// What went wrong; [`super::PgError::position`] counts in `sql`.
    async fn execute(
        &mut self,
        sql: &str,
        params: &[Option<ParamValue>],
    ) -> Result<Vec<SqlResponse>>;

    /// What `\d` and its like show. `None` where there is no catalog to show.
    fn catalog(&self) -> Option<&dyn CatalogInfo> {
        None
    }
}
