//! Key groups: the fixed number of parts into which a job's keyed state is cut.
//!
//! The unit of state movement in both modes of the engine (compare Flink's key
//! groups). A key's group follows from a specified hash of its canonical bytes and
//! so never changes between processes, versions and machines.

use std::ops::Range;

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
/// `key_groups` must not be 0, and `group` is below it.
pub fn owner(group: KeyGroup, key_groups: u16, parallelism: usize) -> usize {
    usize::from(group) * parallelism / usize::from(key_groups)
}

/// The groups that subtask `subtask` of `parallelism` owns: the inverse of [`owner`].
/// `parallelism` must not be 0, and `subtask` is below it.
pub fn owned_groups(subtask: usize, key_groups: u16, parallelism: usize) -> Range<KeyGroup> {
    let start = |subtask: usize| (subtask * usize::from(key_groups)).div_ceil(parallelism) as u16;
    start(subtask)..start(subtask + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored state depends on these values: they must never change. The hashes were
    /// checked against the reference implementation of XXH3 (`xxhash` 0.8, in C).
    #[test]
    fn golden_groups() {
        let long = [b'x'; 300];
        let golden: [(&[u8], u16, u16); 7] = [
            (b"", 22, 5_763),
            (b"a", 115, 29_539),
            (b"sensor-1", 93, 23_938),
            (b"sensor-2", 122, 31_331),
            (&[0; 8], 99, 25_533),
            ("Zürich".as_bytes(), 5, 1_490),
            (&long, 82, 21_224),
        ];
        for (key, of_128, of_32768) in golden {
            assert_eq!(key_group(key, 128), of_128, "{key:?}");
            assert_eq!(key_group(key, 32_768), of_32768, "{key:?}");
        }
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

    #[test]
    fn owned_groups_are_what_owners_say() {
        for (key_groups, parallelism) in [(128, 1), (128, 3), (128, 128), (7, 3), (4096, 100)] {
            for subtask in 0..parallelism {
                let said: Vec<_> = (0..key_groups)
                    .filter(|&g| owner(g, key_groups, parallelism) == subtask)
                    .collect();
                let owned: Vec<_> = owned_groups(subtask, key_groups, parallelism).collect();
                assert_eq!(owned, said, "subtask {subtask} of {parallelism}");
            }
        }
    }
}
