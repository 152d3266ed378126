//! The loop: poll, print, commit, until the end, the count or Ctrl-C.

use std::collections::HashMap;
use std::io::Write;
use std::pin::{Pin, pin};
use std::time::Duration;

use krafka::KrafkaError;
use krafka::consumer::{Consumer, ConsumerRecord, OffsetAndMetadata, TopicPartition};
use krafka::error::ErrorCode;

use super::Options;
use super::plan::{Plan, plan};
use super::printer::Printer;
use super::unpacker::Unpacker;
use crate::cli::kafka_error::{code, sentence};
use crate::cli::{Failure, shutdown, topic_names};

/// How long one poll waits for records.
const POLL: Duration = Duration::from_millis(500);

/// Polls without a record after which a group's member without a partition is at its end.
const EMPTY_POLLS: u32 = 4;

/// Bytes of output that are collected before they are written.
const OUTPUT_BYTES: usize = 1 << 20;

pub(super) async fn consume(
    options: &Options,
    mut printer: Printer,
    unpacker: &Unpacker,
) -> Result<(), Failure> {
    let mut stop = pin!(shutdown::requested());
    let started = async {
        let kafka = options.kafka.connect().await?;
        let names = topic_names::resolve(&kafka, &options.topics, options.regex).await?;
        let topics = topic_names::describe(&kafka, &names).await?;
        if printer.needs_brokers() {
            let leaders = topics.iter().flat_map(|topic| {
                let leader = |p: &krafka::admin::PartitionDescription| {
                    Some(((topic.name.clone(), p.partition), p.leader?))
                };
                topic.partitions.iter().filter_map(leader).collect::<Vec<_>>()
            });
            printer.brokers = leaders.collect();
        }
        plan(options, &kafka, &topics).await
    };
    let plan = tokio::select! {
        plan = started => plan?,
        stopped = &mut stop => return Ok(stopped?),
    };
    let mut reading = Reading { options, printer, unpacker, plan, printed: 0, empty_polls: 0 };
    let outcome = reading.read_on(stop).await;
    let closed = reading.plan.consumer.close().await;
    outcome?;
    if options.group.is_none() {
        return Ok(());
    }
    // Leaving the group late costs the others a timeout, no record.
    if let Err(error) = closed {
        reading.note(&format!("the group was not left cleanly: {}", sentence(&error)));
    }
    Ok(())
}

struct Reading<'a> {
    options: &'a Options,
    printer: Printer,
    unpacker: &'a Unpacker,
    plan: Plan,
    printed: u64,
    /// Polls since the last record.
    empty_polls: u32,
}

