//! One client's session: its state, and what both query protocols share.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::copy::CopyDone;
use pgwire::messages::response::TransactionStatus;
use pgwire::messages::startup::ParameterStatus;
use thalweg_core::authorizer::{Authorizer, Operation, Principal, Resource};

use super::backend::{command_complete, ready_for_query, warning};
use super::catalog::{Asker, CatalogQuery};
use super::cursor::{Cursor, Wrapping, copy_out_response, row_description};
use super::error::{PgError, Result, sqlstate};
use super::extended::{Portal, Statement};
use super::frame::{Failure, Outbox};
use super::lexer::{leading_words, split};
use super::own::OwnStatement;
use super::params::{ParamValue, substitute};
use super::server::PgLimits;
use super::service::{SqlResponse, SqlSession};
use super::settings::Settings;

/// A client's session.
pub(super) struct Session {
    pub(super) outbox: Outbox,
    pub(super) sql: Box<dyn SqlSession>,
    pub(super) principal: Principal,
    /// Number of the connection.
    pub(super) pid: i32,
    pub(super) authorizer: Arc<dyn Authorizer>,
    pub(super) settings: Settings,
    pub(super) limits: PgLimits,
    pub(super) transaction: Transaction,
    pub(super) statements: HashMap<String, Arc<Statement>>,
    pub(super) portals: HashMap<String, Portal>,
    /// After an error in the extended protocol: everything up to Sync is skipped.
    pub(super) skips_to_sync: bool,
}

/// Where the session is in a transaction. What changes something takes effect at once:
/// a transaction block groups statements for the client's sake only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Transaction {
    Idle,
    /// In a block; whether a statement in it changed something.
    Open {
        changed: bool,
    },
    Failed {
        changed: bool,
    },
}

/// Who answers a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Plan {
    /// Nobody: there is nothing in it.
    Empty,
    /// The door.
    Own(OwnStatement),
    /// The door, out of the catalog.
    Catalog(CatalogQuery),
    /// SQL.
    Sql,
}

impl Session {
    /// Looks at one statement.
    pub(super) fn plan(&self, sql: &str) -> Result<Plan> {
        if split(sql).is_empty() {
            return Ok(Plan::Empty);
        }
        if let Some(own) = OwnStatement::recognise(sql)? {
            return Ok(Plan::Own(own));
        }
        let catalog = self.sql.catalog().and_then(|_| CatalogQuery::recognise(sql));
        Ok(catalog.map_or(Plan::Sql, Plan::Catalog))
    }

    /// Answers a query of the catalog.
    pub(super) fn execute_catalog(
        &mut self,
        sql: &str,
        query: &CatalogQuery,
        params: &[Option<ParamValue>],
    ) -> Result<SqlResponse> {
        self.authorize(Operation::Describe)?;
        let Some(info) = self.sql.catalog() else {
            return Err(PgError::internal("a catalog query without a catalog"));
        };
        let user = self.principal.name();
        let asker = Asker { user, pid: self.pid, settings: &self.settings };
        let batch = match params {
            [] => query.run(info, &asker)?,
            params => CatalogQuery::recognise(&substitute(sql, params)?)
                .ok_or_else(|| PgError::internal("a catalog query changed by its parameters"))?
                .run(info, &asker)?,
        };
        Ok(SqlResponse::rows(batch.schema(), vec![batch]))
    }

    fn authorize(&self, operation: Operation) -> Result<()> {
        if self.authorizer.authorize(&self.principal, operation, Resource::Cluster) {
            return Ok(());
        }
        let operation = format!("{operation:?}").to_lowercase();
        Err(PgError::new(
            sqlstate::NO_PRIVILEGE,
            format!("permission denied for \"{}\" to {operation}", self.principal.name()),
        ))
    }

    /// What the client is told of the transaction.
    pub(super) fn put_ready(&mut self) -> Result<()> {
        let status = match self.transaction {
            Transaction::Idle => TransactionStatus::Idle,
            Transaction::Open { .. } => TransactionStatus::Transaction,
            Transaction::Failed { .. } => TransactionStatus::Error,
        };
        self.outbox.put(ready_for_query(status))
    }

    /// Notes that a statement failed.
    pub(super) fn fail_transaction(&mut self) {
        if let Transaction::Open { changed } = self.transaction {
            self.transaction = Transaction::Failed { changed };
        }
    }

