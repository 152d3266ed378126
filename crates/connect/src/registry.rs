//! All connectors and formats of the program, in one list.
//!
//! To add a connector: a folder in this crate, a variant of [`ConnectorKind`], and its arms
//! below. Formats are listed in `format/mod.rs`.

use std::sync::Arc;

use thalweg_core::env::Env;
use thalweg_core::ids::{Offset, TopicPartition};
use thalweg_core::partition_log::LogStore;
use thalweg_stream::StreamError;
use thalweg_stream::connector::Connectors;
use thalweg_stream::error::Result;
use thalweg_stream::sink::SinkRef;
use thalweg_stream::source::SourceRef;
use thalweg_stream::table::{METADATA_KEY, TableSpec};

use crate::blackhole::BlackholeSink;
use crate::datagen::{self, DatagenOptions};
use crate::file::{self, FileOptions};
use crate::format::{Format, FormatKind};
use crate::kafka::{self, Cluster};
use crate::options::{Known, Options, check, suggestion};
use crate::print::{self, LineWriter, PrintSink};

/// Takes the committed positions of a job, as offsets of a consumer group. Must not block.
pub type PositionPublisher = Arc<dyn Fn(&str, &[(TopicPartition, Offset)]) + Send + Sync>;

/// Finds the committed offset of a consumer group.
pub type CommittedOffsets =
    Arc<dyn Fn(&str, &TopicPartition) -> Result<Option<Offset>> + Send + Sync>;

/// A connector by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ConnectorKind {
    Kafka,
    UpsertKafka,
    Filesystem,
    Datagen,
    Print,
    Blackhole,
}

impl ConnectorKind {
    /// All connectors.
    const ALL: [Self; 6] = [
        Self::Kafka,
        Self::UpsertKafka,
        Self::Filesystem,
        Self::Datagen,
        Self::Print,
        Self::Blackhole,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::UpsertKafka => "upsert-kafka",
            Self::Filesystem => "filesystem",
            Self::Datagen => "datagen",
            Self::Print => "print",
            Self::Blackhole => "blackhole",
        }
    }

    /// Its options, besides `connector` and those of formats.
    fn known_options(self) -> &'static [Known] {
        match self {
            Self::Kafka => kafka::OPTIONS,
            Self::UpsertKafka => kafka::UPSERT_OPTIONS,
            Self::Filesystem => file::OPTIONS,
            Self::Datagen => datagen::OPTIONS,
            Self::Print => print::OPTIONS,
            Self::Blackhole => &[],
        }
    }

    /// Options that name a format, and the prefix of that format's options.
    fn format_options(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Kafka => &[("format", ""), ("value.format", "value."), ("key.format", "key.")],
            Self::UpsertKafka => &[("value.format", "value."), ("key.format", "key.")],
            Self::Filesystem => &[("format", "")],
            Self::Datagen | Self::Print | Self::Blackhole => &[],
        }
    }

    /// Whether it fills metadata columns.
    fn has_metadata(self) -> bool {
        matches!(self, Self::Kafka | Self::UpsertKafka)
    }

    fn of(table: &TableSpec) -> Result<Self> {
        let Some(name) = table.option("connector") else {
            return Err(StreamError::Invalid(format!(
                "table '{}' needs option 'connector'",
                table.short_name()
            )));
        };
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let hint = suggestion(name, Self::ALL.into_iter().map(Self::name));
            let names: Vec<_> = Self::ALL.into_iter().map(Self::name).collect();
            StreamError::Invalid(format!(
                "there is no connector '{name}'{hint} (connectors: {})",
                names.join(", ")
            ))
        })
    }
}

/// The connectors, with what they work on.
#[derive(Clone)]
pub struct ConnectorRegistry {
    cluster: Cluster,
    stdout: LineWriter,
    stderr: Option<LineWriter>,
}

impl std::fmt::Debug for ConnectorRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConnectorRegistry")
    }
}

impl ConnectorRegistry {
    /// Connectors on this log. `stdout` gets the lines of `print`, several at a time.
    pub fn new(env: Env, log: Arc<dyn LogStore>, stdout: LineWriter) -> Self {
        let cluster = Cluster { env, log, default_partitions: 1, positions: None, committed: None };
        Self { cluster, stdout, stderr: None }
    }

    /// Partitions of topics that tables create; 1 unless said.
    #[must_use]
    pub fn with_default_partitions(mut self, partitions: i32) -> Self {
        self.cluster.default_partitions = partitions.max(1);
        self
    }

    /// Where jobs' positions are published as offsets of consumer groups.
    #[must_use]
    pub fn with_positions(mut self, publish: PositionPublisher) -> Self {
        self.cluster.positions = Some(publish);
        self
    }

    /// Where `scan.startup.mode = group-offsets` finds committed offsets.
    #[must_use]
    pub fn with_committed(mut self, find: CommittedOffsets) -> Self {
        self.cluster.committed = Some(find);
        self
    }

