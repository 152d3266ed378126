//! The `blackhole` connector: takes rows and forgets them.

use thalweg_core::ids::Epoch;
use thalweg_stream::ChangeBatch;
use thalweg_stream::error::Result;
use thalweg_stream::sink::{Delivery, OutputChunk, Publication, Sink, SinkPublisher, SinkWriter};

/// Forgets rows. It gives no chunks, so nothing of them reaches the journal either.
#[derive(Debug)]
pub(crate) struct BlackholeSink;

impl Sink for BlackholeSink {
    fn partitions(&self) -> i32 {
        1
    }

    fn accepts_updates(&self) -> bool {
        true
    }

    fn writer(&self, _subtask: usize, _parallelism: usize) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(Blackhole))
    }

    fn publisher(&self) -> Result<Box<dyn SinkPublisher>> {
        Ok(Box::new(Blackhole))
    }
}

struct Blackhole;

impl SinkWriter for Blackhole {
    fn write(&mut self, _batch: &ChangeBatch) -> Result<()> {
        Ok(())
    }

    fn buffered_bytes(&self) -> usize {
        0
    }

    fn finish_epoch(&mut self) -> Result<Vec<OutputChunk>> {
        Ok(Vec::new())
    }
}

impl SinkPublisher for Blackhole {
    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    fn publish(&mut self, _publication: Publication, _chunk: &OutputChunk) -> Result<()> {
        Ok(())
    }

    fn finish_epoch(&mut self, _epoch: Epoch) -> Result<()> {
        Ok(())
    }
}
