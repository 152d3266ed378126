//! Damage to bytes of any format: single bits, lengths and counts, pieces cut out, put in
//! twice or taken from elsewhere.

use thalweg_core::env::Random;

/// Changes bytes in one to four places. `donor` is something of the same kind, of which
/// pieces may be taken.
pub fn mutate(random: &dyn Random, bytes: &mut Vec<u8>, donor: &[u8]) {
    for _ in 0..1 + below(random, 4) {
        change(random, bytes, donor);
    }
}

fn change(random: &dyn Random, bytes: &mut Vec<u8>, donor: &[u8]) {
    let at = place(random, bytes.len());
    match random.below(20) {
        0..3 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        3..7 => overwrite(bytes, at, &[wild(random)]),
        7..12 => {
            let (number, width) = (extreme(random, bytes.len() - at), 1 << random.below(4));
            overwrite(bytes, at, &number.to_be_bytes()[8 - width..]);
        }
        12..14 => overwrite(bytes, at, &varint(extreme(random, bytes.len() - at))),
        14 => bytes.truncate(at),
        15 => {
            let new: Vec<u8> = (0..1 + below(random, 9)).map(|_| wild(random)).collect();
            bytes.splice(at..at, new);
        }
        16 => {
            let end = at + below(random, bytes.len() - at + 1).min(64);
            bytes.drain(at..end);
        }
        17 => {
            let end = at + below(random, bytes.len() - at + 1).min(64);
            let twice = bytes[at..end].to_vec();
            bytes.splice(at..at, twice);
        }
        _ => {
            let from = below(random, donor.len() + 1);
            let end = from + below(random, donor.len() - from + 1).min(64);
            let over = (at + below(random, 64)).min(bytes.len());
            bytes.splice(at..over, donor[from..end].iter().copied());
        }
    }
}

/// A place, more often near the start: there are the headers.
fn place(random: &dyn Random, len: usize) -> usize {
    let near = if random.chance(400_000) { len.min(64) } else { len };
    below(random, near + 1)
}

fn overwrite(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    let end = (at + new.len()).min(bytes.len());
    bytes.splice(at..end, new.iter().copied());
}

/// A number below `bound`; 0 where that is 0.
pub fn below(random: &dyn Random, bound: usize) -> usize {
    random.below(bound as u64) as usize
}

/// One of several.
///
/// # Panics
/// There are none.
pub fn pick<'a, T>(random: &dyn Random, of: &'a [T]) -> &'a T {
    &of[below(random, of.len())]
}

fn wild(random: &dyn Random) -> u8 {
    [0, 1, 2, 0x7e, 0x7f, 0x80, 0xfe, 0xff, random.next_u64() as u8][below(random, 9)]
}

/// A number that somebody may not have thought of; some are near `size`.
pub fn extreme(random: &dyn Random, size: usize) -> i64 {
    let size = size as i64;
    let near = [size - 1, size, size + 1];
    let edges = [i16::MAX.into(), i16::MIN.into(), i32::MAX.into(), i32::MIN.into()];
    let more = [i64::MAX, i64::MIN, i64::MAX - 1, i64::from(u32::MAX), 1 << 24, 100_000];
    match random.below(10) {
        0..4 => *pick(random, &[-2, -1, 0, 1, 2]),
        4..6 => *pick(random, &near),
        6..8 => *pick(random, &edges),
        8 => *pick(random, &more),
        _ => random.next_u64() as i64 >> random.below(64),
    }
}

/// An unsigned number in groups of seven bits, the lowest first.
pub fn varint(value: i64) -> Vec<u8> {
    let (mut value, mut out) = (value as u64, Vec::new());
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

#[cfg(test)]
mod tests {
    use thalweg_core::env::SeededRandom;

    use super::*;

    #[test]
    fn anything_can_be_damaged_and_is() {
        let random = SeededRandom::new(1);
        let mut changed = 0;
        for round in 0..20_000_usize {
            let good: Vec<u8> = (0..round % 40).map(|at| at as u8).collect();
            let mut bytes = good.clone();
            mutate(&random, &mut bytes, &good[..round % 3 * good.len() / 2]);
            changed += usize::from(bytes != good);
        }
        assert!(changed > 15_000, "{changed}");
    }

    #[test]
    fn numbers_are_written_in_groups_of_seven_bits() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(300), [0xac, 2]);
        assert_eq!(varint(-1).len(), 10);
    }
}
