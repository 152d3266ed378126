//! How a view's rows become sorted bytes and columns again.
//!
//! A stored row is the arrow-row encoding of all columns with the key columns first.
//! That encoding compares as the values do and is self-delimiting by column, so the
//! key of a row is a prefix of it and the order of the bytes is the order of the keys.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::SchemaRef;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

/// What a view does with the changes it is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fold {
    /// Every addition adds a row and every retraction takes an equal one away.
    Multiset,
    /// One row a key: an addition replaces the key's row. A delete may carry nothing
    /// but the key (the other columns null), as an upsert changelog's does.
    Upsert,
}

/// The encoding of one view's rows.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) schema: SchemaRef,
    pub(super) fold: Fold,
    /// Number in the schema of each column, in the order in which they are encoded.
    order: Vec<usize>,
    key_columns: usize,
    rows: RowConverter,
    keys: RowConverter,
}

/// Encoded rows of one batch.
pub(super) struct EncodedRows {
    rows: Rows,
    /// Length of each row's key; `None` where the whole row is the key.
    key_lengths: Option<Vec<u32>>,
}

impl EncodedRows {
    /// Bytes of a row.
    pub(super) fn row(&self, row: usize) -> &[u8] {
        self.rows.row(row).data()
    }

    /// How many of a row's first bytes are its key.
    pub(super) fn key_length(&self, row: usize) -> usize {
        self.key_lengths.as_ref().map_or_else(|| self.row(row).len(), |keys| keys[row] as usize)
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.num_rows()
    }
}

/// Longest encoded row; what is longer is refused, so that offsets in a leaf fit 32 bits.
const MAX_ROW_BYTES: usize = 256 << 20;

impl Layout {
    /// Plans the encoding. With [`Fold::Multiset`] the key only decides the order.
    pub(super) fn new(schema: SchemaRef, key: &[usize], fold: Fold) -> Result<Self> {
        let columns = schema.fields().len();
        if columns == 0 {
            return Err(StreamError::Invalid("a view needs at least one column".into()));
        }
        if let Some(bad) = key.iter().find(|&&column| column >= columns) {
            return Err(StreamError::Internal(format!("key column {bad} of {columns} columns")));
        }
        if fold == Fold::Upsert && key.is_empty() {
            return Err(StreamError::Internal("an upsert view needs a key".into()));
        }
        let mut order: Vec<usize> = Vec::with_capacity(columns);
        for &column in key.iter().chain((0..columns).collect::<Vec<_>>().iter()) {
            if !order.contains(&column) {
                order.push(column);
            }
        }
        let fields: Vec<SortField> = order
            .iter()
            .map(|&column| SortField::new(schema.field(column).data_type().clone()))
            .collect();
        if !RowConverter::supports_fields(&fields) {
            return Err(StreamError::Invalid(
                "a view cannot hold a column of one of these types yet".into(),
            ));
        }
        let key_columns = key.iter().collect::<std::collections::BTreeSet<_>>().len();
        let keys = RowConverter::new(fields[..key_columns].to_vec())?;
        let rows = RowConverter::new(fields)?;
        Ok(Self { schema, fold, order, key_columns, rows, keys })
    }

    /// Checks that a batch has the view's columns. Names and nullability may differ.
    pub(super) fn check(&self, batch: &RecordBatch) -> Result<()> {
        let given = batch.schema_ref().fields();
        let types = |fields: &arrow_schema::Fields| {
            fields.iter().map(|f| f.data_type().to_string()).collect::<Vec<_>>().join(", ")
        };
        let same = given.len() == self.schema.fields().len()
            && given
                .iter()
                .zip(self.schema.fields())
                .all(|(given, ours)| given.data_type().equals_datatype(ours.data_type()));
        if same {
            return Ok(());
        }
        Err(StreamError::Incompatible(format!(
            "the view has columns of types ({}), the rows ({})",
            types(self.schema.fields()),
            types(given)
        )))
    }

    /// Encodes a batch that [`Self::check`] accepted.
    pub(super) fn encode(&self, batch: &RecordBatch) -> Result<EncodedRows> {
        let columns: Vec<ArrayRef> =
            self.order.iter().map(|&column| Arc::clone(batch.column(column))).collect();
        let rows = self.rows.convert_columns(&columns)?;
        if let Some(bytes) = rows.lengths().find(|&bytes| bytes > MAX_ROW_BYTES) {
            return Err(StreamError::Invalid(format!(
                "a row of {bytes} bytes is larger than the {MAX_ROW_BYTES} that a view holds"
            )));
        }
        let key_lengths = match self.fold {
            Fold::Multiset => None,
            Fold::Upsert => {
                let keys = self.keys.convert_columns(&columns[..self.key_columns])?;
                Some(keys.lengths().map(|bytes| bytes as u32).collect())
            }
        };
        Ok(EncodedRows { rows, key_lengths })
    }

    /// Whether a row of a batch has nothing but its key, as an upsert delete may.
    pub(super) fn is_key_only(&self, batch: &RecordBatch, row: usize) -> bool {
        self.order[self.key_columns..].iter().all(|&column| batch.column(column).is_null(row))
    }

    /// Makes a batch of encoded rows.
    pub(super) fn decode<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) -> Result<RecordBatch> {
        let parser = self.rows.parser();
        let parsed: Vec<_> = rows.map(|row| parser.parse(row)).collect();
        let encoded_order = self.rows.convert_rows(parsed)?;
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.order.len()];
        for (array, &column) in encoded_order.into_iter().zip(&self.order) {
            let declared = self.schema.field(column).data_type();
            // Dictionaries are flattened by the encoding.
            let array = if array.data_type() == declared {
                array
            } else {
                arrow_cast::cast(&array, declared)?
            };
            columns[column] = Some(array);
        }
        let columns = columns.into_iter().flatten().collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// A row as text for an error message, shortened.
    pub(super) fn describe(&self, row: &[u8]) -> String {
        let text = self.decode(std::iter::once(row)).ok().map(|batch| {
            let options = arrow_cast::display::FormatOptions::default().with_null("NULL");
            let cell = |array: &ArrayRef| {
                arrow_cast::display::ArrayFormatter::try_new(array, &options)
                    .map_or_else(|_| "?".to_owned(), |formatter| formatter.value(0).to_string())
            };
            batch.columns().iter().map(cell).collect::<Vec<_>>().join(", ")
        });
        let mut text = text.unwrap_or_else(|| "?".into());
        if let Some((cut, _)) = text.char_indices().nth(200) {
            text.truncate(cut);
            text.push_str("...");
        }
        format!("({text})")
    }
}