impl Reading<'_> {
    /// Reads until there is nothing more to read, or until `stop`. That is asked for during
    /// polls only, so what was printed is committed.
    async fn read_on(
        &mut self,
        mut stop: Pin<&mut impl Future<Output = std::io::Result<()>>>,
    ) -> Result<(), Failure> {
        while self.options.count.is_none_or(|count| self.printed < count) {
            if self.is_at_end().await {
                break;
            }
            let polled = tokio::select! {
                polled = self.plan.consumer.poll(POLL) => polled,
                stopped = stop.as_mut() => return Ok(stopped?),
            };
            let records = polled.map_err(no_offset)?;
            if records.is_empty() {
                self.empty_polls = self.empty_polls.saturating_add(1);
            } else {
                self.empty_polls = 0;
                let all = self.print(records).await?;
                if self.options.group.is_some() {
                    self.commit(all).await?;
                }
            }
        }
        Ok(())
    }

    /// Prints records up to the count; what was printed last in each partition.
    async fn print(
        &mut self,
        records: Vec<ConsumerRecord>,
    ) -> Result<HashMap<TopicPartition, i64>, Failure> {
        let lags = if self.printer.needs_watermarks() {
            self.plan.consumer.lag().await
        } else {
            HashMap::new()
        };
        let mut out = Vec::new();
        let mut next: HashMap<TopicPartition, i64> = HashMap::new();
        for mut record in records {
            if self.options.count.is_some_and(|count| self.printed >= count) {
                break;
            }
            let place = TopicPartition::new(&*record.topic, record.partition);
            if self.is_behind_stop(&place, record.offset) {
                continue;
            }
            if !self.unpacker.is_idle() {
                self.unpacker.apply(&mut record)?;
            }
            self.printer.print(&record, &lags, &mut out);
            self.printed += 1;
            next.insert(place, record.offset + 1);
            if self.options.unbuffered || out.len() >= OUTPUT_BYTES {
                write(&mut out)?;
            }
        }
        write(&mut out)?;
        Ok(next)
    }

    /// A range ends before its stop. `-e` alone stops there too, but a group's member commits
    /// whole polls, so it prints what it has been handed.
    fn is_behind_stop(&self, place: &TopicPartition, offset: i64) -> bool {
        let stop = match &self.plan.stops {
            Some(stops) if self.options.group.is_none() => stops.get(place),
            _ => return false,
        };
        stop.is_none_or(|stop| offset >= *stop)
    }

    async fn commit(&self, next: HashMap<TopicPartition, i64>) -> Result<(), Failure> {
        let offsets = next.into_iter().map(|(place, next)| (place, OffsetAndMetadata::new(next)));
        match self.plan.consumer.commit_offsets(offsets).await {
            Err(error) if is_rebalance(&error) => {
                self.note(
                    "the group was rebalanced before a commit: another member may print \
                           the last records again",
                );
                Ok(())
            }
            outcome => Ok(outcome?),
        }
    }

    /// Whether every partition that is ours has been read up to its stop.
    async fn is_at_end(&mut self) -> bool {
        let consumer = &self.plan.consumer;
        let Some(stops) = &mut self.plan.stops else {
            return false;
        };
        if stops.is_empty() {
            return true;
        }
        let ours = consumer.assignment().await;
        // A member may be told only by its next polls which partitions it got; one that has
        // none after several of them has none.
        let joined = self.options.group.is_none()
            || (has_joined(consumer).await
                && (!ours.is_empty() || self.empty_polls >= EMPTY_POLLS));
        let mut open = false;
        let mut done = Vec::new();
        for (place, stop) in stops.iter() {
            let is_ours = ours.get(place.topic()).is_some_and(|of| of.contains(&place.partition()));
            if !is_ours {
                continue;
            }
            let position = consumer.position(place.topic(), place.partition()).await;
            if position.is_some_and(|position| position >= *stop) {
                done.push(place.clone());
            } else {
                open = true;
            }
        }
        for place in done {
            // A partition of a group may come back to us, so it keeps its stop.
            if self.options.group.is_none() {
                consumer.pause(place.topic(), &[place.partition()]).await;
                stops.remove(&place);
            }
        }
        joined && !open
    }

    fn note(&self, text: &str) {
        if !self.options.quiet {
            eprintln!("{text}");
        }
    }
}

/// Whether a member of a group knows which partitions it has, be it none.
async fn has_joined(consumer: &Consumer) -> bool {
    consumer.group_metadata().await.is_some_and(|member| member.generation_id() >= 0)
}

fn is_rebalance(error: &KrafkaError) -> bool {
    matches!(
        code(error),
        Some(
            ErrorCode::RebalanceInProgress
                | ErrorCode::IllegalGeneration
                | ErrorCode::UnknownMemberId
        )
    )
}

fn no_offset(error: KrafkaError) -> Failure {
    match error {
        KrafkaError::NoOffset { .. } => Failure::Running(
            "the group has committed nothing for a partition; -o start or -o end says where to \
             begin"
                .to_owned(),
        ),
        error => error.into(),
    }
}

fn write(out: &mut Vec<u8>) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(out)?;
    stdout.flush()?;
    out.clear();
    Ok(())
}
