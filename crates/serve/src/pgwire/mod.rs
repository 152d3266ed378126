//! The PostgreSQL door: protocol 3.0, simple and extended, for psql, psycopg, JDBC and
//! their kin.
//!
//! A [`PgServer`] accepts connections; each is a `connection` that reads bounded
//! messages (`frame`, `frontend`) and hands them to its `session`. What is
//! PostgreSQL's own is answered there (`own`, `settings`, `catalog`), the rest is a
//! [`SqlSession`]'s. Rows of Arrow leave through a `cursor` and `encode`.
//!
//! Transaction blocks are accepted for the sake of clients that open one around
//! everything, and change nothing: each statement takes effect at once, each query reads
//! the newest epoch. A rollback that would have to undo something says that it does not.
//!
//! What is not here: no SQL, no encryption and no passwords yet.

mod backend;
mod cancel;
mod catalog;
mod connection;
mod cursor;
mod encode;
mod error;
mod extended;
mod frame;
mod frontend;
mod lexer;
mod own;
mod params;
mod params_binary;
mod params_text;
mod relations;
mod server;
mod service;
mod session;
mod settings;
mod simple;
mod startup;
mod types;

pub use error::{PgError, Result, sqlstate};
pub use params::{ParamType, ParamValue, substitute};
pub use relations::{CatalogInfo, Relation, RelationKind};
pub use server::{PgHandle, PgLimits, PgOptions, PgServer};
pub use service::{Prepared, RowStream, SqlResponse, SqlService, SqlSession};
