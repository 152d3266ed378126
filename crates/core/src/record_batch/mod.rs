//! Record batch v2: the format of records on disk and on the wire.
