//! What the HTTP door shows, as traits that the binary implements.

/// Gives the numbers of `/metrics`.
pub trait MetricsSource: Send + Sync {
    /// All families, as they are now.
    fn families(&self) -> Vec<MetricFamily>;
}

/// What a number is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricKind {
    /// Only rises; its name ends in `_total`.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Samples end in `_bucket` (with a label `le`), `_sum` and `_count`.
    Histogram,
}

/// The samples of one name.
#[derive(Clone, Debug)]
pub struct MetricFamily {
    /// Name: letters, digits and underscores, with its unit (`_bytes`, `_seconds`).
    pub name: String,
    /// One sentence.
    pub help: String,
    /// What it is.
    pub kind: MetricKind,
    /// Its values.
    pub samples: Vec<Sample>,
}

/// One value.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// What stands after the family's name, such as `_bucket`; mostly nothing.
    pub suffix: &'static str,
    /// Names and values of its labels.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

/// Gives what the page shows.
pub trait OverviewSource: Send + Sync {
    /// Whether every job has resumed and every door is open.
    fn is_ready(&self) -> bool;

    /// What runs here now.
    fn overview(&self) -> Overview;
}

/// What runs here.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// Version of the program.
    pub version: String,
    /// What somebody has to look at.
    pub alarms: Vec<AlarmLine>,
    /// The doors that are open.
    pub doors: Vec<DoorLine>,
    /// The jobs.
    pub jobs: Vec<JobLine>,
    /// The views.
    pub views: Vec<ViewLine>,
}

/// Something that somebody has to look at.
#[derive(Clone, Debug)]
pub struct AlarmLine {
    /// What it is about, such as a partition.
    pub subject: String,
    /// What is wrong, where, and what to do.
    pub reason: String,
}

/// An open door.
#[derive(Clone, Debug)]
pub struct DoorLine {
    /// Its name, such as `Kafka`.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// A command to try, or nothing.
    pub try_it: String,
}

/// A job.
#[derive(Clone, Debug)]
pub struct JobLine {
    /// Its name.
    pub name: String,
    /// Its state, in kebab-case.
    pub state: String,
    /// Its newest epoch.
    pub epoch: u64,
    /// Rows that it has read.
    pub rows_in: u64,
    /// Rows that it has written.
    pub rows_out: u64,
    /// What is wrong with it, or nothing.
    pub problem: String,
}

/// A view.
#[derive(Clone, Debug)]
pub struct ViewLine {
    /// Its name.
    pub name: String,
    /// The epoch that readers see.
    pub epoch: u64,
    /// Its rows.
    pub rows: u64,
    /// Bytes of its rows.
    pub memory_bytes: usize,
}
