//! Flink SQL to dataflow graph; the only home of DataFusion's planner.
