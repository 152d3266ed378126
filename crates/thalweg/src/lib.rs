//! Thalweg as a library, and the one binary.
