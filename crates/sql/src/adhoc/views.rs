//! Names of an ad-hoc query: each table under its full name, plain views by their
//! queries.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Ident, ObjectName, Query, TableAlias, TableAliasColumnDef, TableFactor, VisitMut, VisitorMut,
};

use crate::catalog::{CatalogObject, FullName, ViewObject};
use crate::error::{Result, SqlError};
use crate::parser::{Name, Statement};
use crate::session::{Session, SessionState};

/// Views within views that are followed.
const MAX_DEPTH: usize = 16;

/// Expands a query in place; the tables and materialized views that it then reads.
pub(super) fn expand(query: &mut Query, session: &Session) -> Result<Vec<FullName>> {
    let mut tables = Vec::new();
    expand_in(query, session, session.state(), 0, &mut tables)?;
    Ok(tables)
}

fn expand_in(
    query: &mut Query,
    session: &Session,
    state: &SessionState,
    depth: usize,
    tables: &mut Vec<FullName>,
) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(SqlError::not_supported("views within views this deep"));
    }
    let mut expander = Expander { session, state, depth, tables, ctes: Vec::new() };
    match query.visit(&mut expander) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Expander<'a> {
    session: &'a Session,
    state: &'a SessionState,
    depth: usize,
    tables: &'a mut Vec<FullName>,
    ctes: Vec<String>,
}

impl VisitorMut for Expander<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        self.ctes.extend(ctes.map(|cte| cte.alias.name.value.clone()));
        ControlFlow::Continue(())
    }

    /// After what is inside, so that an expanded view is not visited again.
    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        match self.factor(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Expander<'_> {
    fn factor(&mut self, factor: &mut TableFactor) -> Result<()> {
        let TableFactor::Table { name, alias, args: None, .. } = factor else { return Ok(()) };
        let written = Name::from_object(name);
        if written.parts.len() == 1 && self.ctes.contains(&written.parts[0]) {
            return Ok(());
        }
        let full = self.state.resolve(&written)?;
        let alias = alias.take().unwrap_or_else(|| alias_of(&full.name));
        match self.session.catalog().get(&full) {
            Some(CatalogObject::View(view)) if !view.materialized => {
                let (subquery, columns) = self.view(&view)?;
                let mut alias = alias;
                if alias.columns.is_empty() {
                    alias.columns = columns;
                }
                *factor = TableFactor::Derived {
                    lateral: false,
                    subquery: Box::new(subquery),
                    alias: Some(alias),
                    sample: None,
                };
            }
            Some(CatalogObject::Function(_)) | None => {
                let catalog = self.session.catalog();
                return Err(catalog.unknown_table(&written, &full.catalog, &full.database));
            }
            Some(_) => {
                let parts = [&full.catalog, &full.database, &full.name];
                *name = ObjectName::from(parts.map(|part| Ident::with_quote('`', part)).to_vec());
                if let TableFactor::Table { alias: slot, .. } = factor {
                    *slot = Some(alias);
                }
                if !self.tables.contains(&full) {
                    self.tables.push(full);
                }
            }
        }
        Ok(())
    }

    /// A view's query, and the names that it gives its columns.
    fn view(&mut self, view: &ViewObject) -> Result<(Query, Vec<TableAliasColumnDef>)> {
        let what = format!("view `{}`", view.name);
        let parsed =
            crate::parser::parse_one(&view.definition).map_err(|error| error.inside(&what))?;
        let Statement::CreateView(create) = parsed.statement else {
            return Err(SqlError::internal(format!("{what} is no view")));
        };
        let columns = create.columns.into_iter().map(|ident| TableAliasColumnDef {
            name: Ident::with_quote('`', ident.value),
            data_type: None,
        });
        let mut query = *create.query;
        let state = SessionState {
            catalog: view.context_catalog.clone(),
            database: view.context_database.clone(),
            settings: self.state.settings.clone(),
        };
        expand_in(&mut query, self.session, &state, self.depth + 1, self.tables)
            .map_err(|error| error.inside(&what))?;
        Ok((query, columns.collect()))
    }
}

fn alias_of(name: &str) -> TableAlias {
    TableAlias { explicit: true, name: Ident::with_quote('`', name), columns: Vec::new(), at: None }
}
