//! A session: where names are looked up, settings, and the statements that need no
//! engine.

mod ddl;
mod show;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use sqlparser::ast::Query;
use thalweg_stream::connector::ConnectorsRef;
use thalweg_stream::graph::Graph;
use thalweg_stream::table::TableSpec;

use crate::catalog::{
    Catalog, CatalogObject, DEFAULT_CATALOG, DEFAULT_DATABASE, FullName, ObjectRecord,
};
use crate::error::{ErrorCode, Result, SqlError};
use crate::parser::{CreateMaterializedView, Insert, Name, Set, Statement};
use crate::plan::{PlannedInsert, PlannedJob, Planner, QueryShape};
use crate::settings::Settings;

/// What belongs to one connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionState {
    /// Current catalog.
    pub catalog: String,
    /// Current database.
    pub database: String,
    /// Settings.
    pub settings: Settings,
}

impl Default for SessionState {
    fn default() -> Self {
        Self {
            catalog: DEFAULT_CATALOG.to_owned(),
            database: DEFAULT_DATABASE.to_owned(),
            settings: Settings::default(),
        }
    }
}

impl SessionState {
    /// The full name of an object.
    ///
    /// # Errors
    /// More than three parts.
    pub fn resolve(&self, name: &Name) -> Result<FullName> {
        let (catalog, database, last) = match name.parts.as_slice() {
            [last] => (&self.catalog, &self.database, last),
            [database, last] => (&self.catalog, database, last),
            [catalog, database, last] => (catalog, database, last),
            _ => {
                let message = format!("`{name}` is not a name of one to three parts");
                return Err(SqlError::new(ErrorCode::Syntax, message).at(name.span));
            }
        };
        Ok(FullName { catalog: catalog.clone(), database: database.clone(), name: last.clone() })
    }
}

/// A session over the shared catalog.
#[derive(Clone)]
pub struct Session {
    catalog: Catalog,
    connectors: ConnectorsRef,
    state: SessionState,
}

/// What a statement gave that needs no engine.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Done, with PostgreSQL's tag such as `CREATE TABLE`, and what to keep of the
    /// catalog.
    Done {
        /// The tag.
        tag: &'static str,
        /// Objects that are new or changed.
        created: Vec<ObjectRecord>,
        /// Full names of objects that are gone.
        dropped: Vec<String>,
    },
    /// Rows, all of type `STRING`.
    Rows {
        /// Their columns.
        schema: SchemaRef,
        /// The rows.
        rows: RecordBatch,
    },
    /// The statement needs the engine or the store of views: plan it.
    Engine,
}

impl Outcome {
    fn done(tag: &'static str) -> Self {
        Self::Done { tag, created: Vec::new(), dropped: Vec::new() }
    }
}

impl Session {
    /// A session in the default database.
    pub fn new(catalog: Catalog, connectors: ConnectorsRef) -> Self {
        Self { catalog, connectors, state: SessionState::default() }
    }

    /// The shared catalog.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Where names are looked up, and settings.
    pub fn state(&self) -> &SessionState {
        &self.state
    }