    /// Refuses what may not run in a failed transaction block.
    pub(super) fn check_transaction(&self, plan: &Plan) -> Result<()> {
        let ends = matches!(plan, Plan::Own(OwnStatement::Commit | OwnStatement::Rollback));
        if matches!(self.transaction, Transaction::Failed { .. }) && !ends {
            return Err(PgError::new(
                sqlstate::FAILED_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        Ok(())
    }

    /// Executes a statement through SQL, for whoever may do that.
    pub(super) async fn execute_sql(
        &mut self,
        sql: &str,
        params: &[Option<ParamValue>],
    ) -> Result<Vec<SqlResponse>> {
        let operation = operation_of(sql);
        self.authorize(operation)?;
        let responses = self.sql.execute(sql, params).await?;
        if let Transaction::Open { changed } = &mut self.transaction {
            *changed |= !matches!(operation, Operation::Read | Operation::Describe);
        }
        Ok(responses)
    }

    /// Executes one of the door's statements. `None` where the answer was sent, else the
    /// rows to send.
    pub(super) async fn execute_own(
        &mut self,
        sql: &str,
        own: &OwnStatement,
        params: &[Option<ParamValue>],
    ) -> Result<Option<SqlResponse>, Failure> {
        let mut tag = own.tag();
        match own {
            OwnStatement::Begin => self.begin()?,
            OwnStatement::Commit | OwnStatement::Rollback => tag = self.end_transaction(own)?,
            OwnStatement::Set { name, value } => {
                let told = self.settings.set(name, value.as_deref())?;
                self.tell(told)?;
            }
            OwnStatement::ResetAll => self.reset_settings()?,
            OwnStatement::Show(_) | OwnStatement::ShowAll => return Ok(self.show(own)),
            OwnStatement::Deallocate(Some(name)) => {
                self.statements.remove(name).ok_or_else(|| no_statement(name))?;
            }
            OwnStatement::Deallocate(None) => self.statements.clear(),
            OwnStatement::DiscardAll => {
                self.statements.clear();
                self.portals.clear();
                self.reset_settings()?;
            }
            OwnStatement::Nothing(_) => {}
            OwnStatement::CopyOut(query) => {
                return self.copy_out(&sql[query.clone()], params).await.map(|()| None);
            }
        }
        self.outbox.put(command_complete(tag))?;
        Ok(None)
    }

    fn begin(&mut self) -> Result<()> {
        if self.transaction != Transaction::Idle {
            return self.outbox.put(warning("25001", "there is already a transaction in progress"));
        }
        self.transaction = Transaction::Open { changed: false };
        Ok(())
    }

    fn end_transaction(&mut self, own: &OwnStatement) -> Result<&'static str> {
        let failed = matches!(self.transaction, Transaction::Failed { .. });
        let rolls_back = failed || *own == OwnStatement::Rollback;
        match self.transaction {
            Transaction::Idle => {
                self.outbox.put(warning("25P01", "there is no transaction in progress"))?;
            }
            Transaction::Open { changed: true } | Transaction::Failed { changed: true }
                if rolls_back =>
            {
                let text = "what this transaction changed took effect at once and stays";
                self.outbox.put(warning("01000", text))?;
            }
            _ => {}
        }
        self.transaction = Transaction::Idle;
        self.portals.clear();
        Ok(if rolls_back { "ROLLBACK" } else { "COMMIT" })
    }

    fn tell(&mut self, told: Option<(&'static str, String)>) -> Result<()> {
        let Some((name, value)) = told else { return Ok(()) };
        let status = ParameterStatus::new(name.to_owned(), value);
        self.outbox.put(PgWireBackendMessage::ParameterStatus(status))
    }

    fn reset_settings(&mut self) -> Result<()> {
        let before = std::mem::replace(&mut self.settings, Settings::new(self.principal.name()));
        let now: Vec<_> = self.settings.reported().map(|(n, v)| (n, v.to_owned())).collect();
        for (name, value) in now {
            if before.get(name).is_none_or(|(_, before)| before != value) {
                self.tell(Some((name, value)))?;
            }
        }
        Ok(())
    }

    fn show(&self, own: &OwnStatement) -> Option<SqlResponse> {
        let schema = own_schema(own)?;
        let columns: Vec<ArrayRef> = match own {
            OwnStatement::Show(name) => {
                let value = self.settings.get(name).map(|(_, value)| value);
                vec![Arc::new(StringArray::from_iter([value]))]
            }
            _ => vec![
                Arc::new(StringArray::from_iter_values(self.settings.all().map(|(name, _)| name))),
                Arc::new(StringArray::from_iter_values(self.settings.all().map(|(_, v)| v))),
            ],
        };
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).ok()?;
        let rows = Box::pin(futures::stream::iter([Ok(batch)]));
        Some(SqlResponse::Rows { schema, rows, tag: "SHOW".into() })
    }

    async fn copy_out(
        &mut self,
        query: &str,
        params: &[Option<ParamValue>],
    ) -> Result<(), Failure> {
        if self.plan(query)? != Plan::Sql {
            return Err(PgError::not_supported("COPY takes a query in parentheses").into());
        }
        for response in self.execute_sql(query, params).await? {
            let Ok(mut cursor) = Cursor::new(response, &[], self.settings.zone())? else {
                return Err(PgError::not_supported("COPY takes a query that returns rows").into());
            };
            self.outbox.put(copy_out_response(cursor.columns.len()))?;
            cursor.send(&mut self.outbox, None, Wrapping::Copy).await?;
            self.outbox.put(PgWireBackendMessage::CopyDone(CopyDone::new()))?;
            self.outbox.put(command_complete(cursor.tag(Wrapping::Copy)))?;
        }
        Ok(())
    }

    /// Sends a response as a whole, with the description of its rows.
    pub(super) async fn send_described(&mut self, response: SqlResponse) -> Result<(), Failure> {
        let schema = match &response {
            SqlResponse::Rows { schema, .. } | SqlResponse::Subscription { schema, .. } => {
                Some(Arc::clone(schema))
            }
            SqlResponse::Command { .. } => None,
        };
        match Cursor::new(response, &[], self.settings.zone())? {
            Err(tag) => self.outbox.put(command_complete(tag))?,
            Ok(mut cursor) => {
                let formats = super::cursor::formats(&[], cursor.columns.len())?;
                if let Some(schema) = schema {
                    self.outbox.put(row_description(&schema, &formats))?;
                }
                cursor.send(&mut self.outbox, None, Wrapping::DataRow).await?;
                self.outbox.put(command_complete(cursor.tag(Wrapping::DataRow)))?;
            }
        }
        Ok(())
    }
}

/// The columns of what the door answers with rows.
pub(super) fn own_schema(own: &OwnStatement) -> Option<SchemaRef> {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let fields = match own {
        OwnStatement::Show(name) => {
            let settings = Settings::new("");
            vec![text(settings.get(name).map_or(name.as_str(), |(name, _)| name))]
        }
        OwnStatement::ShowAll => vec![text("name"), text("setting")],
        _ => return None,
    };
    Some(Arc::new(Schema::new(fields)))
}

/// The error for a prepared statement that is not there.
pub(super) fn no_statement(name: &str) -> PgError {
    PgError::new(sqlstate::NO_STATEMENT, format!("prepared statement \"{name}\" does not exist"))
}

/// What a statement does, by its first word; the node asks again for each object.
fn operation_of(sql: &str) -> Operation {
    let words = leading_words(sql, 1);
    match words.first().map(String::as_str) {
        Some("INSERT" | "UPDATE" | "DELETE" | "UPSERT" | "EXECUTE" | "BEGIN" | "COPY" | "CALL") => {
            Operation::Write
        }
        Some("CREATE") => Operation::Create,
        Some("DROP" | "STOP" | "CANCEL") => Operation::Delete,
        Some("ALTER" | "ANALYZE" | "TRUNCATE") => Operation::Alter,
        Some("SET" | "RESET" | "USE" | "SHOW" | "DESCRIBE" | "DESC" | "EXPLAIN") => {
            Operation::Describe
        }
        // What begins with a parenthesis has no words.
        None | Some("SELECT" | "WITH" | "VALUES" | "TABLE" | "SUBSCRIBE" | "FETCH") => {
            Operation::Read
        }
        Some(_) => Operation::Alter,
    }
}
