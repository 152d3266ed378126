//! `thalweg consume`: prints the records of topics, as a group member or on its own.

mod envelope;
mod plan;
mod printer;
mod run;
mod unpacker;

use clap::{Args, ValueEnum};
use krafka::consumer::IsolationLevel;

use super::Failure;
use super::client::{KafkaOptions, block_on_to_end};
use super::record_format::WRITE_HELP;

const HELP: &str = "\
WHERE (-o): start, end, +N behind the start, -N before the end, N, N:M until before M, :end until
  the current end, @TIME, @TIME:TIME; kcat's beginning, stored, s@TIME, e@TIME (-o may be repeated).
TIME: Unix milliseconds or seconds, 2026-01-31, 2026-01-31T12:00:00Z, or a duration: -1h30m.

Without -f, -J, -D or -K each record is one line of JSON.
Ctrl-C stops cleanly: what was printed is committed (-g), exit code 0; a second one exits 130.";

#[derive(Args)]
#[command(after_long_help = format!("{HELP}\n\n{WRITE_HELP}"))]
pub(crate) struct Options {
    #[command(flatten)]
    kafka: KafkaOptions,
    /// Topics to read; names with * or ? are globs
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Topics are regular expressions that match whole names, as of now
    #[arg(short, long)]
    regex: bool,
    /// Join this consumer group and commit what was printed
    #[arg(short, long)]
    group: Option<String>,
    /// Only these partitions
    #[arg(short, long, value_delimiter = ',', value_name = "N", conflicts_with = "group")]
    partitions: Vec<i32>,
    /// Stop at the end, as it was at the start
    #[arg(short, long)]
    exit_on_end: bool,
    /// Stop after so many records
    #[arg(short = 'n', long = "num", value_name = "N", visible_short_alias = 'c')]
    #[arg(visible_alias = "count")]
    count: Option<u64>,
    /// Where to start, and where to stop; a group starts there only without committed offsets
    #[arg(short, long, default_value = "start", value_name = "WHERE", allow_hyphen_values = true)]
    offset: Vec<String>,
    /// How to print a record: %t %p %o %k %v %d %h ...; --help has all of it
    #[arg(short, long)]
    format: Option<String>,
    /// Print kcat's JSON envelope
    #[arg(short = 'J', long, conflicts_with = "format")]
    json_envelope: bool,
    /// Leave the value out of the JSON
    #[arg(long)]
    meta_only: bool,
    /// Print values with this between them, as kcat does
    #[arg(short = 'D', long, value_name = "TEXT", conflicts_with_all = ["format", "json_envelope"])]
    delimiter: Option<String>,
    /// Print key, this, and value, as kcat does
    #[arg(short = 'K', long, value_name = "TEXT")]
    #[arg(conflicts_with_all = ["format", "json_envelope"])]
    key_delimiter: Option<String>,
    /// Print null keys and values as NULL instead of nothing (-f, -D, -K)
    #[arg(short = 'Z', long)]
    null: bool,
    /// Decode binary keys or values: key=PACK, value=PACK or PACK, as in kcat (<>bBhHiIqQcs$)
    #[arg(short = 's', long = "unpack", value_name = "PACK")]
    unpack: Vec<String>,
    /// Which records of transactions are read
    #[arg(long, value_enum, default_value_t)]
    isolation: Isolation,
    /// The same as --isolation read_committed
    #[arg(long, conflicts_with = "isolation")]
    read_committed: bool,
    /// Write every record at once
    #[arg(short, long)]
    unbuffered: bool,
    /// Say nothing on stderr but errors
    #[arg(short, long)]
    quiet: bool,
}

/// Which records of transactions are read. The default is that of rpk and Kafka's own tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Isolation {
    /// All of them
    #[default]
    #[value(name = "read_uncommitted")]
    ReadUncommitted,
    /// Those that are committed
    #[value(name = "read_committed")]
    ReadCommitted,
}

impl Options {
    fn committed_only(&self) -> bool {
        self.read_committed || self.isolation == Isolation::ReadCommitted
    }

    fn isolation_level(&self) -> IsolationLevel {
        if self.committed_only() {
            IsolationLevel::ReadCommitted
        } else {
            IsolationLevel::ReadUncommitted
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let printer = printer::Printer::new(options)?;
    let unpacker = unpacker::Unpacker::parse(&options.unpack)?;
    block_on_to_end(run::consume(options, printer, &unpacker))
}
