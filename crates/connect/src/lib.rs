//! Ingest, egress and formats: file, datagen, print, blackhole, JSON, CSV.
