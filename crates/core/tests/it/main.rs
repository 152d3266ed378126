//! Tests of the environment through its public face.

mod disk_conformance;
mod disk_crash;
mod disk_faults;
mod replay;
