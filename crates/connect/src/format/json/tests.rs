//! Tests of the JSON format.
