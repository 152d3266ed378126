//! The loop: read, send, count, until the end of the input, the count or Ctrl-C.

use std::io::{IsTerminal, Write};
use std::pin::{Pin, pin};

use krafka::Record;
use thalweg_core::env::{Disk, Env, OpenMode};

use super::Options;
use super::input::{FileReader, Input, RECORD_BYTES_MAX};
use super::records::Records;
use super::sender::{Sender, Written};
use crate::cli::record_format::{Format, Step, Surroundings};
use crate::cli::{Failure, shutdown};

/// Records between two looks at the progress.
const PROGRESS_RECORDS: u64 = 10_000;

/// Milliseconds between two lines of progress.
const PROGRESS_MS: i64 = 500;

pub(super) async fn produce(options: &Options, records: &Records) -> Result<(), Failure> {
    let mut stop = pin!(shutdown::requested());
    let acknowledged = options.output_format.as_deref().map(Format::for_writing).transpose()?;
    let started = async {
        let kafka = options.kafka.connect_to_produce().await?;
        Sender::new(options, &kafka).await
    };
    let sender = tokio::select! {
        sender = started => sender?,
        stopped = stop.as_mut() => return Ok(stopped?),
    };
    let mut run = Run {
        options,
        records,
        sender,
        printed: Printed { format: acknowledged, around: Surroundings::default() },
        sent: 0,
        progress: Progress::new(options),
    };
    let outcome = run.all(stop).await;
    run.progress.clear();
    let whole = matches!(outcome, Ok(true));
    let transaction = run.sender.is_transaction();
    let count = run.sender.acknowledged;
    let ended = run.sender.end(whole).await;
    let said = |text: String| {
        if !options.quiet {
            eprintln!("{text}");
        }
    };
    let topic = options.topic.as_deref().map_or(String::new(), |topic| format!(" to '{topic}'"));
    match (&outcome, transaction) {
        (_, true) if !whole => said(format!("transaction aborted, {count} records given up")),
        _ => said(format!("{count} records written{topic}")),
    }
    outcome?;
    ended
}

struct Run<'a> {
    options: &'a Options,
    records: &'a Records,
    sender: Sender,
    printed: Printed,
    sent: u64,
    progress: Progress,
}

/// What is printed when a record is acknowledged.
struct Printed {
    format: Option<Format>,
    around: Surroundings,
}

impl Printed {
    fn print(&mut self, written: Written) -> Result<(), Failure> {
        let Some(format) = &self.format else {
            return Ok(());
        };
        self.around.printed += 1;
        let mut line = Vec::new();
        format.write(&written.into_consumed(), &self.around, &mut line);
        Ok(std::io::stdout().lock().write_all(&line)?)
    }
}

impl Run<'_> {
    /// Sends all there is and waits for it; false where it was stopped before the end.
    async fn all(
        &mut self,
        mut stop: Pin<&mut impl Future<Output = std::io::Result<()>>>,
    ) -> Result<bool, Failure> {
        let outcome = self.inputs(stop.as_mut()).await;
        // What was read before an error or a stop is written, unless in a transaction.
        let drained = match (&outcome, self.sender.is_transaction()) {
            (Ok(true), _) | (_, false) => {
                self.sender.drain(&mut |written| self.printed.print(written)).await
            }
            _ => Ok(()),
        };
        let whole = outcome?;
        drained?;
        std::io::stdout().lock().flush()?;
        Ok(whole)
    }

    async fn inputs(
        &mut self,
        mut stop: Pin<&mut impl Future<Output = std::io::Result<()>>>,
    ) -> Result<bool, Failure> {
        if self.options.files.is_empty() {
            if std::io::stdin().is_terminal() && !self.options.quiet {
                eprintln!("one record a line; end with Ctrl-D");
            }
            return self.input(Input::new(tokio::io::stdin()), "", stop).await;
        }
        let env = Env::real();
        for path in &self.options.files {
            let name = path.display().to_string();
            let failure = |error: std::io::Error| Failure::Running(format!("{name}: {error}"));
            if self.options.lines {
                let file = env.disk.open(path, OpenMode::Read).map_err(failure)?;
                let input = Input::new(FileReader::new(file));
                if !self.input(input, &format!("{name}: "), stop.as_mut()).await? {
                    return Ok(false);
                }
            } else {
                let contents = read_whole(env.disk.as_ref(), path).map_err(failure)?;
                let record = self.records.whole(contents).map_err(Failure::Running)?;
                self.send(record).await?;
            }
            if self.is_enough() {
                break;
            }
        }
        Ok(true)
    }

    /// Sends the records of one input.
    async fn input(
        &mut self,
        mut input: Input,
        name: &str,
        mut stop: Pin<&mut impl Future<Output = std::io::Result<()>>>,
    ) -> Result<bool, Failure> {
        while !self.is_enough() {
            let step = match input.available() {
                [] => Ok(Step::More),
                data => self.records.find(data, input.is_ended()),
            };
            match step {
                Ok(Step::Record(parsed)) => {
                    let line = input.line(0);
                    let bytes = input.take(parsed.used);
                    let record = self.records.record(parsed, &bytes).map_err(|error| {
                        Failure::Running(format!(
                            "{name}record {} in line {line}: {error}",
                            self.sent + 1
                        ))
                    })?;
                    self.send(record).await?;
                }
                Ok(Step::More) if input.is_ended() => break,
                Ok(Step::More) => tokio::select! {
                    read = input.more() => {
                        read.map_err(|error| Failure::Running(format!("{name}{error}")))?;
                    }
                    stopped = stop.as_mut() => {
                        stopped?;
                        return Ok(false);
                    }
                },
                Err(mismatch) => {
                    let found = input.available().get(mismatch.at..).unwrap_or_default();
                    let found = &found[..found.len().min(20)];
                    return Err(Failure::Running(format!(
                        "{name}record {} in line {}: expected {}, found {}",
                        self.sent + 1,
                        input.line(mismatch.at),
                        mismatch.expected,
                        if found.is_empty() {
                            "the end of the input".to_owned()
                        } else {
                            format!("\"{}\"", found.escape_ascii())
                        }
                    )));
                }
            }
        }
        Ok(true)
    }

    async fn send(&mut self, record: Record) -> Result<(), Failure> {
        if self.options.tee {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(record.value.as_deref().unwrap_or_default())?;
            stdout.write_all(b"\n")?;
        }
        self.sender.send(record, &mut |written| self.printed.print(written)).await?;
        self.sent += 1;
        if self.sent.is_multiple_of(PROGRESS_RECORDS) {
            self.progress.show(self.sent);
        }
        Ok(())
    }

    fn is_enough(&self) -> bool {
        self.options.count.is_some_and(|count| self.sent >= count)
    }
}

/// A line on a terminal that says how far it is.
struct Progress {
    clock: std::sync::Arc<dyn thalweg_core::env::Clock>,
    shown_ms: i64,
    is_on: bool,
}

impl Progress {
    fn new(options: &Options) -> Self {
        let is_on = std::io::stderr().is_terminal() && !options.quiet;
        let clock = Env::real().clock;
        Self { shown_ms: clock.wall_ms(), clock, is_on }
    }

    fn show(&mut self, sent: u64) {
        let now = self.clock.wall_ms();
        if self.is_on && now - self.shown_ms >= PROGRESS_MS {
            self.shown_ms = now;
            eprint!("\r{sent} records");
        }
    }

    fn clear(&self) {
        if self.is_on {
            eprint!("\r");
        }
    }
}

fn read_whole(disk: &dyn Disk, path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    thalweg_core::env::read_file(disk, path, RECORD_BYTES_MAX as u64)
}
