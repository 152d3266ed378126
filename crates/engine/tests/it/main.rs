//! Tests of the engine as a whole: jobs on the real log, on real and simulated disks.

mod crash;
mod support;
mod vertical;
