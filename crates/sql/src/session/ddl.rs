//! Statements that change the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Outcome, Session};
use crate::catalog::{
    CatalogObject, Column, ColumnSource, FullName, FunctionObject, ObjectId, ObjectRecord,
    TableObject, ViewObject, Watermark,
};
use crate::error::{ErrorCode, Result, Span, SqlError};
use crate::expr::TimeAttribute;
use crate::functions::{aggregate, registry};
use crate::parser::{
    ColumnKind, CreateFunction, CreateMaterializedView, CreateTable, CreateView, Drop, Name,
    ObjectKind, Statement, TableColumn,
};
use crate::plan::PlannedJob;
use crate::plan::rel::RelColumn;
use crate::suggest;
use crate::types::SqlType;

impl Session {
    pub(super) fn create_table(&mut self, create: &CreateTable) -> Result<Outcome> {
        let name = self.state.resolve(&create.name)?;
        if self.exists(&name, create.if_not_exists, &create.name)? {
            return Ok(Outcome::done("CREATE TABLE"));
        }
        let table = self.table_object(create, name.clone())?;
        self.connectors
            .validate(&table.source_spec())
            .map_err(|error| SqlError::from(error).at(create.name.span))?;
        let object = self
            .catalog
            .create(&name, |id| CatalogObject::Table(Arc::new(TableObject { id, ..table })));
        let object = object.map_err(|error| error.at(create.name.span))?;
        Ok(created("CREATE TABLE", &object))
    }

    /// Whether the object is there and that is fine.
    fn exists(&self, name: &FullName, fine: bool, written: &Name) -> Result<bool> {
        match self.catalog.get(name) {
            Some(_) if fine => Ok(true),
            Some(object) => {
                let kind = object.kind().name();
                let message = format!("{kind} `{name}` already exists");
                Err(SqlError::new(ErrorCode::AlreadyExists, message).at(written.span))
            }
            None => Ok(false),
        }
    }

    /// Checks a definition and derives the types of its computed columns.
    fn table_object(&self, create: &CreateTable, name: FullName) -> Result<TableObject> {
        let mut definition = Definition::default();
        if let Some(like) = &create.like {
            definition.like(&self.object(like)?, like)?;
        }
        let planner = self.planner();
        let own: Vec<&TableColumn> = create.columns.iter().collect();
        for column in &own {
            if !matches!(column.kind, ColumnKind::Computed { .. }) {
                definition.add(column, column_of(column))?;
            }
        }
        // Computed columns see all columns that are read.
        let readable = definition.readable();
        for column in &own {
            if let ColumnKind::Computed { expr, text } = &column.kind {
                let bound = planner.expression((**expr).clone(), &readable)?;
                let source = ColumnSource::Computed(text.clone());
                let computed = Column {
                    name: column.name.value.clone(),
                    sql_type: bound.sql_type,
                    nullable: true,
                    source,
                    comment: column.comment.clone(),
                };
                definition.add(column, computed)?;
            }
        }
        definition.order(&own);
        let table = definition.finish(create, name)?;
        let table = Arc::new(table);
        // Planning a scan checks the watermark; its place is the expression's.
        planner.scan(&table).map_err(|error| {
            let watermark = create.watermark.as_ref();
            error.at(watermark.and_then(|mark| Span::from_parser(mark.column.span)))
        })?;
        Ok(Arc::unwrap_or_clone(table))
    }

    pub(super) fn create_view(&mut self, create: &CreateView) -> Result<Outcome> {
        let name = self.state.resolve(&create.name)?;
        if self.exists(&name, create.if_not_exists, &create.name)? {
            return Ok(Outcome::done("CREATE VIEW"));
        }
        let planner = self.planner();
        let shape = planner.shape(&planner.query(&create.query)?);
        let columns = renamed(shape.columns, &create.columns, &create.name)?;
        let (context_catalog, context_database) =
            (self.state.catalog.clone(), self.state.database.clone());
        let object = self.catalog.create(&name, |id| {
            CatalogObject::View(Arc::new(ViewObject {
                id,
                version: 1,
                name: name.clone(),
                materialized: false,
                columns,
                key: shape.key,
                definition: create.text.clone(),
                context_catalog,
                context_database,
                temporary: create.temporary,
            }))
        });
        let object = object.map_err(|error| error.at(create.name.span))?;
        Ok(created("CREATE VIEW", &object))
    }

