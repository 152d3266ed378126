//! How results are read: the store of views, the PostgreSQL door and the HTTP door.
//!
//! The doors know nothing of SQL or jobs: they meet those in traits that the binary
//! implements ([`pgwire::SqlService`], [`http::OverviewSource`]).

pub mod http;
pub mod pgwire;
pub mod view;
