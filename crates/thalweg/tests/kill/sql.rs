//! The statements of the run, and the PostgreSQL door as a client sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use thalweg_core::env::Random;
use tokio_postgres::{NoTls, SimpleQueryMessage, SimpleQueryRow};

use crate::model::{Totals, WindowKey, parse_timestamp, quarters};

/// Topics that the jobs write to.
pub(crate) const OUTPUTS: [&str; 3] =
    ["temperature_alerts", "temperature_adjusted", "temperature_windows"];

const TABLES: [&str; 4] = [
    "CREATE TABLE temperature (
       id          BIGINT,
       sensor      STRING,
       celsius     DOUBLE,
       measured_at TIMESTAMP(3),
       WATERMARK FOR measured_at AS measured_at - INTERVAL '2' SECOND
     ) WITH (
       'connector' = 'kafka', 'topic' = 'temperature',
       'scan.startup.mode' = 'earliest-offset', 'format' = 'json'
     )",
    "CREATE TABLE temperature_alerts (
       id BIGINT, sensor STRING, celsius DOUBLE, measured_at TIMESTAMP(3), message STRING
     ) WITH ('connector' = 'kafka', 'topic' = 'temperature_alerts', 'format' = 'json')",
    "CREATE TABLE temperature_adjusted (
       id BIGINT, sensor STRING, celsius DOUBLE, measured_at TIMESTAMP(3)
     ) WITH (
       'connector' = 'kafka', 'topic' = 'temperature_adjusted',
       'scan.startup.mode' = 'earliest-offset', 'format' = 'json'
     )",
    "CREATE TABLE temperature_windows (
       sensor STRING, window_start TIMESTAMP(3), readings BIGINT, celsius DOUBLE, average DOUBLE
     ) WITH ('connector' = 'kafka', 'topic' = 'temperature_windows', 'format' = 'json')",
];

/// Every job reads every column but the id: a column that a query does not need is not
/// decoded, and so cannot make its record a bad one.
pub(crate) const JOBS: [&str; 5] = [
    "CREATE MATERIALIZED VIEW totals AS
     SELECT sensor, COUNT(*) AS readings, SUM(celsius) AS celsius,
            MIN(celsius) AS coldest, MAX(celsius) AS hottest
     FROM temperature WHERE measured_at IS NOT NULL GROUP BY sensor",
    "CREATE MATERIALIZED VIEW per_second AS
     SELECT sensor, window_start, COUNT(*) AS readings, SUM(celsius) AS celsius
     FROM TABLE(TUMBLE(TABLE temperature, DESCRIPTOR(measured_at), INTERVAL '1' SECOND))
     GROUP BY sensor, window_start, window_end",
    "INSERT INTO temperature_windows
     SELECT sensor, window_start, COUNT(*), SUM(celsius), AVG(celsius)
     FROM TABLE(TUMBLE(TABLE temperature, DESCRIPTOR(measured_at), INTERVAL '1' SECOND))
     GROUP BY sensor, window_start, window_end",
    "INSERT INTO temperature_alerts
     SELECT id, sensor, celsius, measured_at, CONCAT(sensor, ' is hot')
     FROM temperature WHERE celsius > 80",
    "INSERT INTO temperature_adjusted
     SELECT id, sensor, celsius - 0.5, measured_at FROM temperature",
];

