//! The HTTP door: health, metrics, and a plain page that says what runs here.
//!
//! `/healthz` says that the process answers, `/readyz` whether every job has resumed,
//! `/metrics` is Prometheus' text exposition, `/` is for people. What they tell comes
//! from the traits in [`source`](MetricsSource); the door knows no jobs.
//!
//! What is not here: the dashboard and the REST interface, which come later.

mod guard;
mod listener;
mod metrics;
mod page;
mod routes;
mod server;
mod source;

pub use server::{HttpHandle, HttpServer, HttpState};
pub use source::{
    AlarmLine, DoorLine, JobLine, MetricFamily, MetricKind, MetricsSource, Overview,
    OverviewSource, Sample, ViewLine,
};
