//! The key of an operator: which columns, and the form in which tables hold them.

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, FieldRef, SchemaRef};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use super::canonical::{Encoded, decode, select};
use super::table::KeyTable;
use crate::operator::values::{ByteStrings, Form, Words, plain, plain_type, unsupported};

/// How tables hold keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KeyForm {
    /// No column: one key.
    Global,
    /// One column of words.
    Word,
    /// One column of strings.
    Bytes,
    /// Several columns, as canonical bytes.
    Canonical,
}

/// The key columns of an operator.
#[derive(Clone, Debug)]
pub(crate) struct KeySpec {
    columns: Vec<usize>,
    types: Vec<DataType>,
    form: KeyForm,
}

/// The keys of a batch, ready to be looked up.
#[derive(Debug)]
pub(crate) enum BatchKeys {
    Global,
    Word(Words),
    Bytes(ByteStrings),
    Canonical(Encoded),
}

/// One key, as a table holds it. `None` is the null of a single column.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum KeyRef<'a> {
    Global,
    Word(Option<i64>),
    Bytes(Option<&'a [u8]>),
}

impl KeySpec {
    /// The key `columns` of the input, which come out as `fields`.
    pub(crate) fn new(input: &SchemaRef, columns: &[usize], fields: &[FieldRef]) -> Result<Self> {
        let mut types = Vec::with_capacity(columns.len());
        for (&column, field) in columns.iter().zip(fields) {
            let data_type = plain_type(input.field(column).data_type());
            if field.data_type() != data_type {
                return Err(StreamError::Internal(format!(
                    "key {} of type {data_type} cannot come out as {}",
                    field.name(),
                    field.data_type()
                )));
            }
            if Form::of(data_type).is_none() {
                return Err(unsupported(&format!("a key ({})", field.name()), data_type));
            }
            types.push(data_type.clone());
        }
        let form = match types.as_slice() {
            [] => KeyForm::Global,
            [single] => match Form::of(single) {
                Some(Form::Word) => KeyForm::Word,
                Some(Form::Bytes) => KeyForm::Bytes,
                _ => KeyForm::Canonical,
            },
            _ => KeyForm::Canonical,
        };
        Ok(Self { columns: columns.to_vec(), types, form })
    }

    /// Types of the key columns.
    pub(crate) fn types(&self) -> &[DataType] {
        &self.types
    }

    /// The key columns of a batch of the input.
    pub(crate) fn columns_of(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        select(rows.columns(), &self.columns)
    }

    /// Makes key columns ready to be looked up.
    pub(crate) fn read(&self, columns: &[ArrayRef], rows: usize) -> Result<BatchKeys> {
        Ok(match self.form {
            KeyForm::Global => BatchKeys::Global,
            KeyForm::Word => BatchKeys::Word(Words::read(&plain(&columns[0])?)?),
            KeyForm::Bytes => BatchKeys::Bytes(ByteStrings::read(&plain(&columns[0])?)?),
            KeyForm::Canonical => BatchKeys::Canonical(Encoded::encode(columns, rows)?),
        })
    }

    /// An empty table with room for some keys.
    pub(crate) fn table(&self, capacity: usize) -> KeyTable {
        KeyTable::new(self.form, capacity)
    }

    /// Key columns out of keys.
    pub(crate) fn write<'a>(
        &self,
        keys: impl Iterator<Item = KeyRef<'a>>,
    ) -> Result<Vec<ArrayRef>> {
        let misfit = || StreamError::Internal("a key of another form".into());
        let column = match self.form {
            KeyForm::Global => return Ok(Vec::new()),
            KeyForm::Word => {
                let words = keys.map(|key| match key {
                    KeyRef::Word(word) => Ok(word),
                    _ => Err(misfit()),
                });
                Words::write_options(&self.types[0], words.collect::<Result<Vec<_>>>()?)?
            }
            KeyForm::Bytes => {
                let strings = keys.map(|key| match key {
                    KeyRef::Bytes(bytes) => Ok(bytes),
                    _ => Err(misfit()),
                });
                let strings = strings.collect::<Result<Vec<_>>>()?;
                ByteStrings::write(&self.types[0], strings.into_iter())?
            }
            KeyForm::Canonical => {
                let rows = keys.map(|key| match key {
                    KeyRef::Bytes(Some(bytes)) => Ok(bytes),
                    _ => Err(misfit()),
                });
                return decode(&self.types, rows.collect::<Result<Vec<_>>>()?.into_iter());
            }
        };
        debug_assert_eq!(column.data_type(), &self.types[0]);
        Ok(vec![column])
    }
}
