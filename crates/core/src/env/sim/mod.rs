//! The simulated environment: one seed decides everything.
//!
//! Code under test is handed [`SimEnv::env`] and cannot tell it from the real one; the
//! test holds the [`SimEnv`] and makes time pass, power fail and disks misbehave. The
//! same seed and the same calls give the same bytes, so a failing history is replayed
//! from its seed alone ([`SimDisk::trace_hash`] shows whether two runs were the same).
//!
//! ```
//! use std::path::Path;
//! use thalweg_core::env::{OpenMode, sim::SimEnv};
//!
//! let sim = SimEnv::new(7);
//! let env = sim.env();
//! let file = env.disk.open(Path::new("/a"), OpenMode::Create)?;
//! env.disk.sync_dir(Path::new("/"))?;
//! file.write_at(b"kept", 0)?;
//! file.sync_data()?;
//! file.write_at(b"maybe", 4)?;
//! sim.crash();
//! assert!(file.len().is_err(), "handles die with the process");
//! assert_eq!(&sim.disk.durable(Path::new("/a")).unwrap_or_default()[..4], b"kept");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! What is not here: sockets (cores are sans-IO) and preemption (bodies given to
//! [`SimSpawn`] run to their end, one after another).

mod clock;
mod disk;
mod faults;
mod file_image;
mod name_tree;
mod spawn;

use std::sync::Arc;

pub use clock::SimClock;
pub use disk::SimDisk;
pub use faults::{FaultPlan, OpKind};
pub use spawn::SimSpawn;

use super::{Env, SeededRandom};

/// The simulated source of randomness: the seed's own sequence.
pub type SimRandom = SeededRandom;

/// An environment in which a seed decides everything, and the handles to steer it.
#[derive(Clone, Debug)]
pub struct SimEnv {
    /// The seed, for printing with a failure.
    pub seed: u64,
    /// Time, which only tests, sleeps and stalls move.
    pub clock: Arc<SimClock>,
    /// Random bits.
    pub random: Arc<SimRandom>,
    /// Files and directories, with their faults.
    pub disk: Arc<SimDisk>,
    /// Threads that run when told to.
    pub spawn: Arc<SimSpawn>,
}

impl SimEnv {
    /// An empty disk, a clock at a fixed time, and nothing that goes wrong yet.
    pub fn new(seed: u64) -> Self {
        let clock = Arc::new(SimClock::new());
        Self {
            seed,
            random: Arc::new(SimRandom::for_part(seed, 1)),
            disk: Arc::new(SimDisk::new(SimRandom::for_part(seed, 2), clock.clone())),
            spawn: Arc::new(SimSpawn::new(SimRandom::for_part(seed, 3))),
            clock,
        }
    }

    /// What the code under test is handed.
    pub fn env(&self) -> Env {
        Env {
            clock: self.clock.clone(),
            random: self.random.clone(),
            disk: self.disk.clone(),
            spawn: self.spawn.clone(),
        }
    }

    /// Power loss: the disk keeps what [`SimDisk::crash`] says, threads are gone, open
    /// handles and locks are dead. Time and randomness go on.
    pub fn crash(&self) {
        self.disk.crash();
        self.spawn.clear();
    }
}
