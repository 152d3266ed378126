//! The extended query protocol: prepared statements, portals, and rows by the handful.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use pgwire::api::Type;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    BindComplete, CloseComplete, ParseComplete, PortalSuspended,
};
use pgwire::messages::response::EmptyQueryResponse;

use super::backend::command_complete;
use super::cursor::{Cursor, Wrapping, columns_of, formats, row_description};
use super::error::{PgError, Result, sqlstate};
use super::frame::Failure;
use super::frontend::{Bind, Target};
use super::lexer::split;
use super::params::{self, ParamType, ParamValue};
use super::service::SqlResponse;
use super::session::{Plan, Session, Transaction, no_statement, own_schema};
use super::types::PgColumn;

/// A prepared statement.
pub(super) struct Statement {
    sql: String,
    plan: Plan,
    params: Vec<Option<ParamType>>,
    schema: Option<SchemaRef>,
}

/// A statement with its parameters, perhaps half read.
pub(super) struct Portal {
    statement: Arc<Statement>,
    params: Vec<Option<ParamValue>>,
    param_bytes: usize,
    result_formats: Vec<i16>,
    state: PortalState,
}

enum PortalState {
    New,
    Running(Box<Cursor>),
    Done,
}

impl Session {
    /// Answers Parse.
    pub(super) async fn parse(
        &mut self,
        name: String,
        sql: String,
        param_types: Vec<u32>,
    ) -> Result<()> {
        if !name.is_empty() && self.statements.contains_key(&name) {
            return Err(PgError::new(
                sqlstate::DUPLICATE_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        self.check_statement_room(&name, sql.len())?;
        if split(&sql).len() > 1 {
            let text = "cannot insert multiple commands into a prepared statement";
            return Err(PgError::new(sqlstate::SYNTAX, text));
        }
        let plan = self.plan(&sql)?;
        self.check_transaction(&plan)?;
        let count = params::count(&sql).max(param_types.len());
        if count == usize::from(u16::MAX) {
            return Err(PgError::new(sqlstate::TOO_LARGE, "there are too many parameters"));
        }
        let mut declared = Vec::with_capacity(count);
        for at in 0..count {
            declared.push(ParamType::from_oid(param_types.get(at).copied().unwrap_or(0))?);
        }
        let schema = match &plan {
            Plan::Empty => None,
            Plan::Own(own) => own_schema(own),
            Plan::Catalog(query) => Some(query.schema()),
            Plan::Sql => {
                let prepared = self.sql.prepare(&sql, &declared).await?;
                for (declared, inferred) in declared.iter_mut().zip(prepared.params) {
                    *declared = declared.or(inferred);
                }
                prepared.schema
            }
        };
        let statement = Statement { sql, plan, params: declared, schema };
        self.statements.insert(name, Arc::new(statement));
        self.outbox.put(PgWireBackendMessage::ParseComplete(ParseComplete::new()))
    }

    fn check_statement_room(&self, name: &str, bytes: usize) -> Result<()> {
        let replaced = self.statements.get(name).map_or(0, |statement| statement.sql.len());
        let held: usize = self.statements.values().map(|statement| statement.sql.len()).sum();
        if self.statements.len() >= self.limits.statements
            || held - replaced + bytes > self.limits.statement_bytes
        {
            return Err(PgError::new(
                sqlstate::LIMIT_EXCEEDED,
                "this session has too many prepared statements",
            )
            .with_hint("close or DEALLOCATE some of them"));
        }
        Ok(())
    }

    /// Answers Bind.
    pub(super) fn bind(&mut self, bind: Bind) -> Result<()> {
        let statement = self.statements.get(&bind.statement);
        let statement = Arc::clone(statement.ok_or_else(|| no_statement(&bind.statement))?);
        self.check_transaction(&statement.plan)?;
        if bind.params.len() != statement.params.len() {
            return Err(PgError::new(
                sqlstate::PROTOCOL_VIOLATION,
                format!(
                    "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
                    bind.params.len(),
                    bind.statement,
                    statement.params.len()
                ),
            ));
        }
        let param_bytes: usize = bind.params.iter().flatten().map(bytes::Bytes::len).sum();
        self.check_portal_room(&bind.portal, param_bytes)?;
        let param_formats = formats(&bind.param_formats, bind.params.len())?;
        let mut params = Vec::with_capacity(bind.params.len());
        let given = bind.params.iter().zip(param_formats).zip(&statement.params);
        for ((bytes, format), param_type) in given {
            params.push(match bytes {
                Some(bytes) => Some(ParamValue::decode(bytes, format, *param_type)?),
                None => param_type.map(ParamValue::Null),
            });
        }
        if let Some(schema) = &statement.schema {
            formats(&bind.result_formats, schema.fields().len())?;
        }
        let portal = Portal {
            statement,
            params,
            param_bytes,
            result_formats: bind.result_formats,
            state: PortalState::New,
        };
        self.portals.insert(bind.portal, portal);
        self.outbox.put(PgWireBackendMessage::BindComplete(BindComplete::new()))
    }

    fn check_portal_room(&self, name: &str, bytes: usize) -> Result<()> {
        if !name.is_empty() && self.portals.contains_key(name) {
            return Err(PgError::new("42P03", format!("cursor \"{name}\" already exists")));
        }
        let held: usize = self.portals.values().map(|portal| portal.param_bytes).sum();
        if self.portals.len() >= self.limits.portals
            || held + bytes > self.limits.message_bytes.saturating_mul(2)
        {
            return Err(PgError::new(
                sqlstate::LIMIT_EXCEEDED,
                "this session has too many open portals",
            ));
        }
        Ok(())
    }

    /// Answers Describe.
    pub(super) fn describe(&mut self, target: &Target) -> Result<()> {
        let (schema, result_formats) = match target {
            Target::Statement(name) => {
                let statement = self.statements.get(name).ok_or_else(|| no_statement(name))?;
                let types = statement.params.iter();
                let types = types.map(|known| known.unwrap_or(ParamType::Text).pg_type().oid());
                let message = ParameterDescription::new(types.collect());
                self.outbox.put(PgWireBackendMessage::ParameterDescription(message))?;
                (statement.schema.clone(), Vec::new())
            }
            Target::Portal(name) => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                (portal.statement.schema.clone(), portal.result_formats.clone())
            }
        };
        let message = match schema {
            None => PgWireBackendMessage::NoData(NoData::new()),
            Some(schema) => {
                row_description(&schema, &formats(&result_formats, schema.fields().len())?)
            }
        };
        self.outbox.put(message)
    }

    /// Answers Execute.
    pub(super) async fn execute(&mut self, name: &str, max_rows: i32) -> Result<(), Failure> {
        // Taken out while it runs: a portal that fails is gone.
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        self.check_transaction(&portal.statement.plan)?;
        if matches!(portal.state, PortalState::New) {
            let statement = Arc::clone(&portal.statement);
            portal.state = self.start(&statement, &portal.params, &portal.result_formats).await?;
        } else if matches!(portal.state, PortalState::Done) {
            let text = format!("portal \"{name}\" cannot be run");
            return Err(PgError::new("55000", text).into());
        }
        if let PortalState::Running(cursor) = &mut portal.state {
            let limit = u64::try_from(max_rows).ok().filter(|rows| *rows > 0);
            if cursor.send(&mut self.outbox, limit, Wrapping::DataRow).await? {
                self.outbox.put(command_complete(cursor.tag(Wrapping::DataRow)))?;
                portal.state = PortalState::Done;
            } else {
                let message = PgWireBackendMessage::PortalSuspended(PortalSuspended::new());
                self.outbox.put(message)?;
            }
        }
        self.portals.insert(name.to_owned(), portal);
        self.outbox.relieve().await
    }

    async fn start(
        &mut self,
        statement: &Statement,
        params: &[Option<ParamValue>],
        result_formats: &[i16],
    ) -> Result<PortalState, Failure> {
        let response = match &statement.plan {
            Plan::Empty => {
                let message = EmptyQueryResponse::new();
                self.outbox.put(PgWireBackendMessage::EmptyQueryResponse(message))?;
                return Ok(PortalState::Done);
            }
            Plan::Own(own) => match self.execute_own(&statement.sql, own, params).await? {
                Some(response) => response,
                None => return Ok(PortalState::Done),
            },
            Plan::Catalog(query) => self.execute_catalog(&statement.sql, query, params)?,
            Plan::Sql => only_one(self.execute_sql(&statement.sql, params).await?)?,
        };
        match Cursor::new(response, result_formats, self.settings.zone())? {
            Err(tag) => {
                self.outbox.put(command_complete(tag))?;
                Ok(PortalState::Done)
            }
            Ok(cursor) => {
                // A decimal's scale or a time's precision may be the parameter's: clients
                // read values by their type.
                let described = statement.schema.as_ref().map(|schema| columns_of(schema));
                let same = described.is_some_and(|described| {
                    let types = |columns: &[PgColumn]| -> Vec<Type> {
                        columns.iter().map(|column| column.pg_type.clone()).collect()
                    };
                    types(&described) == types(&cursor.columns)
                });
                if !same {
                    let text = "the columns of the result are not those that were described";
                    return Err(PgError::not_supported(text)
                        .with_hint("prepare the statement again")
                        .into());
                }
                Ok(PortalState::Running(Box::new(cursor)))
            }
        }
    }

    /// Answers Close.
    pub(super) fn close(&mut self, target: &Target) -> Result<()> {
        match target {
            Target::Statement(name) => drop(self.statements.remove(name)),
            Target::Portal(name) => drop(self.portals.remove(name)),
        }
        self.outbox.put(PgWireBackendMessage::CloseComplete(CloseComplete::new()))
    }

    /// Answers Sync. Outside of a transaction block it ends the portals, as the end of
    /// a transaction does.
    pub(super) async fn sync(&mut self) -> Result<(), Failure> {
        self.skips_to_sync = false;
        if self.transaction == Transaction::Idle {
            self.portals.clear();
        }
        self.put_ready()?;
        self.outbox.flush().await
    }
}

fn no_portal(name: &str) -> PgError {
    PgError::new(sqlstate::NO_PORTAL, format!("portal \"{name}\" does not exist"))
}

fn only_one(mut responses: Vec<SqlResponse>) -> Result<SqlResponse> {
    match (responses.pop(), responses.is_empty()) {
        (Some(response), true) => Ok(response),
        (None, _) => Err(PgError::internal("a statement without an answer")),
        (Some(_), false) => {
            Err(PgError::not_supported("a prepared statement cannot return several results"))
        }
    }
}

impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sql)
    }
}
