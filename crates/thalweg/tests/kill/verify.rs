//! Reads everything when the run is over, and has it checked.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio_postgres::Client;

use crate::checker::{self, Violation};
use crate::crowd::Crowd;
use crate::model::{Log, Placed, Totals, WindowKey, readings};
use crate::objects::{self, Kind};
use crate::server::Addresses;
use crate::settings::Settings;
use crate::transactor::{End, TRANSFERS};
use crate::workload::{Outcome, PARTITIONS, TOPIC};
use crate::{kafka, sql};

/// Violations of one rule that are printed.
const PRINTED: usize = 12;

/// The windows that a job should have given.
struct Windows {
    expected: BTreeMap<WindowKey, Totals>,
    /// How many rows came too late for theirs.
    late: usize,
}

/// What is known from outside, and where the system is.
pub(crate) struct Evidence<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) addresses: &'a Addresses,
    /// Topics that readers followed.
    pub(crate) topics: &'a [String],
    pub(crate) crowd: &'a Crowd,
}

impl Evidence<'_> {
    /// Checks the log at once, and the results as soon as they are complete.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        let input = self.read(TOPIC).await?;
        let mut violations =
            checker::input_is_what_was_sent(&self.crowd.shared.ledger.entries(), &input);
        violations.extend(checker::offsets_are_dense(TOPIC, &input));
        let transfers = self.read(TRANSFERS).await?;
        let begun = self.crowd.transfers.entries();
        violations.extend(checker::transactions_are_whole(&begun, &transfers));
        report(violations)?;
        if self.settings.sql {
            self.until_right(async || self.results(&input).await).await?;
        }
        let seen = self.crowd.seen.records();
        let mut violations = Vec::new();
        for topic in self.topics {
            let log = self.read(topic).await?;
            violations.extend(checker::nothing_seen_has_changed(topic, &log, &seen));
        }
        violations.extend(checker::nothing_seen_has_changed(TRANSFERS, &transfers, &seen));
        violations.extend(self.crowd.seen.violations());
        report(violations)
    }

    /// The group reads on until it has read all.
    pub(crate) async fn check_group(&self) -> anyhow::Result<()> {
        let input = self.read(TOPIC).await?;
        self.until_right(async || Ok(checker::group_reads_all(&input, &self.crowd.group.read())))
            .await
    }

    /// Looks at something that follows the input until it is right or time is up. What
    /// should not be there does not go away, so waiting hides nothing.
    async fn until_right(
        &self,
        look: impl AsyncFn() -> anyhow::Result<Vec<Violation>>,
    ) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + self.settings.deadline;
        loop {
            let violations = look().await?;
            if violations.is_empty() || tokio::time::Instant::now() > deadline {
                return report(violations);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Everything that jobs gave, over both protocols.
    async fn results(&self, input: &Log) -> anyhow::Result<Vec<Violation>> {
        let rows = readings(input);
        let client = sql::connect(&self.addresses.sql).await?;
        let mut violations = self.row_jobs(input, &rows, &client).await?;
        let mut late = BTreeMap::new();

        let windows = self.windows_of("temperature_windows", &rows, &mut violations).await?;
        let output = self.read("temperature_windows").await?;
        violations.extend(checker::windows(&windows.expected, &output));
        late.insert("temperature_windows", windows.late);

        let windows = self.windows_of("per_second", &rows, &mut violations).await?;
        let view = sql::per_second(&client).await.map_err(|error| anyhow!("{error:?}"))?;
        violations.extend(checker::windows_view(&windows.expected, &view));
        self.crowd.seen.windows_answer(view);
        late.insert("per_second", windows.late);

        violations.extend(checker::accounts(input, &late, &sql::jobs(&client).await?));
        violations.extend(self.views(&rows, &client).await?);
        Ok(violations)
    }

    /// Jobs without state, and what they could not decode.
    async fn row_jobs(
        &self,
        input: &Log,
        rows: &[Placed],
        client: &Client,
    ) -> anyhow::Result<Vec<Violation>> {
        let mut violations = Vec::new();
        for (topic, check) in [
            ("temperature_alerts", checker::alerts as fn(&_, &_) -> _),
            ("temperature_adjusted", checker::adjusted),
        ] {
            let output = self.read(topic).await?;
            violations.extend(checker::offsets_are_dense(topic, &output));
            violations.extend(check(rows, &output));
        }
        let bad = self.read(&format!("{TOPIC}.bad")).await?;
        violations.extend(checker::bad_records(input, &bad, sql::JOBS.len()));
        let table = format!("`{TOPIC}$bad`");
        violations.extend(checker::side_table(&table, sql::count(client, &table).await?, &bad));
        Ok(violations)
    }

    /// Views without windows: as they are, as they were all the time, and those made on
    /// the way.
    async fn views(&self, rows: &[Placed], client: &Client) -> anyhow::Result<Vec<Violation>> {
        let totals = sql::totals(client).await.map_err(|error| anyhow!("{error:?}"))?;
        let mut violations = checker::totals_view(rows, &totals);
        let extra = objects::listed(Kind::View, self.addresses).await?;
        violations.extend(checker::extra_jobs(&extra, &sql::jobs(client).await?));
        for view in &extra {
            let content = sql::extra_view_rows(client, view).await?;
            violations.extend(checker::extra_view(view, rows, &content));
        }
        let answers = self.crowd.seen.totals();
        violations.extend(checker::answers_are_epochs(rows, PARTITIONS as usize, &answers));
        Ok(violations)
    }

    /// The windows of a batch query over the input without the job's late rows.
    async fn windows_of(
        &self,
        job: &str,
        rows: &[Placed],
        violations: &mut Vec<Violation>,
    ) -> anyhow::Result<Windows> {
        let topics = kafka::topics(&self.addresses.kafka).await?;
        let topic = topics.iter().find(|topic| topic.contains(job) && topic.ends_with(".late"));
        let log = self.read(topic.with_context(|| format!("no late rows of {job}"))?).await?;
        let (late, unreadable) = checker::read_late_rows(job, &log);
        violations.extend(unreadable);
        let (places, implausible) = checker::late_rows(job, rows, &late);
        violations.extend(implausible);
        let expected = checker::expected_windows(rows, PARTITIONS as usize, &places);
        Ok(Windows { expected, late: late.len() })
    }

    async fn read(&self, topic: &str) -> anyhow::Result<Log> {
        let reading = kafka::read_all(&self.addresses.kafka, topic, self.settings.deadline);
        reading.await.with_context(|| format!("reading topic {topic}"))
    }

    /// What the run was about, in numbers.
    pub(crate) fn summary(&self) -> String {
        let sent = self.crowd.shared.ledger.entries();
        let count =
            |wanted: fn(&Outcome) -> bool| sent.iter().filter(|sent| wanted(&sent.outcome)).count();
        let begun = self.crowd.transfers.entries();
        let ended = |end| begun.iter().filter(|transaction| transaction.end == end).count();
        format!(
            "{} records handed to producers: {} acknowledged ({} without an offset), {} unknown, \
             {} not sent; {} transactions: {} committed, {} aborted, {} unknown; readers saw {}",
            sent.len(),
            count(|outcome| matches!(outcome, Outcome::Acked(_))),
            count(|outcome| *outcome == Outcome::Acked(None)),
            count(|outcome| *outcome == Outcome::Unknown),
            count(|outcome| *outcome == Outcome::NotSent),
            begun.len(),
            ended(End::Committed),
            ended(End::Aborted),
            ended(End::Unknown),
            self.crowd.seen.summary()
        )
    }
}

/// An error that lists violations by rule.
fn report(violations: Vec<Violation>) -> anyhow::Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    let mut by_rule: BTreeMap<&str, Vec<&Violation>> = BTreeMap::new();
    for violation in &violations {
        by_rule.entry(violation.rule).or_default().push(violation);
    }
    let mut text = String::new();
    for (rule, violations) in by_rule {
        text += &format!("\n{rule}: {} violations\n", violations.len());
        for violation in violations.iter().take(PRINTED) {
            text += &format!("  {}\n", violation.detail);
        }
    }
    anyhow::bail!("{text}")
}
