//! DataFusion's errors, turned into ours.

use datafusion::common::{DataFusionError, SchemaError};

use crate::error::{ErrorCode, Span, SqlError};
use crate::functions::{aggregate, registry};
use crate::suggest;

/// Turns an error of DataFusion's planner into ours, with its place where it is known.
pub(crate) fn from_datafusion(error: DataFusionError) -> SqlError {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<SqlError>() {
            Ok(error) => *error,
            Err(other) => SqlError::internal(other.to_string()),
        },
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let span = diagnostic.span.and_then(Span::from_datafusion);
            from_datafusion(*inner).at(span)
        }
        DataFusionError::Context(_, inner) => from_datafusion(*inner),
        DataFusionError::Collection(errors) => match errors.into_iter().next() {
            Some(first) => from_datafusion(first),
            None => SqlError::internal("errors without an error"),
        },
        DataFusionError::SchemaError(error, _) => from_schema(*error),
        DataFusionError::Plan(message) => from_plan(&message),
        DataFusionError::NotImplemented(message) => SqlError::not_supported(tidy(&message)),
        DataFusionError::SQL(error, _) => SqlError::new(ErrorCode::Syntax, error.to_string()),
        DataFusionError::Execution(message) => SqlError::new(ErrorCode::Execution, tidy(&message)),
        DataFusionError::ArrowError(error, _) => {
            SqlError::new(ErrorCode::Execution, error.to_string())
        }
        other => SqlError::internal(tidy(&other.to_string())),
    }
}

fn from_schema(error: SchemaError) -> SqlError {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let span = field.spans.first().and_then(Span::from_datafusion);
            let table = field.relation.as_ref().map(|table| format!(" in `{table}`"));
            let message =
                format!("there is no column `{}`{}", field.name, table.unwrap_or_default());
            let names = valid_fields.iter().map(|column| column.name.as_str());
            let hint = suggest::did_you_mean(&field.name, names.clone()).or_else(|| {
                let names: Vec<&str> = names.filter(|name| !name.starts_with('$')).collect();
                let shown = names.len() <= 12 && !names.is_empty();
                shown.then(|| format!("the columns are {}", names.join(", ")))
            });
            SqlError::new(ErrorCode::UnknownColumn, message).at(span).with_hint(hint)
        }
        SchemaError::AmbiguousReference { field } => {
            let span = field.spans.first().and_then(Span::from_datafusion);
            let message = format!("column `{}` is ambiguous", field.name);
            SqlError::new(ErrorCode::AmbiguousColumn, message)
                .at(span)
                .with_hint("write it with its table: table.column".to_owned())
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            SqlError::new(ErrorCode::AmbiguousColumn, format!("column `{name}` stands twice"))
                .with_hint("give one of them another name with AS".to_owned())
        }
    }
}

fn from_plan(message: &str) -> SqlError {
    let message = tidy(message);
    if let Some(column) = ungrouped(&message) {
        let message = format!("column `{column}` is neither grouped nor aggregated");
        return SqlError::new(ErrorCode::Grouping, message).with_hint(format!(
            "add it to GROUP BY, or take MAX({column}) or another aggregate of it"
        ));
    }
    if let Some(name) = invalid_function(&message) {
        let names = registry::names().chain(aggregate::names());
        return SqlError::new(ErrorCode::UnknownFunction, format!("there is no function `{name}`"))
            .with_hint(suggest::did_you_mean(name, names));
    }
    if message.starts_with("Cannot create filter with non-boolean predicate") {
        return SqlError::new(ErrorCode::TypeMismatch, "a condition must be BOOLEAN");
    }
    let code = if message.contains("GROUP BY clause") {
        ErrorCode::Grouping
    } else if message.contains("unique expression names") {
        ErrorCode::AmbiguousColumn
    } else {
        ErrorCode::InvalidArgument
    };
    SqlError::new(code, message)
}

/// The function that DataFusion does not know.
fn invalid_function(message: &str) -> Option<&str> {
    let (name, _) = message.strip_prefix("Invalid function '")?.split_once('\'')?;
    Some(name)
}

/// The column that DataFusion misses in GROUP BY.
fn ungrouped(message: &str) -> Option<String> {
    let (before, _) = message.split_once(" must appear in the GROUP BY clause")?;
    let (_, column) = before.rsplit_once("column ")?;
    let column = column.trim_matches('"');
    Some(column.rsplit('.').next().unwrap_or(column).to_owned())
}

/// Without the places in names of calls and without what follows the first line.
fn tidy(message: &str) -> String {
    let line = message.lines().next().unwrap_or(message);
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c == crate::functions::udf::PLACE && chars.peek().is_some_and(char::is_ascii_digit) {
            while chars.next_if(char::is_ascii_digit).is_some() {}
        } else {
            out.push(c);
        }
    }
    out
}