    pub(super) fn make_materialized_view(
        &self,
        create: &CreateMaterializedView,
    ) -> Result<Option<(PlannedJob, ObjectRecord)>> {
        let name = self.state.resolve(&create.name)?;
        if self.exists(&name, create.if_not_exists, &create.name)? {
            return Ok(None);
        }
        let (job, shape) = self.planner().materialized_view(create, &name)?;
        let object = self.catalog.create(&name, |id| {
            CatalogObject::View(Arc::new(ViewObject {
                id,
                version: 1,
                name: name.clone(),
                materialized: true,
                columns: shape.columns,
                key: shape.key,
                definition: create.text.clone(),
                context_catalog: self.state.catalog.clone(),
                context_database: self.state.database.clone(),
                temporary: false,
            }))
        });
        let object = object.map_err(|error| error.at(create.name.span))?;
        let record = ObjectRecord::of(&object)
            .ok_or_else(|| SqlError::internal("a materialized view is kept"))?;
        Ok(Some((job, record)))
    }

    pub(super) fn create_function(&mut self, create: &CreateFunction) -> Result<Outcome> {
        let name = self.state.resolve(&create.name)?;
        if self.exists(&name, create.if_not_exists, &create.name)? {
            return Ok(Outcome::done("CREATE FUNCTION"));
        }
        let class = create.class.rsplit('.').next().unwrap_or(&create.class);
        let builtin = builtin_of(class).ok_or_else(|| {
            let message = format!("the Java class '{}' cannot be run here", create.class);
            let hint = "classes whose name is that of a built-in function stand for it; \
                        SHOW FUNCTIONS lists them";
            SqlError::not_supported(message).at(create.name.span).with_hint(hint.to_owned())
        })?;
        let definition = format!(
            "CREATE FUNCTION IF NOT EXISTS `{}` AS '{}'",
            create.name.last(),
            create.class.replace('\'', "''")
        );
        let object = self.catalog.create(&name, |id| {
            CatalogObject::Function(Arc::new(FunctionObject {
                id,
                name: name.clone(),
                class: create.class.clone(),
                builtin,
                definition,
            }))
        });
        let object = object.map_err(|error| error.at(create.name.span))?;
        Ok(created("CREATE FUNCTION", &object))
    }

    pub(super) fn create_database(&mut self, name: &Name, if_not_exists: bool) -> Result<Outcome> {
        let (catalog, database) = self.database_name(name)?;
        let mut done = Outcome::done("CREATE DATABASE");
        if if_not_exists && self.catalog.has_database(&catalog, &database) {
            return Ok(done);
        }
        let id = self.catalog.create_database(&catalog, &database);
        let id = id.map_err(|error| error.at(name.span))?;
        if let Outcome::Done { created, .. } = &mut done {
            created.push(ObjectRecord::of_database(id, &catalog, &database));
        }
        Ok(done)
    }

    fn database_name(&self, name: &Name) -> Result<(String, String)> {
        match name.parts.as_slice() {
            [database] => Ok((self.state.catalog.clone(), database.clone())),
            [catalog, database] => Ok((catalog.clone(), database.clone())),
            _ => {
                let message = "a database has a name of one or two parts";
                Err(SqlError::new(ErrorCode::Syntax, message).at(name.span))
            }
        }
    }

    pub(super) fn drop(&mut self, drop: &Drop) -> Result<Outcome> {
        let tag = match drop.kind {
            ObjectKind::Table => "DROP TABLE",
            ObjectKind::View => "DROP VIEW",
            ObjectKind::MaterializedView => "DROP MATERIALIZED VIEW",
            ObjectKind::Function => "DROP FUNCTION",
            ObjectKind::Database => "DROP DATABASE",
        };
        let mut done = Outcome::done(tag);
        let gone = if drop.kind == ObjectKind::Database {
            let (catalog, database) = self.database_name(&drop.name)?;
            if drop.if_exists && !self.catalog.has_database(&catalog, &database) {
                return Ok(done);
            }
            self.catalog
                .drop_database(&catalog, &database)
                .map_err(|error| error.at(drop.name.span))?;
            format!("{catalog}.{database}")
        } else {
            let full = self.state.resolve(&drop.name)?;
            if self.catalog.get(&full).is_none() {
                if drop.if_exists {
                    return Ok(done);
                }
                if drop.kind != ObjectKind::Function {
                    return Err(self.catalog.unknown_table(
                        &drop.name,
                        &full.catalog,
                        &full.database,
                    ));
                }
            }
            self.catalog.drop(&full, drop.kind).map_err(|error| error.at(drop.name.span))?;
            full.to_string()
        };
        if let Outcome::Done { dropped, .. } = &mut done {
            dropped.push(gone);
        }
        Ok(done)
    }

