//! Tests of the CSV format.
