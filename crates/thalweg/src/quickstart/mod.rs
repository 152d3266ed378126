//! The parts of the quickstart: sensors, what feeds them to the log, the terminal's
//! display and the summary that accounts for every row.

mod display;
mod feeder;
mod sensors;
mod summary;

pub use display::Display;
pub use feeder::{Feeder, Produced};
pub use sensors::{Reading, ReadingKind, Sensors, sql_timestamp};
pub use summary::Summary;

/// Topic that the sensors write to.
pub const INPUT_TOPIC: &str = "temperature";

/// Topic with the warnings.
pub const ALERTS_TOPIC: &str = "temperature_alerts";

/// View with the sliding averages.
pub const AVERAGE_VIEW: &str = "temperature_average";

/// Partitions of the input topic.
const PARTITIONS: i32 = 3;