    /// Puts an object back that was kept as a record, under its id. Jobs of materialized
    /// views are not started.
    ///
    /// # Errors
    /// A definition that does not work any more, with the object's name.
    pub fn restore(&mut self, record: &ObjectRecord) -> Result<()> {
        let what = format!("stored definition of `{}`", record.name);
        let inner = || -> Result<()> {
            let parsed = crate::parser::parse_one(&record.sql)?;
            let mut session = self.clone();
            session.state.catalog = record.catalog.clone();
            session.state.database = record.database.clone();
            session.catalog.reserve_id(record.id);
            let object = session.remake(&parsed.statement, record)?;
            if let Some(object) = object {
                self.catalog.put(object);
            }
            Ok(())
        };
        inner().map_err(|error| error.inside(&what))
    }

    /// The object of a statement, under the id of its record.
    fn remake(
        &mut self,
        statement: &Statement,
        record: &ObjectRecord,
    ) -> Result<Option<CatalogObject>> {
        let (id, version) = (record.id, record.version);
        Ok(Some(match statement {
            Statement::CreateDatabase { name, .. } => {
                self.create_database(name, true)?;
                return Ok(None);
            }
            Statement::CreateTable(create) => {
                let name = self.state.resolve(&create.name)?;
                let table = self.table_object(create, name)?;
                CatalogObject::Table(Arc::new(TableObject { id, version, ..table }))
            }
            Statement::CreateView(_) | Statement::CreateMaterializedView(_) => {
                CatalogObject::View(Arc::new(self.remake_view(statement, id, version)?))
            }
            Statement::CreateFunction(create) => {
                self.create_function(create)?;
                return Ok(None);
            }
            _ => return Err(SqlError::internal("a record that makes nothing")),
        }))
    }

    fn remake_view(&self, statement: &Statement, id: ObjectId, version: u64) -> Result<ViewObject> {
        let (written, query, names, text, materialized) = match statement {
            Statement::CreateView(create) => {
                (&create.name, &create.query, &create.columns, &create.text, false)
            }
            Statement::CreateMaterializedView(create) => {
                (&create.name, &create.query, &create.columns, &create.text, true)
            }
            _ => return Err(SqlError::internal("a view was expected")),
        };
        let planner = self.planner();
        let shape = planner.shape(&planner.query(query)?);
        Ok(ViewObject {
            id,
            version,
            name: self.state.resolve(written)?,
            materialized,
            columns: renamed(shape.columns, names, written)?,
            key: shape.key,
            definition: text.clone(),
            context_catalog: self.state.catalog.clone(),
            context_database: self.state.database.clone(),
            temporary: false,
        })
    }
}

fn created(tag: &'static str, object: &CatalogObject) -> Outcome {
    let created = ObjectRecord::of(object).into_iter().collect();
    Outcome::Done { tag, created, dropped: Vec::new() }
}

/// The built-in function that a class of Flink's world stands for: by its name, in any
/// spelling (`CountChar`, `COUNT_CHAR`).
fn builtin_of(class: &str) -> Option<String> {
    let squeeze = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let wanted = squeeze(class);
    let wanted = wanted.strip_suffix("function").unwrap_or(&wanted);
    registry::names()
        .chain(aggregate::names())
        .find(|name| squeeze(name) == wanted)
        .map(str::to_owned)
}

fn renamed(
    mut columns: Vec<Column>,
    names: &[sqlparser::ast::Ident],
    written: &Name,
) -> Result<Vec<Column>> {
    if names.is_empty() {
        return Ok(columns);
    }
    if names.len() != columns.len() {
        let message =
            format!("the view names {} columns, but its query has {}", names.len(), columns.len());
        return Err(SqlError::new(ErrorCode::InvalidDefinition, message).at(written.span));
    }
    for (column, name) in columns.iter_mut().zip(names) {
        column.name = name.value.clone();
    }
    Ok(columns)
}

/// A column as it is declared.
fn column_of(column: &TableColumn) -> Column {
    let (sql_type, nullable, source) = match &column.kind {
        ColumnKind::Physical { sql_type, nullable } => {
            (sql_type.clone(), *nullable, ColumnSource::Physical)
        }
        ColumnKind::Metadata { sql_type, nullable, key, is_virtual } => {
            let source = ColumnSource::Metadata { key: key.clone(), is_virtual: *is_virtual };
            (sql_type.clone(), *nullable, source)
        }
        ColumnKind::Computed { text, .. } => {
            (SqlType::Null, true, ColumnSource::Computed(text.clone()))
        }
    };
    Column {
        name: column.name.value.clone(),
        sql_type,
        nullable,
        source,
        comment: column.comment.clone(),
    }
}

