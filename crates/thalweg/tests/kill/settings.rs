//! What a run is told from outside: how often to kill, which server, which seed.

use std::time::Duration;

use thalweg_core::env::{Random, SeededRandom};

/// The command of the server; the words in braces are replaced at each start.
const COMMAND: &str = "server --data-dir {data} --kafka {kafka} --sql {sql} --http {http}";

/// The settings of one run, from the environment.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `THALWEG_KILL_SEED`: decides when to kill and what is sent.
    pub(crate) seed: u64,
    /// `THALWEG_KILLS`: how often the server is killed.
    pub(crate) kills: u32,
    /// `THALWEG_KILL_MEAN_MS`: mean time that a server runs before it is killed.
    pub(crate) mean_run: Duration,
    /// `THALWEG_KILL_RATE`: records a second, all producers together.
    pub(crate) rate: u32,
    /// `THALWEG_KILL_DEADLINE_S`: how long a start, and catching up at the end, may take.
    pub(crate) deadline: Duration,
    /// `THALWEG_KILL_SQL=off`: a server with the Kafka door only.
    pub(crate) sql: bool,
    /// `THALWEG_KILL_COMMAND`: program and arguments of another server, with `{data}`,
    /// `{kafka}`, `{sql}` and `{http}` where the directory and the addresses go.
    pub(crate) command: Vec<String>,
    /// `THALWEG_KILL_PORT`: where the Kafka door of a server is that prints no `ready`; it is
    /// ready when it answers there.
    pub(crate) port: Option<u16>,
}

impl Settings {
    /// Reads the environment. `binary` is the server where no command is given.
    pub(crate) fn from_environment(binary: Option<&str>, entropy: u64) -> anyhow::Result<Self> {
        let command = match std::env::var("THALWEG_KILL_COMMAND") {
            Ok(line) => line.split_whitespace().map(str::to_owned).collect(),
            Err(_) => {
                let binary = binary.ok_or_else(|| anyhow::anyhow!("no THALWEG_KILL_COMMAND"))?;
                std::iter::once(binary).chain(COMMAND.split(' ')).map(str::to_owned).collect()
            }
        };
        Ok(Self {
            seed: number("THALWEG_KILL_SEED", entropy)?,
            kills: u32::try_from(number("THALWEG_KILLS", 12)?)?,
            mean_run: Duration::from_millis(number("THALWEG_KILL_MEAN_MS", 900)?),
            rate: u32::try_from(number("THALWEG_KILL_RATE", 300)?.max(1))?,
            deadline: Duration::from_secs(number("THALWEG_KILL_DEADLINE_S", 120)?),
            sql: std::env::var("THALWEG_KILL_SQL").as_deref() != Ok("off"),
            command,
            port: match number("THALWEG_KILL_PORT", 0)? {
                0 => None,
                port => Some(u16::try_from(port)?),
            },
        })
    }

    /// The one command that runs this again.
    pub(crate) fn replay(&self) -> String {
        format!(
            "THALWEG_KILL_SEED={} THALWEG_KILLS={} THALWEG_KILL_MEAN_MS={} THALWEG_KILL_RATE={} \
             cargo test -p thalweg --test kill -- survives_kill_9 --nocapture",
            self.seed,
            self.kills,
            self.mean_run.as_millis(),
            self.rate
        )
    }

    /// The randomness of a named part of the run.
    pub(crate) fn random(&self, part: u64) -> SeededRandom {
        SeededRandom::for_part(self.seed, part)
    }
}

/// A time with an exponential distribution, at most eight times the mean.
pub(crate) fn exponential(random: &dyn Random, mean: Duration) -> Duration {
    let uniform = (random.below(1 << 53) + 1) as f64 / (1u64 << 53) as f64;
    mean.mul_f64((-uniform.ln()).min(8.0))
}

fn number(name: &str, default: u64) -> anyhow::Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|error| anyhow::anyhow!("{name}={text}: {error}")),
        Err(_) => Ok(default),
    }
}
