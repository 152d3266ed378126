//! The `datagen` connector: rows out of nothing, at a rate.
//!
//! Row `n` is a function of the table's name, the moment when the job first looked, and `n`:
//! reading a range again gives the same rows. That moment is part of the split's
//! fingerprint and so stays what it is over restarts; row `n` is due `n / rate` after it,
//! and columns of time say so.

mod generator;

use std::sync::Arc;

use arrow_schema::SchemaRef;
use thalweg_core::env::{Clock, Env};
use thalweg_core::partition_log::{Waker, Watch};
use thalweg_core::time::Millis;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;
use thalweg_stream::source::{
    Available, BatchSink, Cut, Position, Source, SourceBatch, SourceRef, SplitInfo, SplitReader,
};
use thalweg_stream::table::TableSpec;

use crate::batch::record_batch;
use crate::options::{Known, Options};
use generator::{FieldGenerator, RowGenerator};

/// The connector's options.
pub(crate) const OPTIONS: &[Known] = &[
    Known::new("rows-per-second"),
    Known::new("number-of-rows"),
    Known::new("scan.parallelism"),
    Known::new("fields.#.kind"),
    Known::new("fields.#.min"),
    Known::new("fields.#.max"),
    Known::new("fields.#.max-past"),
    Known::new("fields.#.length"),
    Known::new("fields.#.var-len"),
    Known::new("fields.#.null-rate"),
    Known::new("fields.#.start"),
    Known::new("fields.#.end"),
];

/// Flink's default.
const DEFAULT_ROWS_PER_SECOND: u64 = 10_000;
/// Name of the only split.
const SPLIT: &str = "0";

/// What the options say.
#[derive(Clone, Debug)]
pub(crate) struct DatagenOptions {
    rows_per_second: u64,
    /// How many rows there are, where they end.
    rows: Option<u64>,
    generators: Vec<FieldGenerator>,
}

impl DatagenOptions {
    pub(crate) fn new(table: &TableSpec) -> Result<Self> {
        let options = Options::new(&table.options);
        let rate = options.number("rows-per-second")?.unwrap_or(DEFAULT_ROWS_PER_SECOND);
        if rate == 0 {
            return Err(options.wrong("rows-per-second", "more than 0"));
        }
        check_field_names(table)?;
        let generators = table
            .schema
            .fields()
            .iter()
            .map(|field| FieldGenerator::new(field, &options))
            .collect::<Result<Vec<_>>>()?;
        // The shortest sequence ends the table.
        let sequences = generators.iter().filter_map(FieldGenerator::rows);
        let rows = sequences.chain(options.number("number-of-rows")?).min();
        Ok(Self { rows_per_second: rate, rows, generators })
    }

    /// Whether reading ends by itself.
    pub(crate) fn is_bounded(&self) -> bool {
        self.rows.is_some()
    }
}

/// Options of fields that the table does not have are mistakes.
fn check_field_names(table: &TableSpec) -> Result<()> {
    for name in table.options.keys() {
        let Some((field, _)) = name.strip_prefix("fields.").and_then(|rest| rest.rsplit_once('.'))
        else {
            continue;
        };
        if table.schema.index_of(field).is_err() {
            let names = table.schema.fields().iter().map(|field| field.name().as_str());
            let hint = crate::options::suggestion(field, names);
            return Err(StreamError::Invalid(format!(
                "option '{name}': there is no column '{field}'{hint}"
            )));
        }
    }
    Ok(())
}

/// Makes the source of a table.
pub(crate) fn source(env: &Env, table: &TableSpec, columns: &[usize]) -> Result<SourceRef> {
    let options = DatagenOptions::new(table)?;
    Ok(Arc::new(DatagenSource {
        clock: env.clock.clone(),
        seed: xxhash_rust::xxh3::xxh3_64(table.name.as_bytes()),
        schema: Arc::new(table.schema.project(columns)?),
        columns: columns.to_vec(),
        first_look: env.clock.wall_ms(),
        options,
    }))
}

struct DatagenSource {
    clock: Arc<dyn Clock>,
    seed: u64,
    schema: SchemaRef,
    columns: Vec<usize>,
    options: DatagenOptions,
    first_look: Millis,
}

impl Source for DatagenSource {
    fn splits(&self) -> Result<Vec<SplitInfo>> {
        Ok(vec![SplitInfo {
            id: SPLIT.to_owned(),
            fingerprint: self.first_look.to_string(),
            start: 0,
            end: self.options.rows,
        }])
    }

    fn open(&self, split: &SplitInfo) -> Result<Box<dyn SplitReader>> {
        let begin: Millis = split.fingerprint.parse().map_err(|_| {
            StreamError::Incompatible(format!(
                "'{}' is not the start of a generator",
                split.fingerprint
            ))
        })?;
        let generator = RowGenerator::new(
            self.seed,
            begin,
            self.options.rows_per_second,
            self.columns.iter().map(|&column| (column, self.options.generators[column].clone())),
            &self.schema,
        )?;
        Ok(Box::new(DatagenReader {
            clock: self.clock.clone(),
            schema: self.schema.clone(),
            begin,
            rate: self.options.rows_per_second,
            rows: split.end,
            generator,
        }))
    }

    fn is_bounded(&self) -> bool {
        self.options.is_bounded()
    }

    fn watch(&self, _waker: Waker) -> Option<Watch> {
        None
    }

    fn next_due(&self, now: Millis) -> Option<Millis> {
        // Rows that are due within the same millisecond, or few, are taken together.
        let wait = (1000 / self.options.rows_per_second).clamp(5, 1000) as Millis;
        Some(now.saturating_add(wait))
    }
}

struct DatagenReader {
    clock: Arc<dyn Clock>,
    schema: SchemaRef,
    begin: Millis,
    rate: u64,
    rows: Option<u64>,
    generator: RowGenerator,
}

impl SplitReader for DatagenReader {
    fn available(&mut self) -> Result<Available> {
        let elapsed = self.clock.wall_ms().saturating_sub(self.begin).max(0) as u128;
        // The first row is due at once.
        let due = u64::try_from(elapsed * u128::from(self.rate) / 1000 + 1).unwrap_or(u64::MAX);
        let end = self.rows.map_or(due, |rows| rows.min(due));
        Ok(Available { end, finished: self.rows == Some(end) })
    }

    fn cut(&mut self, from: Position, max_bytes: u64) -> Result<Cut> {
        let end = self.available()?.end;
        let row_bytes = self.generator.row_bytes().max(1);
        let rows = (max_bytes / row_bytes).max(1).min(end.saturating_sub(from));
        Ok(Cut { end: from + rows, bytes: rows * row_bytes })
    }

    fn read(
        &mut self,
        from: Position,
        to: Position,
        batch_rows: usize,
        sink: &mut BatchSink<'_>,
    ) -> Result<()> {
        let mut at = from;
        while at < to {
            let end = to.min(at.saturating_add(batch_rows.max(1) as u64));
            let columns = self.generator.generate(at..end)?;
            let rows = record_batch(&self.schema, columns, (end - at) as usize)?;
            sink(SourceBatch { rows, bad: Vec::new(), positions: at..end, records: None })?;
            at = end;
        }
        Ok(())
    }
}