    /// Where `print` with `standard-error` writes; else it writes as without.
    #[must_use]
    pub fn with_stderr(mut self, stderr: LineWriter) -> Self {
        self.stderr = Some(stderr);
        self
    }

    fn kind(&self, table: &TableSpec) -> Result<ConnectorKind> {
        let kind = ConnectorKind::of(table)?;
        check_options(kind, table)?;
        Ok(kind)
    }
}

/// Checks the names of a table's options, and its metadata columns.
fn check_options(kind: ConnectorKind, table: &TableSpec) -> Result<()> {
    let options = Options::new(&table.options);
    let mut known = vec![(String::new(), Known::required("connector"))];
    known.extend(kind.known_options().iter().map(|option| (String::new(), *option)));
    let mut what = format!("connector '{}'", kind.name());
    for (option, prefix) in kind.format_options() {
        if let Some(format) = FormatKind::parse(&options, option)? {
            let prefix = format!("{prefix}{}.", format.name());
            known.extend(format.known_options().iter().map(|option| (prefix.clone(), *option)));
            what = format!("{what} with format '{}'", format.name());
        }
    }
    check(&table.options, &known, &what)?;
    let metadata = |field: &&Arc<arrow_schema::Field>| field.metadata().contains_key(METADATA_KEY);
    match table.schema.fields().iter().find(metadata) {
        Some(field) if !kind.has_metadata() => Err(StreamError::Invalid(format!(
            "column '{}': connector '{}' has no metadata",
            field.name(),
            kind.name()
        ))),
        _ => Ok(()),
    }
}

fn file_format(table: &TableSpec) -> Result<Format> {
    let options = Options::new(&table.options);
    let kind = FormatKind::parse(&options, "format")?
        .ok_or_else(|| StreamError::Invalid("option 'format' is required".into()))?;
    Format::new(kind, &options, "")
}

fn cannot(kind: ConnectorKind, what: &str) -> StreamError {
    StreamError::Invalid(format!("connector '{}' cannot {what}", kind.name()))
}

impl Connectors for ConnectorRegistry {
    fn validate(&self, table: &TableSpec) -> Result<()> {
        self.is_bounded(table).map(|_| ())
    }

    fn source(&self, table: &TableSpec, columns: &[usize]) -> Result<SourceRef> {
        let kind = self.kind(table)?;
        match kind {
            ConnectorKind::Kafka => kafka::source(&self.cluster, table, columns),
            ConnectorKind::UpsertKafka => Err(kafka::upsert_source()),
            ConnectorKind::Filesystem => {
                let options = FileOptions::new(&Options::new(&table.options))?;
                file::source(&self.cluster.env, table, columns, options, file_format(table)?)
            }
            ConnectorKind::Datagen => datagen::source(&self.cluster.env, table, columns),
            ConnectorKind::Print | ConnectorKind::Blackhole => {
                Err(cannot(kind, "be read, only written"))
            }
        }
    }

    fn sink(&self, table: &TableSpec) -> Result<SinkRef> {
        let kind = self.kind(table)?;
        match kind {
            ConnectorKind::Kafka => kafka::sink(&self.cluster, table, false),
            ConnectorKind::UpsertKafka => kafka::sink(&self.cluster, table, true),
            ConnectorKind::Print => {
                let options = Options::new(&table.options);
                let to_stderr = options.bool("standard-error", false)?;
                let out = self.stderr.as_ref().filter(|_| to_stderr).unwrap_or(&self.stdout);
                Ok(Arc::new(PrintSink {
                    identifier: options.get("print-identifier").map(str::to_owned),
                    out: out.clone(),
                }))
            }
            ConnectorKind::Blackhole => Ok(Arc::new(BlackholeSink)),
            ConnectorKind::Filesystem => Err(cannot(kind, "be written yet, only read")),
            ConnectorKind::Datagen => Err(cannot(kind, "be written, only read")),
        }
    }

    fn is_bounded(&self, table: &TableSpec) -> Result<bool> {
        let kind = self.kind(table)?;
        match kind {
            ConnectorKind::Kafka => kafka::check(table, false),
            ConnectorKind::UpsertKafka => kafka::check(table, true),
            ConnectorKind::Filesystem => {
                let options = FileOptions::new(&Options::new(&table.options))?;
                let columns: Vec<usize> = (0..table.schema.fields().len()).collect();
                file_format(table)?.decoder(&table.schema, &columns)?;
                Ok(options.is_bounded())
            }
            ConnectorKind::Datagen => Ok(DatagenOptions::new(table)?.is_bounded()),
            ConnectorKind::Print => {
                Options::new(&table.options).bool("standard-error", false)?;
                Ok(true)
            }
            ConnectorKind::Blackhole => Ok(true),
        }
    }

    fn accepts_updates(&self, table: &TableSpec) -> Result<bool> {
        Ok(match self.kind(table)? {
            ConnectorKind::UpsertKafka | ConnectorKind::Print | ConnectorKind::Blackhole => true,
            ConnectorKind::Kafka | ConnectorKind::Filesystem | ConnectorKind::Datagen => false,
        })
    }
}