    /// The settings, to be changed.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.state.settings
    }

    fn planner(&self) -> Planner<'_> {
        Planner {
            catalog: &self.catalog,
            session: &self.state,
            connectors: &*self.connectors,
            depth: 0,
        }
    }

    /// Executes a statement that needs no engine: DDL (but for materialized views), SET,
    /// USE, SHOW, DESCRIBE, EXPLAIN. Others give [`Outcome::Engine`].
    ///
    /// # Errors
    /// Anything wrong with it.
    pub fn execute(&mut self, statement: &Statement) -> Result<Outcome> {
        match statement {
            Statement::CreateTable(create) => self.create_table(create),
            Statement::CreateView(create) => self.create_view(create),
            Statement::CreateFunction(create) => self.create_function(create),
            Statement::CreateDatabase { name, if_not_exists } => {
                self.create_database(name, *if_not_exists)
            }
            Statement::Drop(drop) => self.drop(drop),
            Statement::Set(set) => self.set(set),
            Statement::Use { catalog, name } => self.use_name(*catalog, name),
            Statement::Show(show) => self.show(show),
            Statement::Describe(name) => self.describe(name),
            Statement::Explain(explain) => self.explain_rows(&explain.statement),
            Statement::Insert(_)
            | Statement::StatementSet(_)
            | Statement::Query(_)
            | Statement::CreateMaterializedView(_)
            | Statement::Subscribe(_)
            | Statement::StopJob { .. }
            | Statement::RestartJob(_)
            | Statement::CancelJob(_)
            | Statement::Transaction(_) => Ok(Outcome::Engine),
        }
    }

    /// Plans an `INSERT`.
    ///
    /// # Errors
    /// Anything wrong with it.
    pub fn plan_insert(&self, insert: &Insert) -> Result<PlannedInsert> {
        self.planner().insert(insert)
    }

    /// Plans a statement set as one job.
    ///
    /// # Errors
    /// Anything wrong with one of its parts.
    pub fn plan_statement_set(&self, inserts: &[Insert]) -> Result<PlannedJob> {
        self.planner().statement_set(inserts)
    }

    /// Plans a top-level query as a job whose changes go to a sink: `connector` is its
    /// name, such as `print`.
    ///
    /// # Errors
    /// Anything wrong with it.
    pub fn plan_query(&self, query: &Query, connector: &str) -> Result<PlannedInsert> {
        let name = FullName {
            catalog: self.state.catalog.clone(),
            database: self.state.database.clone(),
            name: "query".to_owned(),
        };
        self.planner().select_into(query, |schema| TableSpec {
            name: name.to_string(),
            schema,
            primary_key: Vec::new(),
            options: [("connector".to_owned(), connector.to_owned())].into(),
        })
    }

    /// The graph that reads all columns of a table, computed ones too.
    ///
    /// # Errors
    /// A table that cannot be read.
    pub fn plan_table(&self, table: &CatalogObject) -> Result<Graph> {
        let name = table.name();
        let quoted =
            [&name.catalog, &name.database, &name.name].map(|part| part.replace('`', "``"));
        let text = format!("SELECT * FROM `{}`.`{}`.`{}`", quoted[0], quoted[1], quoted[2]);
        match crate::parser::parse_one(&text)?.statement {
            Statement::Query(query) => match self.plan_query(&query, "blackhole")? {
                PlannedInsert::Job(job) => Ok(job.graph),
                PlannedInsert::Rows { .. } => Err(SqlError::internal("a table is no row")),
            },
            _ => Err(SqlError::internal("a query is no other statement")),
        }
    }

    /// Plans a materialized view and puts it into the catalog. `None` where it is there
    /// already and `IF NOT EXISTS` was said. If the job then cannot be started, drop the
    /// view again.
    ///
    /// # Errors
    /// Anything wrong with it.
    pub fn create_materialized_view(
        &self,
        create: &CreateMaterializedView,
    ) -> Result<Option<(PlannedJob, ObjectRecord)>> {
        self.make_materialized_view(create)
    }

    /// Plans a materialized view that is in the catalog already, to run its job again.
    ///
    /// # Errors
    /// Anything wrong with it, such as a table that is gone.
    pub fn plan_materialized_view(&self, create: &CreateMaterializedView) -> Result<PlannedJob> {
        let name = self.state.resolve(&create.name)?;
        self.planner().materialized_view(create, &name).map(|(job, _)| job)
    }

    /// Columns, key and tables of a query.
    ///
    /// # Errors
    /// Anything wrong with it.
    pub fn describe_query(&self, query: &Query) -> Result<QueryShape> {
        let planner = self.planner();
        planner.query(query).map(|rel| planner.shape(&rel))
    }

    /// The plan of a statement as text.
    ///
    /// # Errors
    /// Anything wrong with it; a statement without a plan.
    pub fn explain(&self, statement: &Statement) -> Result<String> {
        let job = match statement {
            Statement::Insert(insert) => match self.plan_insert(insert)? {
                PlannedInsert::Job(job) => job,
                PlannedInsert::Rows { table, rows } => {
                    return Ok(format!("{} constant rows -> {}\n", rows.num_rows(), table.name));
                }
            },
            Statement::StatementSet(inserts) => self.plan_statement_set(inserts)?,
            Statement::Query(query) => match self.plan_query(query, "print")? {
                PlannedInsert::Job(job) => job,
                PlannedInsert::Rows { rows, .. } => {
                    return Ok(format!("{} constant rows\n", rows.num_rows()));
                }
            },
            Statement::CreateMaterializedView(create) => self.plan_materialized_view(create)?,
            _ => return Err(SqlError::not_supported("EXPLAIN of this statement")),
        };
        Ok(crate::explain::explain(&job.graph))
    }

    /// An object by name.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn object(&self, name: &Name) -> Result<CatalogObject> {
        let full = self.state.resolve(name)?;
        match self.catalog.get(&full) {
            Some(object) => Ok(object),
            None => Err(self.catalog.unknown_table(name, &full.catalog, &full.database)),
        }
    }

    fn set(&mut self, set: &Set) -> Result<Outcome> {
        match set {
            Set::ShowAll => self.show_settings(),
            Set::Value { key, value, span } => {
                self.state.settings.set(key, value).map_err(|error| error.at(*span))?;
                Ok(Outcome::done("SET"))
            }
            Set::Reset(key) => {
                self.state.settings.reset(key);
                Ok(Outcome::done("RESET"))
            }
            Set::ResetAll => {
                self.state.settings.reset_all();
                Ok(Outcome::done("RESET"))
            }
        }
    }

    fn use_name(&mut self, is_catalog: bool, name: &Name) -> Result<Outcome> {
        let (catalog, database) = match name.parts.as_slice() {
            [catalog] if is_catalog => {
                let databases = self.catalog.databases(catalog);
                let database = databases.first().cloned();
                (catalog.clone(), database.unwrap_or_else(|| DEFAULT_DATABASE.to_owned()))
            }
            [database] => (self.state.catalog.clone(), database.clone()),
            [catalog, database] => (catalog.clone(), database.clone()),
            _ => return Err(SqlError::new(ErrorCode::Syntax, "USE takes a database").at(name.span)),
        };
        if !self.catalog.has_database(&catalog, &database) {
            let what = if is_catalog { "catalog" } else { "database" };
            let message = format!("there is no {what} `{name}`");
            return Err(SqlError::new(ErrorCode::UnknownObject, message).at(name.span));
        }
        (self.state.catalog, self.state.database) = (catalog, database);
        Ok(Outcome::done("USE"))
    }
}
