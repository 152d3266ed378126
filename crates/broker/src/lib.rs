//! The Kafka door: the Kafka protocol over a log.
