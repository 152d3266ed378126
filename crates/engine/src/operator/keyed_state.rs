//! The shape of a keyed operator's snapshot: one row for each key (and window), with its
//! key group, so that any parallelism can take it over.
//!
//! Columns: `key_group` (UInt16), then what the operator puts in front, then the key
//! columns `k0`, `k1`..., then the state columns `s0`, `s1`... The schema's metadata says
//! under `thalweg.state` what the state is of, such as `tumble(size=1000, offset=0); SUM`:
//! the state of another window or function is refused even where its columns would fit.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt16Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, UInt16Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use thalweg_core::key_group::DEFAULT_KEY_GROUPS;
use thalweg_core::time::Millis;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use super::OperatorContext;
use crate::key::key_groups;

/// Columns of a snapshot batch.
pub(super) struct StateLayout {
    front: usize,
    keys: usize,
    schema: SchemaRef,
    /// Key groups of the job. What is written before the first epoch has no rows.
    pub(super) key_groups_total: u16,
}

/// Rows of a snapshot batch that belong to this subtask.
pub(super) struct StateRows {
    pub(super) len: usize,
    pub(super) front: Vec<ArrayRef>,
    pub(super) keys: Vec<ArrayRef>,
    pub(super) states: Vec<ArrayRef>,
}

impl StateLayout {
    /// `of` says what the state is of.
    pub(super) fn new(
        of: String,
        front: &[(&str, DataType)],
        keys: &[DataType],
        states: &[DataType],
    ) -> Self {
        let numbered = |prefix: &str, types: &[DataType]| -> Vec<Field> {
            let types = types.iter().enumerate();
            types.map(|(n, t)| Field::new(format!("{prefix}{n}"), t.clone(), true)).collect()
        };
        let mut fields = vec![Field::new(KEY_GROUP, DataType::UInt16, false)];
        fields.extend(
            front.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), false)),
        );
        fields.extend(numbered("k", keys));
        fields.extend(numbered("s", states));
        Self {
            front: front.len(),
            keys: keys.len(),
            schema: Arc::new(Schema::new(fields).with_metadata([(STATE_OF.into(), of)].into())),
            key_groups_total: DEFAULT_KEY_GROUPS,
        }
    }

    /// A snapshot batch of `rows` rows.
    pub(super) fn write(
        &self,
        rows: usize,
        front: Vec<ArrayRef>,
        keys: Vec<ArrayRef>,
        states: Vec<ArrayRef>,
    ) -> Result<RecordBatch> {
        let groups = key_groups(&keys, rows, self.key_groups_total)?;
        let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt16Array::from(groups))];
        columns.extend(front.into_iter().chain(keys).chain(states));
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }

    /// The rows of a snapshot batch that belong to this subtask.
    pub(super) fn read(&self, rows: &RecordBatch, context: &OperatorContext) -> Result<StateRows> {
        let types = |schema: &SchemaRef| -> Vec<DataType> {
            schema.fields().iter().map(|field| field.data_type().clone()).collect()
        };
        let (found, wanted) = (types(rows.schema_ref()), types(&self.schema));
        if found != wanted {
            return Err(StreamError::Incompatible(format!(
                "the stored state has columns {found:?} where the query needs {wanted:?}"
            )));
        }
        let of = |schema: &SchemaRef| schema.metadata().get(STATE_OF).cloned();
        let (found, wanted) = (of(rows.schema_ref()), of(&self.schema));
        if found != wanted {
            return Err(StreamError::Incompatible(format!(
                "the stored state is of [{}] where the query needs [{}]",
                found.unwrap_or_default(),
                wanted.unwrap_or_default()
            )));
        }
        let groups = rows.column(0).as_primitive::<UInt16Type>().values();
        let own = groups.iter().map(|group| Some(context.key_groups.contains(group)));
        let own = filter_record_batch(rows, &BooleanArray::from_iter(own))?;
        let mut columns = own.columns()[1..].to_vec();
        let states = columns.split_off(self.front + self.keys);
        let keys = columns.split_off(self.front);
        Ok(StateRows { len: own.num_rows(), front: columns, keys, states })
    }
}

const KEY_GROUP: &str = "key_group";
const STATE_OF: &str = "thalweg.state";

/// Name of the batch of [`Progress`].
pub(super) const PROGRESS: &str = "progress";

/// What a subtask knows besides its keys. It is the same in all subtasks after an epoch,
/// but for the count of arrivals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Progress {
    /// The watermark up to which windows were fired.
    pub(super) complete: Millis,
    /// Rows that arrived.
    pub(super) arrival: u64,
}

impl Progress {
    pub(super) fn write(self) -> Result<RecordBatch> {
        let column = |value| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
        Ok(RecordBatch::try_new(
            Self::schema(),
            vec![
                // Of no key group: all subtasks read it.
                Arc::new(UInt16Array::from(vec![0])),
                column(self.complete),
                column(self.arrival as i64),
            ],
        )?)
    }

    pub(super) fn read(rows: &RecordBatch) -> Result<Self> {
        let columns = rows.columns().get(1..3);
        let values = columns.and_then(|columns| {
            let value = |column: &ArrayRef| {
                column.as_primitive_opt::<Int64Type>().filter(|c| c.len() == 1).map(|c| c.value(0))
            };
            value(&columns[0]).zip(value(&columns[1]))
        });
        let (complete, arrival) = values.ok_or_else(|| {
            StreamError::Incompatible("the stored progress has other columns".into())
        })?;
        Ok(Self { complete, arrival: arrival as u64 })
    }

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new(KEY_GROUP, DataType::UInt16, false),
            Field::new("complete", DataType::Int64, false),
            Field::new("arrival", DataType::Int64, false),
        ]))
    }
}
