//! Bounds on what input can make us allocate.

/// What may come on top of a multiple of the input.
pub const FLOOR_BYTES: u64 = 1 << 20;
/// How many times its own size an input may take.
pub const TIMES: u64 = 8;
/// Allocations that are made whatever the input is, and for each of its bytes.
const COUNT_FLOOR: u64 = 20_000;

/// What something held and asked for.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// Most bytes held at a time.
    pub peak_bytes: u64,
    /// Allocations, all in all.
    pub count: u64,
}

impl Used {
    /// Checks this against an input of `bytes`: at most [`TIMES`] as many bytes and
    /// [`FLOOR_BYTES`] at a time, and no more than so many allocations.
    ///
    /// # Panics
    /// It was more.
    pub fn check(self, what: &str, bytes: usize) {
        let bytes = bytes as u64;
        let bound = TIMES * bytes + FLOOR_BYTES;
        assert!(self.peak_bytes <= bound, "{what}: {} bytes for {bytes}", self.peak_bytes);
        let bound = TIMES * bytes + COUNT_FLOOR;
        assert!(self.count <= bound, "{what}: {} allocations for {bytes} bytes", self.count);
    }
}

/// Runs something and says what it used. Only this thread is looked at.
pub fn used<T>(run: impl FnOnce() -> T) -> (T, Used) {
    let mut result = None;
    let counted = allocation_counter::measure(|| result = Some(run()));
    let used = Used { peak_bytes: counted.bytes_max, count: counted.count_total };
    match result {
        Some(result) => (result, used),
        None => unreachable!("what is measured runs"),
    }
}

/// Runs something that an input of `bytes` asks for, and checks what it used.
///
/// # Panics
/// It used more than [`Used::check`] allows.
pub fn bounded<T>(what: &str, bytes: usize, run: impl FnOnce() -> T) -> T {
    let (result, used) = used(run);
    used.check(what, bytes);
    result
}

/// Runs something without counting what it allocates: the test's own part.
pub fn uncounted<T>(run: impl FnOnce() -> T) -> T {
    let mut result = None;
    allocation_counter::opt_out(|| result = Some(run()));
    match result {
        Some(result) => result,
        None => unreachable!("what is not measured runs, too"),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn what_is_too_much_is_noticed() {
        let fill = |bytes: usize| move || drop(std::hint::black_box(vec![1_u8; bytes]));
        bounded("just enough", 1_000, fill((1 << 20) + 8_000));
        assert!(catch_unwind(|| bounded("too much", 1_000, fill((1 << 20) + 8_001))).is_err());
        let many = || (0..30_000).for_each(|_| fill(1)());
        bounded("enough input", 2_000, many);
        assert!(catch_unwind(|| bounded("too many", 1_000, many)).is_err());
        bounded("not counted", 0, || uncounted(fill(2 << 20)));
    }
}
