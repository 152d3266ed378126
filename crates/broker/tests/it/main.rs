//! The broker from outside: over sockets, version by version, under load and limits.

mod admin;
mod authorization;
mod client;
mod dynamic_configs;
mod every_version;
mod fetch;
mod groups;
mod limits;
mod memory;
mod memory_log;
mod produce;
mod quotas;
mod restart;
mod stalls;
mod transactional;
mod transactional_offsets;
mod transactions;
