//! `thalweg produce`: lines, files or formatted input become records.

mod input;
mod records;
mod run;
mod sender;

use clap::{Args, ValueEnum};
use krafka::Compression;
use krafka::producer::Acks;

use super::Failure;
use super::client::{KafkaOptions, block_on_to_end};
use super::record_format::READ_HELP;

const HELP: &str = "\
Without -f a record is a line of stdin: its value, or with -K its key and value. FILEs are one record
each, or with -l read as lines. Errors name the record and its line and end with exit code 1; what came
before is written. Ctrl-C writes what has been read and aborts a transaction.";

#[derive(Args)]
#[command(after_long_help = format!("{HELP}\n\n{READ_HELP}"))]
pub(crate) struct Options {
    #[command(flatten)]
    kafka: KafkaOptions,
    /// Topic to write to, unless -f reads one; the server may create it
    topic: Option<String>,
    /// Files that are one record each, or with -l read in place of stdin
    files: Vec<std::path::PathBuf>,
    /// Read records out of the files
    #[arg(short = 'l', long, requires = "files")]
    lines: bool,
    /// Key of every record that brings none
    #[arg(short, long)]
    key: Option<String>,
    /// Splits each line into key and value
    #[arg(short = 'K', long, value_name = "TEXT", conflicts_with = "format")]
    key_delimiter: Option<String>,
    /// What ends a record instead of a line's end
    #[arg(short = 'D', long, value_name = "TEXT", conflicts_with = "format")]
    delimiter: Option<String>,
    /// How records are read: %k %v %t %p %h ...; --help has all of it
    #[arg(short, long)]
    format: Option<String>,
    /// Partition to write to
    #[arg(short, long)]
    partition: Option<i32>,
    /// A header of every record
    #[arg(short = 'H', long = "header", value_name = "KEY=VALUE")]
    headers: Vec<String>,
    /// Empty values are nulls (tombstones)
    #[arg(short = 'Z', long)]
    tombstone: bool,
    /// Codec of the batches
    #[arg(short = 'z', long, value_enum, default_value_t, value_name = "CODEC")]
    compression: Codec,
    /// Who has to have a record before it counts: all, 1 (leader) or 0 (nobody)
    #[arg(long, default_value = "all", allow_hyphen_values = true, value_parser = acks)]
    acks: Acks,
    /// Stop after so many records
    #[arg(short = 'c', long, value_name = "N", visible_short_alias = 'n')]
    count: Option<u64>,
    /// Copy the values to stdout, as tee does
    #[arg(short = 'T', long, conflicts_with = "output_format")]
    tee: bool,
    /// Print each written record, in the format of thalweg consume -f
    #[arg(short, long, value_name = "FORMAT")]
    output_format: Option<String>,
    /// Write all records in one transaction, committed at the end of the input
    #[arg(long, value_name = "ID")]
    transactional_id: Option<String>,
    /// Do not say on stderr how many records were written
    #[arg(short, long)]
    quiet: bool,
}

/// Codecs of record batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Codec {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::None => Self::None,
            Codec::Gzip => Self::Gzip,
            Codec::Snappy => Self::Snappy,
            Codec::Lz4 => Self::Lz4,
            Codec::Zstd => Self::Zstd,
        }
    }
}

fn acks(text: &str) -> Result<Acks, String> {
    match text {
        "all" | "-1" => Ok(Acks::All),
        "1" | "leader" => Ok(Acks::Leader),
        "0" | "none" => Ok(Acks::None),
        _ => Err("all, 1 and 0 are known".to_owned()),
    }
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let records = records::Records::new(options)?;
    block_on_to_end(run::produce(options, &records))
}
