//! `-s key=PACK`: binary keys and values turned into text, as kcat does it.

use bytes::Bytes;
use krafka::consumer::ConsumerRecord;

use crate::cli::Failure;
use crate::cli::record_format::Pack;

/// What is unpacked, and how.
#[derive(Debug, Default)]
pub(super) struct Unpacker {
    key: Option<Pack>,
    value: Option<Pack>,
}

impl Unpacker {
    /// Parses the values of `-s`.
    pub(super) fn parse(texts: &[String]) -> Result<Self, Failure> {
        let mut unpacker = Self::default();
        for text in texts {
            let (key, value, pack) = match text.split_once('=') {
                Some(("key", pack)) => (true, false, pack),
                Some(("value", pack)) => (false, true, pack),
                Some((other, _)) => {
                    return Err(Failure::Usage(format!(
                        "-s {text}: '{other}' is neither key nor value"
                    )));
                }
                None => (true, true, text.as_str()),
            };
            if pack.starts_with("avro") {
                return Err(Failure::Usage(format!(
                    "-s {text}: there is no schema registry here; a table with 'format' = \
                     'avro' reads such records in SQL"
                )));
            }
            let pack = Pack::parse(pack)
                .map_err(|(_, error)| Failure::Usage(format!("-s {text}: {error}")))?;
            if key {
                unpacker.key = Some(pack.clone());
            }
            if value {
                unpacker.value = Some(pack);
            }
        }
        Ok(unpacker)
    }

    /// Replaces key and value of a record. Nulls stay.
    ///
    /// # Errors
    /// What does not fit, with the record's place.
    pub(super) fn apply(&self, record: &mut ConsumerRecord) -> Result<(), Failure> {
        let place = format!(
            "topic '{}', partition {}, offset {}",
            record.topic, record.partition, record.offset
        );
        for (pack, field, what) in
            [(&self.key, &mut record.key, "key"), (&self.value, &mut record.value, "value")]
        {
            if let (Some(pack), Some(bytes)) = (pack, field.as_ref()) {
                let mut text = Vec::new();
                pack.write(bytes, &mut text)
                    .map_err(|error| Failure::Running(format!("{place}: {what}: {error}")))?;
                *field = Some(Bytes::from(text));
            }
        }
        Ok(())
    }

    /// Whether nothing is unpacked.
    pub(super) fn is_idle(&self) -> bool {
        self.key.is_none() && self.value.is_none()
    }
}
