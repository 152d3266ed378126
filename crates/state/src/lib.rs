//! Keyed state and its snapshots in Arrow files.
