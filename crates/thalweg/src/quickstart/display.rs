//! What the quickstart shows: warnings as they come, and under them a live table.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use thalweg_core::ids::Offset;
use thalweg_core::partition_log::Isolation;
use thalweg_core::record_batch::{DecompressionLimits, split};

use super::{ALERTS_TOPIC, AVERAGE_VIEW};
use crate::node::Node;

/// Rows of the live table.
const TABLE_ROWS: usize = 10;

/// Bytes of warnings read at a time.
const ALERT_BYTES: usize = 256 << 10;

/// Warnings shown at a time; of more only the number is said.
const ALERTS_SHOWN: usize = 5;

/// The terminal's picture.
pub struct Display {
    node: Arc<Node>,
    next_alert: Offset,
    lines_to_erase: usize,
    on_terminal: bool,
    last_table: Vec<String>,
}

impl std::fmt::Debug for Display {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Display")
    }
}

impl Display {
    /// Nothing shown yet.
    pub fn new(node: &Arc<Node>) -> Self {
        Self {
            node: Arc::clone(node),
            next_alert: 0,
            lines_to_erase: 0,
            on_terminal: io::stdout().is_terminal(),
            last_table: Vec::new(),
        }
    }

    /// Shows what is new. On a terminal the table is drawn over the last one; elsewhere
    /// it is printed when it changed.
    ///
    /// # Errors
    /// The topic or the view cannot be read, or stdout is gone.
    pub async fn refresh(&mut self, out: &mut impl Write) -> anyhow::Result<()> {
        let alerts = self.new_alerts()?;
        let table = self.table().await?;
        if self.on_terminal && self.lines_to_erase > 0 {
            write!(out, "\x1b[{}A\x1b[J", self.lines_to_erase)?;
        }
        let hidden = alerts.len().saturating_sub(ALERTS_SHOWN);
        if hidden > 0 {
            writeln!(out, "ALERT {hidden} more in topic '{ALERTS_TOPIC}'")?;
        }
        for alert in &alerts[hidden..] {
            writeln!(out, "ALERT {alert}")?;
        }
        if self.on_terminal || table != self.last_table {
            for line in &table {
                writeln!(out, "{line}")?;
            }
            self.lines_to_erase = table.len();
            self.last_table = table;
        }
        out.flush()?;
        Ok(())
    }

    fn new_alerts(&mut self) -> anyhow::Result<Vec<String>> {
        let mut alerts = Vec::new();
        let Ok(log) = self.node.log().partition(ALERTS_TOPIC, 0) else {
            return Ok(alerts);
        };
        let bytes = log.read(self.next_alert, ALERT_BYTES, Isolation::ReadCommitted)?;
        let mut scratch = Vec::new();
        for batch in split(&bytes) {
            let batch = batch?;
            for record in batch.records(&mut scratch, &DecompressionLimits::default())? {
                let record = record?;
                if record.offset >= self.next_alert {
                    let value = record.value.unwrap_or_default();
                    let value: serde_json::Value = serde_json::from_slice(value)?;
                    alerts.push(value["message"].as_str().unwrap_or_default().to_owned());
                    self.next_alert = record.offset + 1;
                }
            }
        }
        Ok(alerts)
    }

    async fn table(&self) -> anyhow::Result<Vec<String>> {
        let query = format!(
            "SELECT sensor, until, celsius, readings FROM {AVERAGE_VIEW} \
             ORDER BY sensor LIMIT {TABLE_ROWS}"
        );
        let rows = self.node.query_text(&query).await?;
        if rows.is_empty() {
            return Ok(vec!["waiting for the first window to close".to_owned()]);
        }
        let mut lines = vec![format!(
            "{:<12} {:>24} {:>9} {:>9}",
            "sensor", "average until", "celsius", "readings"
        )];
        for row in rows {
            let cell = |index: usize| row.get(index).map_or("", String::as_str);
            let celsius = cell(2).parse::<f64>().unwrap_or(f64::NAN);
            lines.push(format!("{:<12} {:>24} {celsius:>9.2} {:>9}", cell(0), cell(1), cell(3)));
        }
        Ok(lines)
    }
}
