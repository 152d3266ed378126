//! What a statement asks for, object by object, before it is carried out.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{Query, visit_relations};
use thalweg_core::authorizer::{Authorizer, Operation, Principal, Resource};
use thalweg_sql::SessionState;
use thalweg_sql::error::{ErrorCode, SqlError};
use thalweg_sql::parser::{Insert, Name, ObjectKind, Show, Statement};

/// Who executes statements, and who decides what they may do.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) principal: Principal,
    pub(super) authorizer: Arc<dyn Authorizer>,
}

impl Access {
    /// Asks for everything that a statement needs.
    ///
    /// # Errors
    /// The first thing that is not allowed.
    pub(super) fn check(
        &self,
        state: &SessionState,
        statement: &Statement,
    ) -> Result<(), SqlError> {
        let mut needs = Needs { state, objects: BTreeSet::new(), others: Vec::new() };
        needs.statement(statement);
        for (operation, name) in &needs.objects {
            self.ask(code_operation(*operation), Resource::CatalogObject(name), "", name)?;
        }
        for (operation, other) in &needs.others {
            match other {
                Other::Job(name) => self.ask(*operation, Resource::Job(name), "job ", name)?,
                Other::Cluster => self.ask(*operation, Resource::Cluster, "", "the catalog")?,
            }
        }
        Ok(())
    }

    fn ask(
        &self,
        operation: Operation,
        resource: Resource<'_>,
        what: &str,
        name: &str,
    ) -> Result<(), SqlError> {
        if self.authorizer.authorize(&self.principal, operation, resource) {
            return Ok(());
        }
        let message = format!("{} may not {operation:?} {what}{name}", self.principal);
        Err(SqlError::new(ErrorCode::PermissionDenied, message))
    }
}

enum Other {
    Job(String),
    Cluster,
}

struct Needs<'a> {
    state: &'a SessionState,
    /// Operations by their codes, and full names.
    objects: BTreeSet<(u8, String)>,
    others: Vec<(Operation, Other)>,
}

/// The operations that statements need, by code.
fn code_operation(code: u8) -> Operation {
    const ALL: [Operation; 6] = [
        Operation::Read,
        Operation::Write,
        Operation::Create,
        Operation::Delete,
        Operation::Alter,
        Operation::Describe,
    ];
    ALL.into_iter().find(|operation| *operation as u8 == code).unwrap_or(Operation::Alter)
}

impl Needs<'_> {
    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Query(query) => self.query(Operation::Read, query),
            Statement::Insert(insert) => self.insert(insert),
            Statement::StatementSet(inserts) => inserts.iter().for_each(|one| self.insert(one)),
            Statement::CreateTable(create) => self.object(Operation::Create, &create.name),
            Statement::CreateView(create) => {
                self.object(Operation::Create, &create.name);
                self.query(Operation::Read, &create.query);
            }
            Statement::CreateMaterializedView(create) => {
                self.object(Operation::Create, &create.name);
                self.query(Operation::Read, &create.query);
            }
            Statement::CreateFunction(create) => self.object(Operation::Create, &create.name),
            Statement::CreateDatabase { .. } => {
                self.others.push((Operation::Create, Other::Cluster))
            }
            Statement::Drop(drop) if drop.kind == ObjectKind::Database => {
                self.others.push((Operation::Delete, Other::Cluster));
            }
            Statement::Drop(drop) => self.object(Operation::Delete, &drop.name),
            Statement::Describe(name)
            | Statement::Show(Show::Columns(name) | Show::Create(name)) => {
                self.object(Operation::Describe, name);
            }
            Statement::Subscribe(name) => self.object(Operation::Read, name),
            Statement::Explain(explain) => self.explain(&explain.statement),
            Statement::Show(Show::Job(name)) => {
                self.others.push((Operation::Describe, Other::Job(name.clone())));
            }
            Statement::StopJob { job, .. } | Statement::RestartJob(job) => {
                self.others.push((Operation::Alter, Other::Job(job.clone())));
            }
            Statement::CancelJob(job) => {
                self.others.push((Operation::Delete, Other::Job(job.clone())));
            }
            Statement::Show(_)
            | Statement::Set(_)
            | Statement::Use { .. }
            | Statement::Transaction(_) => {}
        }
    }

    fn insert(&mut self, insert: &Insert) {
        self.object(Operation::Write, &insert.table);
        self.query(Operation::Read, &insert.query);
    }

    /// A plan shows the shape of what it is made of, and no rows.
    fn explain(&mut self, statement: &Statement) {
        let mut inner = Needs { state: self.state, objects: BTreeSet::new(), others: Vec::new() };
        inner.statement(statement);
        let describe = Operation::Describe as u8;
        self.objects.extend(inner.objects.into_iter().map(|(_, name)| (describe, name)));
    }

    /// Tables and views that are named; what a view is made of its creator was asked for.
    fn query(&mut self, operation: Operation, query: &Query) {
        let _ = visit_relations(query, |relation| {
            let parts = relation.0.iter().filter_map(|part| part.as_ident());
            let parts: Vec<String> = parts.map(|ident| ident.value.clone()).collect();
            self.object(operation, &Name { parts, span: None });
            ControlFlow::<()>::Continue(())
        });
    }

    fn object(&mut self, operation: Operation, name: &Name) {
        // A name that cannot be resolved is an error of its own.
        if let Ok(full) = self.state.resolve(name) {
            self.objects.insert((operation as u8, full.to_string()));
        }
    }
}
