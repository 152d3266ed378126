//! Fuzzing without a fuzzer: inputs are drawn from seeds, so that every one of them can be
//! had again.
//!
//! A target is a plain function of bytes, which panics where something is wrong; a harness
//! of libFuzzer or AFL could call it as well. What was found once stays as a file of the
//! corpus and is tried first.
//!
//! | variable | what it does |
//! |---|---|
//! | `THALWEG_FUZZ_ROUNDS` | how many seeds are tried |
//! | `THALWEG_FUZZ_SEED` | only this one is |
//! | `THALWEG_FUZZ_FROM` | the first seed, so that a long run goes on where one ended |

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use thalweg_core::env::{Env, SeededRandom, read_file};

/// Largest file of a corpus.
const CORPUS_FILE_BYTES_MAX: u64 = 16 << 20;
/// So much of an input is shown; its seed gives all of it.
const SHOWN_BYTES: usize = 16 << 10;

/// A target and where it belongs.
#[derive(Clone, Copy, Debug)]
pub struct Fuzz<'a> {
    /// What is fuzzed. Its corpus is in `tests/corpus/<name>`.
    pub name: &'a str,
    /// The crate's folder: `env!("CARGO_MANIFEST_DIR")`.
    pub folder: &'a str,
    /// The rest of the command that runs the target again: `-p <crate> <test>`.
    pub test: &'a str,
    /// Seeds tried where nobody says how many.
    pub rounds: u64,
}

impl Fuzz<'_> {
    /// Gives the corpus to the target, then what `generate` makes of each seed.
    ///
    /// # Panics
    /// The target did, or the corpus cannot be read.
    pub fn run(&self, generate: impl Fn(&SeededRandom) -> Vec<u8>, target: impl Fn(&[u8])) {
        let attempt = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| target(input))).is_ok();
        for (file, input) in corpus(&Path::new(self.folder).join("tests/corpus").join(self.name)) {
            assert!(attempt(&input), "{}: {file} of the corpus fails again", self.name);
        }
        let only = number("THALWEG_FUZZ_SEED");
        let first = only.or(number("THALWEG_FUZZ_FROM")).unwrap_or(0);
        let rounds = only.map_or(number("THALWEG_FUZZ_ROUNDS").unwrap_or(self.rounds), |_| 1);
        for seed in first..first.saturating_add(rounds) {
            let input = generate(&SeededRandom::for_part(seed, 77));
            assert!(
                attempt(&input),
                "{name}: seed {seed} fails; replay it: THALWEG_FUZZ_SEED={seed} cargo test {test}\n\
                 its {length} bytes, to be kept as tests/corpus/{name}/<what-it-is>.hex:\n{hex}",
                name = self.name,
                test = self.test,
                length = input.len(),
                hex = to_hex(&input[..input.len().min(SHOWN_BYTES)]),
            );
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The files of a corpus in the order of their names; none where there is no folder.
fn corpus(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let disk = Env::real().disk;
    let mut names: Vec<String> = match disk.list(folder) {
        Ok(entries) => entries.into_iter().map(|entry| entry.name).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => panic!("{}: {error}", folder.display()),
    };
    names.sort();
    let read = |name: String| {
        let text = read_file(&*disk, &folder.join(&name), CORPUS_FILE_BYTES_MAX);
        let text = text.unwrap_or_else(|error| panic!("{name}: {error}"));
        let bytes = from_hex(&String::from_utf8_lossy(&text));
        let bytes = bytes.unwrap_or_else(|| panic!("{name}: not hexadecimal"));
        (name, bytes)
    };
    names.into_iter().map(read).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| -> String { line.iter().map(|byte| format!("{byte:02x}")).collect() };
    bytes.chunks(48).map(line).collect::<Vec<_>>().join("\n")
}

/// Bytes of hexadecimal text. Lines that begin with `#` say what it is.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits: Vec<u32> = lines
        .flat_map(str::chars)
        .filter(|character| !character.is_whitespace())
        .map(|character| character.to_digit(16))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| (high << 4 | low) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_said_with_its_seed_and_bytes() {
        let fuzz = Fuzz { name: "none", folder: "/none", test: "-p none", rounds: 100 };
        let generate = |random: &SeededRandom| {
            use thalweg_core::env::Random;
            vec![random.below(16) as u8]
        };
        fuzz.run(generate, |input| assert!(input[0] < 16));
        let failed = catch_unwind(|| fuzz.run(generate, |input| assert_ne!(input[0], 7)));
        let failed = failed.expect_err("7 comes up");
        let said = failed.downcast_ref::<String>().expect("words");
        assert!(said.contains("THALWEG_FUZZ_SEED=") && said.ends_with("\n07"), "{said}");
    }

    #[test]
    fn hexadecimal_text_is_read_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&format!("# all\n{}\n", to_hex(&bytes))), Some(bytes));
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("0g"), None);
    }
}