/// Connects; the connection lives as long as the client.
pub(crate) async fn connect(address: &str) -> anyhow::Result<tokio_postgres::Client> {
    let (host, port) = address.rsplit_once(':').context("no port in the SQL address")?;
    let mut config = tokio_postgres::Config::new();
    config.host(host).port(port.parse()?).user("kill-test").dbname("default");
    config.connect_timeout(Duration::from_secs(5));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Creates the tables and starts the jobs, each but the first with settings of its own.
pub(crate) async fn start_jobs(address: &str, random: &dyn Random) -> anyhow::Result<()> {
    let client = connect(address).await?;
    let mut statements: Vec<String> = TABLES.map(str::to_owned).into();
    for (number, job) in JOBS.into_iter().enumerate() {
        if number > 0 {
            let parallelism = 1 + random.below(3);
            statements.push(format!("SET 'parallelism.default' = '{parallelism}'"));
            let interval = ["100 ms", "500 ms", "1 h"][random.below(3) as usize];
            statements.push(format!("SET 'execution.checkpointing.interval' = '{interval}'"));
        }
        statements.push(job.to_owned());
    }
    for statement in &statements {
        client.simple_query(statement).await.with_context(|| format!("in {statement}"))?;
    }
    Ok(())
}

/// Rows of a query's answer, over the simple protocol.
pub(crate) async fn rows(
    client: &tokio_postgres::Client,
    query: &str,
) -> Result<Vec<SimpleQueryRow>, tokio_postgres::Error> {
    let messages = client.simple_query(query).await?;
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    Ok(rows.collect())
}

/// The content of view `totals`.
pub(crate) type TotalsView = BTreeMap<String, Totals>;

/// The content of view `per_second`: count and sum.
pub(crate) type WindowsView = BTreeMap<WindowKey, (i64, i64)>;

/// The error of a view query: the door is not there, or the answer is wrong in itself.
#[derive(Debug)]
pub(crate) enum ViewError {
    Door(tokio_postgres::Error),
    Answer(String),
}

/// Asks for view `totals`.
pub(crate) async fn totals(client: &tokio_postgres::Client) -> Result<TotalsView, ViewError> {
    let query = "SELECT sensor, readings, celsius, coldest, hottest FROM totals";
    let mut view = TotalsView::new();
    for row in rows(client, query).await.map_err(ViewError::Door)? {
        let decoded = (|| {
            let totals = Totals {
                count: row.get(1)?.parse().ok()?,
                sum: degrees(&row, 2)?,
                min: degrees(&row, 3)?,
                max: degrees(&row, 4)?,
            };
            Some((row.get(0)?.to_owned(), totals))
        })();
        let (sensor, totals) = decoded.ok_or_else(|| wrong("totals", &row))?;
        if view.insert(sensor, totals).is_some() {
            return Err(ViewError::Answer(format!("view totals: two rows for one key: {row:?}")));
        }
    }
    Ok(view)
}

/// Asks for view `totals` over the extended protocol, with binary values.
pub(crate) async fn totals_prepared(
    client: &tokio_postgres::Client,
) -> Result<TotalsView, ViewError> {
    let query =
        "SELECT sensor, readings, celsius, coldest, hottest FROM totals WHERE readings > $1";
    let mut view = TotalsView::new();
    for row in client.query(query, &[&0_i64]).await.map_err(ViewError::Door)? {
        let degrees = |column: usize| quarters(row.try_get::<_, f64>(column).ok()?);
        let decoded = (|| {
            let (sum, min, max) = (degrees(2)?, degrees(3)?, degrees(4)?);
            let totals = Totals { count: row.try_get(1).ok()?, sum, min, max };
            Some((row.try_get(0).ok()?, totals))
        })();
        let unreadable = || ViewError::Answer(format!("view totals, prepared: {row:?}"));
        let (sensor, totals) = decoded.ok_or_else(unreadable)?;
        view.insert(sensor, totals);
    }
    Ok(view)
}

/// Number of rows of a table.
pub(crate) async fn count(client: &tokio_postgres::Client, table: &str) -> anyhow::Result<i64> {
    let rows = rows(client, &format!("SELECT COUNT(*) FROM {table}")).await?;
    let count = rows.first().and_then(|row| row.get(0)?.parse().ok());
    count.with_context(|| format!("the number of rows of {table}: {rows:?}"))
}

/// Asks for view `per_second`.
pub(crate) async fn per_second(client: &tokio_postgres::Client) -> Result<WindowsView, ViewError> {
    let query = "SELECT sensor, window_start, readings, celsius FROM per_second";
    let mut view = WindowsView::new();
    for row in rows(client, query).await.map_err(ViewError::Door)? {
        let decoded = (|| {
            let key = (row.get(0)?.to_owned(), parse_timestamp(row.get(1)?)?);
            Some((key, (row.get(2)?.parse().ok()?, degrees(&row, 3)?)))
        })();
        let (key, value) = decoded.ok_or_else(|| wrong("per_second", &row))?;
        if view.insert(key, value).is_some() {
            return Err(ViewError::Answer(format!("view per_second: a window twice: {row:?}")));
        }
    }
    Ok(view)
}

/// A view that is made while the server is killed: counts per sensor, of another job's
/// output.
pub(crate) fn extra_view(name: &str) -> String {
    format!(
        "CREATE MATERIALIZED VIEW {name} AS \
         SELECT sensor, COUNT(*) AS readings FROM temperature_adjusted GROUP BY sensor"
    )
}

/// Content of a view made by [`extra_view`].
pub(crate) async fn extra_view_rows(
    client: &tokio_postgres::Client,
    name: &str,
) -> anyhow::Result<BTreeMap<String, i64>> {
    let rows = rows(client, &format!("SELECT sensor, readings FROM {name}")).await?;
    let read = |row: &SimpleQueryRow| Some((row.get(0)?.to_owned(), row.get(1)?.parse().ok()?));
    rows.iter().map(|row| read(row).with_context(|| format!("view {name}: {row:?}"))).collect()
}

/// Names of all materialized views.
pub(crate) async fn views(client: &tokio_postgres::Client) -> anyhow::Result<Vec<String>> {
    let rows = rows(client, "SHOW MATERIALIZED VIEWS").await?;
    Ok(rows.iter().filter_map(|row| row.get(0).map(str::to_owned)).collect())
}

/// What a job says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobAccount {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) rows_in: i64,
    pub(crate) late: i64,
    pub(crate) bad: i64,
    pub(crate) error: String,
}

/// Asks for the accounts of all jobs.
pub(crate) async fn jobs(client: &tokio_postgres::Client) -> anyhow::Result<Vec<JobAccount>> {
    let rows = rows(client, "SHOW JOBS").await?;
    let account = |row: &SimpleQueryRow| {
        let text = |column: &str| row.try_get(column).ok().flatten().unwrap_or("").to_owned();
        let number = |column: &str| text(column).parse().with_context(|| column.to_owned());
        Ok(JobAccount {
            name: text("name"),
            state: text("state"),
            rows_in: number("rows_in")?,
            late: number("late")?,
            bad: number("bad")?,
            error: text("error"),
        })
    };
    rows.iter().map(account).collect()
}

fn degrees(row: &SimpleQueryRow, column: usize) -> Option<i64> {
    quarters(row.get(column)?.parse().ok()?)
}

fn wrong(view: &str, row: &SimpleQueryRow) -> ViewError {
    let columns: Vec<_> = (0..row.len()).map(|column| row.get(column)).collect();
    ViewError::Answer(format!("view {view}: a row that cannot be read: {columns:?}"))
}
