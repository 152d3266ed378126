//! Key groups: the fixed number of parts into which a job's keyed state is cut.
//!
//! The unit of state movement in both modes of the engine (compare Flink's key
//! groups). A key's group follows from a specified hash of its canonical bytes and
//! so never changes between processes, versions and machines.

/// Number of a key group, below the job's count of key groups.
pub type KeyGroup = u16;

/// Key groups of a job unless it says otherwise; Flink's default as well.
pub const DEFAULT_KEY_GROUPS: u16 = 128;

/// The group of a key, given the key's canonical bytes: XXH3-64 with seed 0, reduced
/// by multiplication (Lemire) on its upper 32 bits.
pub fn key_group(canonical_key: &[u8], key_groups: u16) -> KeyGroup {
    key_group_of_hash(xxhash_rust::xxh3::xxh3_64(canonical_key), key_groups)
}

/// As [`key_group`], for a hash that is already at hand.
pub fn key_group_of_hash(hash: u64, key_groups: u16) -> KeyGroup {
    (((hash >> 32) * u64::from(key_groups)) >> 32) as u16
}

/// Which of `parallelism` subtasks owns a key group: contiguous ranges, as in Flink.
pub fn owner(group: KeyGroup, key_groups: u16, parallelism: usize) -> usize {
    usize::from(group) * parallelism / usize::from(key_groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored state depends on these values: they must never change.
    #[test]
    fn golden_groups() {
        let groups: Vec<_> =
            [&b""[..], b"a", b"sensor-1", b"sensor-2"].iter().map(|k| key_group(k, 128)).collect();
        assert_eq!(groups, [22, 115, 34, 60]);
    }

    #[test]
    fn owners_are_contiguous_and_cover_every_subtask() {
        for parallelism in 1..=7 {
            let owners: Vec<_> = (0..128).map(|g| owner(g, 128, parallelism)).collect();
            assert!(owners.is_sorted());
            assert_eq!(owners[0], 0);
            assert_eq!(owners[127], parallelism - 1);
        }
    }
}
