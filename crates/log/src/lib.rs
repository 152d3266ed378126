//! The embedded log: segments, indexes, producer state, retention and group commit.
