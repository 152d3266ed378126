//! Which part of a record fills which column: its key, its value or its metadata.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{Field, Schema, SchemaRef};
use thalweg_core::record_batch::Record;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::table::TableSpec;

use super::metadata::{Metadata, Place};
use crate::format::column::Column;
use crate::format::{Decoded, Format, FormatKind, RowDecoder};
use crate::options::{Options, suggestion};

/// How the columns of a table lie in records.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The table's columns.
    schema: SchemaRef,
    /// What each metadata column holds; `None` for the others.
    metadata: Vec<Option<Metadata>>,
    /// Columns in the key, in its order, and the key's format.
    pub(crate) key: Option<Part>,
    /// Columns in the value and its format.
    pub(crate) value: Part,
}

/// One half of a record.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) format: Format,
    /// Columns by number in the table.
    pub(crate) columns: Vec<usize>,
    /// Their names and types as they stand in the record.
    pub(crate) fields: SchemaRef,
}

impl Layout {
    /// Reads the options of a `kafka` table.
    pub(crate) fn new(table: &TableSpec, options: &Options<'_>) -> Result<Self> {
        let key_format = FormatKind::parse(options, "key.format")?;
        let key_names: Vec<&str> = match options.get("key.fields") {
            Some(names) => {
                names.split(';').map(str::trim).filter(|name| !name.is_empty()).collect()
            }
            None => Vec::new(),
        };
        if key_format.is_some() == key_names.is_empty() {
            return Err(StreamError::Invalid(
                "options 'key.format' and 'key.fields' belong together: both or none".into(),
            ));
        }
        let key = key_names
            .iter()
            .map(|name| {
                table.schema.index_of(name).map_err(|_| {
                    let names = table.schema.fields().iter().map(|field| field.name().as_str());
                    let hint = suggestion(name, names);
                    StreamError::Invalid(format!("'key.fields': there is no column '{name}'{hint}"))
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Self::with_key(table, options, key_format.map(|format| (format, key)))
    }

    /// As [`Layout::new`], for the key columns of an `upsert-kafka` table.
    pub(crate) fn upsert(table: &TableSpec, options: &Options<'_>) -> Result<Self> {
        if table.primary_key.is_empty() {
            return Err(StreamError::Invalid(
                "an 'upsert-kafka' table needs a PRIMARY KEY (...) NOT ENFORCED".into(),
            ));
        }
        let format = FormatKind::parse(options, "key.format")?;
        Self::with_key(table, options, format.map(|format| (format, table.primary_key.clone())))
    }

    fn with_key(
        table: &TableSpec,
        options: &Options<'_>,
        key: Option<(FormatKind, Vec<usize>)>,
    ) -> Result<Self> {
        let fields = table.schema.fields();
        let metadata =
            fields.iter().map(|field| Metadata::of(field)).collect::<Result<Vec<_>>>()?;
        let (value_format, prefix) = value_format(options)?;
        let include_key = options.choice(
            "value.fields-include",
            &[("ALL", true), ("EXCEPT_KEY", false)],
            true,
        )?;
        let in_key = |column| key.as_ref().is_some_and(|(_, columns)| columns.contains(&column));
        let value_columns: Vec<usize> = (0..fields.len())
            .filter(|&column| metadata[column].is_none() && (include_key || !in_key(column)))
            .collect();
        let value = Part {
            format: Format::new(value_format, options, prefix)?,
            fields: Arc::new(table.schema.project(&value_columns)?),
            columns: value_columns,
        };
        let key = match key {
            Some((kind, columns)) => Some(key_part(table, options, kind, columns, include_key)?),
            None => None,
        };
        Ok(Self { schema: table.schema.clone(), metadata, key, value })
    }

    /// Decoders for `columns` of the table.
    pub(crate) fn decoder(&self, columns: &[usize]) -> Result<RecordDecoder> {
        let mut places = Vec::with_capacity(columns.len());
        let (mut in_value, mut in_key) = (Vec::new(), Vec::new());
        let mut metadata = Vec::new();
        for &column in columns {
            let place = if let Some(kind) = &self.metadata[column] {
                let builder = Metadata::column(self.schema.field(column))?;
                metadata.push((kind.clone(), builder));
                Where::Metadata(metadata.len() - 1)
            } else if let Some(at) = self.value.columns.iter().position(|&own| own == column) {
                in_value.push(at);
                Where::Value(in_value.len() - 1)
            } else if let Some(at) =
                self.key.as_ref().and_then(|key| key.columns.iter().position(|&own| own == column))
            {
                in_key.push(at);
                Where::Key(in_key.len() - 1)
            } else {
                return Err(StreamError::Internal(format!("column {column} is nowhere")));
            };
            places.push(place);
        }
        let key = match &self.key {
            Some(key) if !in_key.is_empty() => Some(key.format.decoder(&key.fields, &in_key)?),
            _ => None,
        };
        Ok(RecordDecoder {
            value: self.value.format.decoder(&self.value.fields, &in_value)?,
            key,
            metadata,
            places,
        })
    }
}

/// The value's format, and the prefix of its options.
fn value_format(options: &Options<'_>) -> Result<(FormatKind, &'static str)> {
    match (FormatKind::parse(options, "format")?, FormatKind::parse(options, "value.format")?) {
        (Some(_), Some(_)) => Err(StreamError::Invalid(
            "options 'format' and 'value.format' mean the same: give one of them".into(),
        )),
        (Some(format), None) => Ok((format, "")),
        (None, Some(format)) => Ok((format, "value.")),
        (None, None) => Err(StreamError::Invalid("option 'format' is required".into())),
    }
}

fn key_part(
    table: &TableSpec,
    options: &Options<'_>,
    kind: FormatKind,
    columns: Vec<usize>,
    include_key: bool,
) -> Result<Part> {
    let prefix = options.get("key.fields-prefix").unwrap_or_default();
    if !prefix.is_empty() && include_key {
        return Err(StreamError::Invalid(
            "'key.fields-prefix' needs 'value.fields-include' = 'EXCEPT_KEY'".into(),
        ));
    }
    let fields = columns
        .iter()
        .map(|&column| {
            let field = table.schema.field(column);
            let name = field.name().strip_prefix(prefix).ok_or_else(|| {
                StreamError::Invalid(format!(
                    "key column '{}' does not start with the 'key.fields-prefix' '{prefix}'",
                    field.name()
                ))
            })?;
            Ok(field.clone().with_name(name))
        })
        .collect::<Result<Vec<Field>>>()?;
    Ok(Part {
        format: Format::new(kind, options, "key.")?,
        columns,
        fields: Arc::new(Schema::new(fields)),
    })
}

/// Where a wanted column comes from: number among the columns of that decoder.
#[derive(Clone, Copy, Debug)]
enum Where {
    Value(usize),
    Key(usize),
    Metadata(usize),
}

/// Turns records into the wanted columns.
pub(crate) struct RecordDecoder {
    value: Box<dyn RowDecoder>,
    key: Option<Box<dyn RowDecoder>>,
    metadata: Vec<(Metadata, Column)>,
    places: Vec<Where>,
}

impl RecordDecoder {
    /// Decodes a record; a bad one leaves no row.
    pub(crate) fn decode(&mut self, record: &Record<'_>, place: &Place<'_>) -> Decoded {
        if let Some(key) = &mut self.key {
            match record.key {
                Some(bytes) => key.decode(bytes),
                None => key.decode_null(),
            }
            .map_err(|reason| format!("key: {reason}"))?;
        }
        let decoded = match record.value {
            Some(value) => self.value.decode(value),
            None => self.value.decode_null(),
        };
        if let Err(reason) = decoded {
            if let Some(key) = &mut self.key {
                key.take_back();
            }
            return Err(reason);
        }
        for (metadata, column) in &mut self.metadata {
            metadata.append(column, record, place);
        }
        Ok(())
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.value.rows()
    }

    /// Takes the columns, in the order in which they were asked for.
    pub(crate) fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        let value = self.value.finish()?;
        let key = match &mut self.key {
            Some(key) => key.finish()?,
            None => Vec::new(),
        };
        let metadata = self
            .metadata
            .iter_mut()
            .map(|(_, column)| column.finish(false))
            .collect::<Result<Vec<_>>>()?;
        Ok(self
            .places
            .iter()
            .map(|place| match place {
                Where::Value(at) => value[*at].clone(),
                Where::Key(at) => key[*at].clone(),
                Where::Metadata(at) => metadata[*at].clone(),
            })
            .collect())
    }
}
