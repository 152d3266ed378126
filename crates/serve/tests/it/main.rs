//! Integration tests of the view store and the doors.

mod http;
mod pg;
mod view;
