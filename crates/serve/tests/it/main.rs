//! Integration tests of the view store and the doors.

mod fuzz;
mod http;
mod pg;
mod view;
