//! Tests of adhoc.
