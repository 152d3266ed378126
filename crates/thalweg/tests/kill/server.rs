//! The server as a process: started, awaited, killed, started again on the same
//! directory and the same ports.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::oneshot;

use crate::kafka;

/// A journal is cut by whole segments of this size.
const JOURNAL_SEGMENT_BYTES: u64 = 64 << 20;

/// The server and where it lives. Dropping it kills the process.
pub(crate) struct Server {
    command: Vec<String>,
    directory: PathBuf,
    addresses: Addresses,
    /// Settings in the environment that the next start gets.
    pub(crate) environment: Vec<(String, String)>,
    /// Whether it prints a `ready` line.
    announces: bool,
    running: Option<Running>,
    starts: u32,
}

/// Where the doors are; port 0 before the first start.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pub(crate) kafka: String,
    pub(crate) sql: String,
    pub(crate) http: String,
}

struct Running {
    child: Child,
    /// The `ready` line, or that the process closed its output without one.
    ready: oneshot::Receiver<Option<String>>,
}

impl Server {
    /// A server that is not started yet. `directory` gets `data/` and `server.log`.
    pub(crate) fn new(command: &[String], port: Option<u16>, directory: &Path) -> Self {
        let any = || "127.0.0.1:0".to_owned();
        let kafka = format!("127.0.0.1:{}", port.unwrap_or(0));
        Self {
            command: command.to_vec(),
            directory: directory.to_owned(),
            addresses: Addresses { kafka, sql: any(), http: any() },
            environment: Vec::new(),
            announces: port.is_none(),
            running: None,
            starts: 0,
        }
    }

    pub(crate) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// Starts the process and comes back at once.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        self.starts += 1;
        let mut log = std::fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        writeln!(log, "--- start {} {:?}", self.starts, self.environment)?;
        let words: Vec<String> = self.command.iter().map(|word| self.fill_in(word)).collect();
        let (program, arguments) = words.split_first().context("an empty command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let (sender, ready) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // The receiver is gone where the server was killed before it was ready.
            let _ = sender.send(lines.find(|line| line.starts_with("ready ")));
            // A full pipe would stop the server.
            lines.for_each(drop);
        });
        self.running = Some(Running { child, ready });
        Ok(())
    }

    fn fill_in(&self, word: &str) -> String {
        match word {
            "{data}" => self.data().display().to_string(),
            "{kafka}" => self.addresses.kafka.clone(),
            "{sql}" => self.addresses.sql.clone(),
            "{http}" => self.addresses.http.clone(),
            _ => word.to_owned(),
        }
    }

    /// Waits until the server says that it is ready; the first time, learns its ports.
    pub(crate) async fn ready(&mut self, deadline: Duration) -> anyhow::Result<()> {
        if !self.announces {
            return self.answers(deadline).await;
        }
        let running = self.running.as_mut().context("the server is not started")?;
        let line = match tokio::time::timeout(deadline, &mut running.ready).await {
            Ok(Ok(Some(line))) => line,
            Ok(_) => bail!("the server ended before it was ready:\n{}", self.log_tail()),
            Err(_) => bail!(
                "the server is not ready after {deadline:?}; {}\n{}",
                self.write_stacks(),
                self.log_tail()
            ),
        };
        let address = |door: &str| {
            let word = line.split(' ').find_map(|word| word.strip_prefix(door));
            word.and_then(|word| word.strip_prefix('=')).map(str::to_owned)
        };
        let current = &self.addresses;
        self.addresses = Addresses {
            kafka: address("kafka").with_context(|| format!("no Kafka door in {line:?}"))?,
            sql: address("sql").unwrap_or_else(|| current.sql.clone()),
            http: address("http").unwrap_or_else(|| current.http.clone()),
        };
        Ok(())
    }

    /// Waits until the Kafka door answers.
    async fn answers(&mut self, deadline: Duration) -> anyhow::Result<()> {
        let until = tokio::time::Instant::now() + deadline;
        while kafka::topics(&self.addresses.kafka).await.is_err() {
            self.check_alive()?;
            if tokio::time::Instant::now() > until {
                bail!("the server does not answer after {deadline:?}\n{}", self.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Fails where the process ended by itself.
    pub(crate) fn check_alive(&mut self) -> anyhow::Result<()> {
        let running = self.running.as_mut().context("the server is not started")?;
        if let Some(status) = running.child.try_wait()? {
            bail!("the server ended by itself ({status}):\n{}", self.log_tail());
        }
        Ok(())
    }

    /// SIGKILL, and waits until the process is gone.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.check_alive()?;
        self.kill_quietly();
        Ok(())
    }

    fn kill_quietly(&mut self) {
        if let Some(mut running) = self.running.take() {
            // It may have ended by itself just now; that is as good here.
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }

    /// SIGTERM, and waits for a clean end.
    pub(crate) async fn stop(&mut self, deadline: Duration) -> anyhow::Result<()> {
        self.check_alive()?;
        let mut running = self.running.take().context("the server is not started")?;
        let pid = running.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        let ended = tokio::time::timeout(deadline, async {
            loop {
                if let Some(status) = running.child.try_wait()? {
                    break anyhow::Ok(status);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        match ended.await {
            Ok(Ok(status)) if status.success() => Ok(()),
            // Java's clean end after SIGTERM.
            Ok(Ok(status)) if !self.announces && status.code() == Some(128 + 15) => Ok(()),
            Ok(status) => bail!("SIGTERM: the server ended with {status:?}:\n{}", self.log_tail()),
            Err(_) => {
                running.child.kill()?;
                bail!("SIGTERM: the server still runs after {deadline:?}:\n{}", self.log_tail())
            }
        }
    }

    /// Removes the snapshots of all jobs, so that the next start replays their journals
    /// from the beginning and compares every output with what it was. Gives how many jobs
    /// had some; `None`, and leaves them, where a journal may have lost its beginning
    /// because a snapshot stands for it. (The one place that knows a data directory.)
    pub(crate) fn remove_snapshots(&self) -> anyhow::Result<Option<usize>> {
        assert!(self.running.is_none(), "the server runs");
        if bytes_below(&self.data().join("log"))? >= JOURNAL_SEGMENT_BYTES {
            return Ok(None);
        }
        let mut removed = 0;
        for job in std::fs::read_dir(self.data().join("jobs")).into_iter().flatten() {
            let snapshots = job?.path().join("snapshots");
            if std::fs::read_dir(&snapshots).is_ok_and(|mut entries| entries.next().is_some()) {
                std::fs::remove_dir_all(&snapshots)?;
                removed += 1;
            }
        }
        Ok(Some(removed))
    }

    /// Where a debugger is there, asks it what every thread of a server that hangs does,
    /// and says where the answer is.
    fn write_stacks(&self) -> String {
        let Some(running) = &self.running else { return "it does not run".to_owned() };
        let pid = running.child.id().to_string();
        let debugger = ["-p", &pid, "-batch", "-ex", "thread apply all backtrace 40"];
        match Command::new("gdb").args(debugger).stdin(Stdio::null()).output() {
            Ok(output) => {
                let path = self.directory.join("stacks.txt");
                match std::fs::write(&path, output.stdout) {
                    Ok(()) => format!("its stacks are in {}", path.display()),
                    Err(error) => format!("its stacks could not be written: {error}"),
                }
            }
            Err(error) => format!("no gdb, so no stacks ({error})"),
        }
    }

    /// The last lines that the server wrote on its standard error.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

fn bytes_below(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => bytes_below(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill_quietly();
    }
}
