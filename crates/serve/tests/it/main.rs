//! Integration tests of the view store and the doors.

mod pg;
mod view;