/// A table in the making.
#[derive(Default)]
struct Definition {
    columns: Vec<Column>,
    watermark: Option<(String, String)>,
    primary_key: Vec<String>,
    options: BTreeMap<String, String>,
}

impl Definition {
    /// Starts from another table's definition.
    fn like(&mut self, other: &CatalogObject, written: &Name) -> Result<()> {
        let CatalogObject::Table(table) = other else {
            let message = format!("`{written}` is a {}, not a table", other.kind().name());
            return Err(SqlError::new(ErrorCode::WrongObjectType, message).at(written.span));
        };
        self.columns = table.columns.clone();
        self.options = table.options.clone();
        let name = |&number: &usize| table.columns[number].name.clone();
        self.primary_key = table.primary_key.iter().map(name).collect();
        self.watermark =
            table.watermark.as_ref().map(|mark| (name(&mark.column), mark.expression.clone()));
        Ok(())
    }

    fn add(&mut self, written: &TableColumn, column: Column) -> Result<()> {
        if self.columns.iter().any(|known| known.name == column.name) {
            let message = format!("column `{}` stands twice", column.name);
            return Err(
                SqlError::new(ErrorCode::InvalidDefinition, message).at_parsed(written.name.span)
            );
        }
        self.columns.push(column);
        Ok(())
    }

    fn readable(&self) -> Vec<RelColumn> {
        self.columns
            .iter()
            .filter(|column| !matches!(column.source, ColumnSource::Computed(_)))
            .map(|column| RelColumn {
                name: column.name.clone(),
                sql_type: column.sql_type.clone(),
                time: TimeAttribute::None,
            })
            .collect()
    }

    /// Back into the order of the text; what came by LIKE stays in front.
    fn order(&mut self, written: &[&TableColumn]) {
        self.columns.sort_by_key(|column| {
            written.iter().position(|own| own.name.value == column.name).map_or(0, |at| at + 1)
        });
    }

    fn place(&self, name: &sqlparser::ast::Ident) -> Result<usize> {
        let place = self.columns.iter().position(|column| column.name == name.value);
        place.ok_or_else(|| {
            let names = self.columns.iter().map(|column| column.name.as_str());
            SqlError::new(ErrorCode::UnknownColumn, format!("there is no column `{}`", name.value))
                .at_parsed(name.span)
                .with_hint(suggest::did_you_mean(&name.value, names))
        })
    }

    fn finish(mut self, create: &CreateTable, name: FullName) -> Result<TableObject> {
        let mut primary_key = Vec::new();
        for ident in &create.primary_key {
            let place = self.place(ident)?;
            if matches!(self.columns[place].source, ColumnSource::Computed(_)) {
                let message =
                    format!("`{}` is computed and cannot be in the primary key", ident.value);
                return Err(
                    SqlError::new(ErrorCode::InvalidDefinition, message).at_parsed(ident.span)
                );
            }
            primary_key.push(place);
        }
        if create.primary_key.is_empty() {
            let inherited = self.primary_key.iter();
            primary_key = inherited
                .filter_map(|key| self.columns.iter().position(|column| column.name == *key))
                .collect();
        }
        for &key in &primary_key {
            self.columns[key].nullable = false;
        }
        let watermark = match &create.watermark {
            Some(mark) => {
                Some(Watermark { column: self.place(&mark.column)?, expression: mark.text.clone() })
            }
            None => self.watermark.as_ref().and_then(|(name, expression)| {
                let column = self.columns.iter().position(|column| column.name == *name)?;
                Some(Watermark { column, expression: expression.clone() })
            }),
        };
        let partitioned_by = create
            .partitioned_by
            .iter()
            .map(|ident| self.place(ident))
            .collect::<Result<Vec<_>>>()?;
        for (key, value, span) in &create.options {
            let twice = create.options.iter().filter(|(other, ..)| other == key).count() > 1;
            if twice {
                let message = format!("option '{key}' stands twice");
                return Err(SqlError::new(ErrorCode::InvalidDefinition, message).at(*span));
            }
            self.options.insert(key.clone(), value.clone());
        }
        if self.columns.is_empty() {
            let message = format!("table `{name}` has no columns");
            return Err(SqlError::new(ErrorCode::InvalidDefinition, message).at(create.name.span));
        }
        Ok(TableObject {
            id: ObjectId(0),
            version: 1,
            name,
            columns: self.columns,
            watermark,
            primary_key,
            partitioned_by,
            options: self.options,
            comment: create.comment.clone(),
            temporary: create.temporary,
            definition: create.text.clone(),
        })
    }
}
