//! The store of views: results of jobs, kept in memory and read while they change.
//!
//! A view is the fold of a changelog. Its rows are kept in arrow-row encoding, sorted,
//! in packed leaves of about a thousand rows that never change once built; a
//! version is a list of leaves. A commit builds new leaves where rows changed and
//! shares the others, so a reader takes a whole epoch by cloning one pointer, and
//! holding it delays nobody.
//!
//! Views of one job belong to one [`PublishGroup`], which shows an epoch of all of them
//! at once.
//!
//! What is not here: no query (that is SQL over a [`ViewSnapshot`]), no disk (the
//! engine's snapshots keep what [`View::export`](thalweg_stream::view::View::export)
//! gives).

mod fold;
mod group;
mod layout;
mod leaf;
mod snapshot;
mod store;
mod stored;
mod subscribe;
mod version;

pub use group::PublishGroup;
pub use layout::Fold;
pub use snapshot::ViewSnapshot;
pub use store::{ViewError, ViewInfo, ViewLimits, ViewStore};
pub use stored::StoredView;
pub use subscribe::{Subscription, ViewEvent};
