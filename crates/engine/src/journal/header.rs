//! The header of the journal: what is fixed while a job replays.

use thalweg_core::ids::{Incarnation, ProducerId};
use thalweg_core::time::Millis;

use super::{Decoder, Encoder};
use crate::error::{JobError, Result};

/// Raised by whoever changes the program so that the same journal may give other bytes.
/// 2: bad records name their job.
pub(crate) const RESULT_VERSION: u64 = 2;

/// A sink as the header pins it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SinkPin {
    /// `sink:<uid>`, `late:<uid>` or `bad:<uid>`.
    pub key: String,
    /// Partitions that its chunks may name.
    pub partitions: i32,
    /// Who writes its output, for ever.
    pub producer: ProducerId,
}

/// First record of each incarnation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// The run that starts with it.
    pub incarnation: Incarnation,
    /// See [`RESULT_VERSION`].
    pub result_version: u64,
    /// Hash of [`Header::plan`].
    pub plan_fingerprint: u64,
    /// The plan, in words, for people who want to know what changed.
    pub plan: String,
    /// Subtasks of a stage.
    pub parallelism: usize,
    /// Key groups.
    pub key_groups: u16,
    /// Version of the time-zone data.
    pub time_zone_version: String,
    /// Output, in the order of sink numbers.
    pub sinks: Vec<SinkPin>,
    /// Names of the views, in the order of view numbers.
    pub views: Vec<String>,
    /// Uids of the sources, in the order of source numbers.
    pub sources: Vec<String>,
    /// Wall time of the start.
    pub started_at: Millis,
    /// Name of the job.
    pub job: String,
}

impl Header {
    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.uint(u64::from(self.incarnation.0));
        out.uint(self.result_version);
        out.fixed(self.plan_fingerprint);
        out.text(&self.plan);
        out.len(self.parallelism);
        out.uint(u64::from(self.key_groups));
        out.text(&self.time_zone_version);
        out.len(self.sinks.len());
        for sink in &self.sinks {
            out.text(&sink.key);
            out.int(i64::from(sink.partitions));
            out.int(sink.producer.0);
        }
        for names in [&self.views, &self.sources] {
            out.len(names.len());
            names.iter().for_each(|name| out.text(name));
        }
        out.int(self.started_at);
        out.text(&self.job);
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self> {
        Ok(Self {
            incarnation: Incarnation(from.small()?),
            result_version: from.uint()?,
            plan_fingerprint: from.fixed()?,
            plan: from.text()?,
            parallelism: from.small()?,
            key_groups: from.small()?,
            time_zone_version: from.text()?,
            sinks: from.list(|from| {
                Ok(SinkPin {
                    key: from.text()?,
                    partitions: from.int()? as i32,
                    producer: ProducerId(from.int()?),
                })
            })?,
            views: from.list(Decoder::text)?,
            sources: from.list(Decoder::text)?,
            started_at: from.int()?,
            job: from.text()?,
        })
    }

    /// Refuses to go on with another plan, and with another shape unless the journal
    /// stands `at_snapshot`: with no entry behind the state to start from.
    ///
    /// # Errors
    /// [`JobError::Incompatible`], saying what differs.
    pub(crate) fn check(&self, now: &Self, at_snapshot: bool) -> Result<()> {
        let refuse =
            |what: String| Err(JobError::Incompatible(format!("job '{}': {what}", now.job)));
        if self.plan_fingerprint != now.plan_fingerprint {
            return refuse(format!(
                "the saved state belongs to another plan; {}",
                first_difference(&self.plan, &now.plan)
            ));
        }
        if self.key_groups != now.key_groups {
            return refuse(format!(
                "key groups are fixed for a job's life: {} saved, {} asked for",
                self.key_groups, now.key_groups
            ));
        }
        if at_snapshot {
            return Ok(());
        }
        let partitions = |header: &Self| {
            let sinks =
                header.sinks.iter().map(|sink| format!("{}: {}", sink.key, sink.partitions));
            sinks.collect::<Vec<_>>().join(", ")
        };
        // Of journals that were written before it was recorded.
        let any_zones = self.time_zone_version.is_empty();
        let zones = if any_zones { &now.time_zone_version } else { &self.time_zone_version };
        let fixed = [
            ("parallelism", self.parallelism.to_string(), now.parallelism.to_string()),
            ("result version", self.result_version.to_string(), now.result_version.to_string()),
            ("time zones", zones.clone(), now.time_zone_version.clone()),
            ("output partitions", partitions(self), partitions(now)),
        ];
        for (what, saved, asked) in fixed {
            if saved != asked {
                return refuse(format!(
                    "{what} '{saved}' is needed to replay the journal, not '{asked}'; start it as \
                     it was, stop it cleanly, then change it"
                ));
            }
        }
        Ok(())
    }
}

/// The first line in which two plans differ.
fn first_difference(saved: &str, now: &str) -> String {
    let (mut saved, mut now) = (saved.lines(), now.lines());
    loop {
        match (saved.next(), now.next()) {
            (Some(a), Some(b)) if a == b => {}
            (None, None) => return "the two look alike".into(),
            (a, b) => {
                let (a, b) = (a.unwrap_or("nothing"), b.unwrap_or("nothing"));
                return format!("it has `{}` where the query has `{}`", a.trim(), b.trim());
            }
        }
    }
}
