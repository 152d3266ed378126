//! `thalweg quickstart`: the worked example with everything embedded.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::{Failure, shutdown};
use crate::node::{DoorOptions, Doors, Node, NodeOptions, ResultMode, Script};
use crate::quickstart::{Display, Feeder, Summary};

/// The example that the repository ships.
const SCRIPT: &str = include_str!("../../../../examples/temperature/temperature.sql");

/// How often the terminal shows something new.
const REFRESH: Duration = Duration::from_millis(1_000);

#[derive(Args)]
pub(crate) struct Options {
    /// Stop after so many seconds [default: at Ctrl-C]
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Number of sensors
    #[arg(long, value_name = "K", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=1000))]
    sensors: u16,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let doors = DoorOptions::default();
        let bound = doors.bind_or_any()?;
        let node = tokio::task::block_in_place(|| Node::open(NodeOptions::default()))?;
        let doors = Doors::open(&node, bound, &doors).await?;
        let result = play(options, &node, &doors).await;
        doors.close().await;
        tokio::task::block_in_place(|| node.stop());
        result
    })
}

async fn play(options: &Options, node: &Arc<Node>, doors: &Doors) -> Result<(), Failure> {
    let feeder = Feeder::start(node, usize::from(options.sensors))?;
    Script::new(node, Vec::new(), ResultMode::Changelog).run(SCRIPT).await?;
    eprint!("{}", introduction(doors));
    let mut display = Display::new(node);
    let mut refresh = tokio::time::interval(REFRESH);
    let stop = stop_after(options.seconds);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            stopped = &mut stop => { stopped?; break; }
            _ = refresh.tick() => display.refresh(&mut std::io::stdout().lock()).await?,
        }
    }
    let produced = tokio::task::block_in_place(|| feeder.stop());
    let summary = Summary::when_caught_up(node, produced).await?;
    display.refresh(&mut std::io::stdout().lock()).await?;
    let mut out = std::io::stdout().lock();
    write!(out, "{summary}")?;
    out.flush()?;
    if summary.accounts_for_every_row() {
        Ok(())
    } else {
        Err(Failure::Running("the rows do not add up; please report it".to_owned()))
    }
}

async fn stop_after(seconds: Option<u64>) -> std::io::Result<()> {
    match seconds {
        None => shutdown::requested().await,
        Some(seconds) => tokio::select! {
            stopped = shutdown::requested() => stopped,
            () = tokio::time::sleep(Duration::from_secs(seconds)) => Ok(()),
        },
    }
}

fn introduction(doors: &Doors) -> String {
    let (kafka, sql, http) = (doors.kafka(), doors.sql(), doors.http());
    let (host, port) = (sql.ip(), sql.port());
    format!(
        "Thalweg runs: sensors write to topic 'temperature', SQL averages, warns and corrects.\n\
         Try, in another terminal:\n\
         \x20 kcat -b {kafka} -C -t temperature_adjusted        # any Kafka client\n\
         \x20 psql -h {host} -p {port} -c 'SELECT * FROM temperature_average ORDER BY sensor'\n\
         \x20 http://{http}/                                    # what runs here\n\n"
    )
}
