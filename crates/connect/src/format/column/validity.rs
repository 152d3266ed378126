//! Which entries of a column are null, at no cost where none are.

use arrow_buffer::{NullBuffer, NullBufferBuilder};

/// Validity under construction. There are no bits before the first null.
#[derive(Debug, Default)]
pub(super) struct Validity {
    len: usize,
    bits: Option<Box<NullBufferBuilder>>,
}

impl Validity {
    /// Number of entries.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn append_valid(&mut self) {
        self.len += 1;
        if let Some(bits) = &mut self.bits {
            bits.append_non_null();
        }
    }

    pub(super) fn append_nulls(&mut self, count: usize) {
        let valid = self.len;
        let bits = self.bits.get_or_insert_with(|| {
            let mut bits = NullBufferBuilder::new(valid + count);
            bits.append_n_non_nulls(valid);
            Box::new(bits)
        });
        bits.append_n_nulls(count);
        self.len += count;
    }

    /// Takes all.
    pub(super) fn finish(&mut self) -> Option<NullBuffer> {
        self.len = 0;
        self.bits.take().and_then(|bits| bits.build())
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bits.as_ref().map_or(0, |bits| bits.allocated_size())
    }
}
