//! Options of `WITH (...)`: which there are, what they say, and what was meant by others.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

/// An option that a connector or format knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Known {
    /// Its name; `#` stands for one name, `*` at the end for anything.
    pub(crate) name: &'static str,
    /// Whether it must be there.
    pub(crate) required: bool,
}

impl Known {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, required: false }
    }

    pub(crate) const fn required(name: &'static str) -> Self {
        Self { name, required: true }
    }
}

/// Whether a name is meant by a pattern of [`Known::name`].
fn matches(pattern: &str, name: &str) -> bool {
    if let Some(prefix) = pattern.strip_suffix('*') {
        return name.starts_with(prefix);
    }
    match pattern.split_once('#') {
        // A field's name may hold dots itself.
        Some((before, after)) => name
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|field| !field.is_empty()),
        None => pattern == name,
    }
}

/// The options of a table under a prefix.
#[derive(Clone, Debug)]
pub(crate) struct Options<'a> {
    all: &'a BTreeMap<String, String>,
    prefix: String,
}

impl<'a> Options<'a> {
    pub(crate) fn new(all: &'a BTreeMap<String, String>) -> Self {
        Self { all, prefix: String::new() }
    }

    /// Those whose names start with `prefix`, without it.
    pub(crate) fn under(&self, prefix: &str) -> Self {
        Self { all: self.all, prefix: format!("{}{prefix}", self.prefix) }
    }

    /// The full name of an option.
    pub(crate) fn name(&self, option: &str) -> String {
        format!("{}{option}", self.prefix)
    }

    pub(crate) fn get(&self, option: &str) -> Option<&'a str> {
        if self.prefix.is_empty() {
            return self.all.get(option).map(String::as_str);
        }
        self.all.get(&self.name(option)).map(String::as_str)
    }

    pub(crate) fn required(&self, option: &str) -> Result<&'a str> {
        self.get(option).ok_or_else(|| {
            StreamError::Invalid(format!("option '{}' is required", self.name(option)))
        })
    }

    /// An error about an option's value.
    pub(crate) fn wrong(&self, option: &str, expected: impl Display) -> StreamError {
        let value = self.get(option).unwrap_or_default();
        StreamError::Invalid(format!(
            "option '{}' = '{value}': expected {expected}",
            self.name(option)
        ))
    }

    pub(crate) fn bool(&self, option: &str, default: bool) -> Result<bool> {
        match self.get(option).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(self.wrong(option, "true or false")),
        }
    }

    /// A number, in a range that its type gives.
    pub(crate) fn number<T: FromStr>(&self, option: &str) -> Result<Option<T>> {
        self.get(option)
            .map(|value| value.trim().parse().map_err(|_| self.wrong(option, "a number")))
            .transpose()
    }

    /// One of several names, in any case.
    pub(crate) fn choice<T: Copy>(
        &self,
        option: &str,
        names: &[(&str, T)],
        default: T,
    ) -> Result<T> {
        let Some(value) = self.get(option) else { return Ok(default) };
        let found = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(value));
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            self.wrong(option, format!("one of {}", names.join(", ")))
        })
    }

    /// One character; escapes such as `\t` and `\u0001` are understood.
    pub(crate) fn character(&self, option: &str) -> Result<Option<char>> {
        let Some(value) = self.get(option) else { return Ok(None) };
        let resolved = match value {
            "\\t" => Some('\t'),
            "\\n" => Some('\n'),
            "\\r" => Some('\r'),
            "\\\\" => Some('\\'),
            value if value.starts_with("\\u") && value.len() == 6 => {
                u32::from_str_radix(&value[2..], 16).ok().and_then(char::from_u32)
            }
            value => {
                let mut characters = value.chars();
                characters.next().filter(|_| characters.next().is_none())
            }
        };
        resolved.map(Some).ok_or_else(|| self.wrong(option, "a single character"))
    }

    /// A time span such as `10 s`, in milliseconds; without a unit it is milliseconds.
    pub(crate) fn duration_ms(&self, option: &str) -> Result<Option<u64>> {
        let Some(value) = self.get(option) else { return Ok(None) };
        let value = value.trim();
        let digits = value.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = value.split_at(digits);
        let factor = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => Some(1),
            "s" | "sec" | "secs" | "second" | "seconds" => Some(1000),
            "m" | "min" | "minute" | "minutes" => Some(60_000),
            "h" | "hour" | "hours" => Some(3_600_000),
            "d" | "day" | "days" => Some(86_400_000),
            _ => None,
        };
        number
            .parse::<u64>()
            .ok()
            .zip(factor)
            .and_then(|(number, factor)| number.checked_mul(factor))
            .map(Some)
            .ok_or_else(|| self.wrong(option, "a time span such as '10 s'"))
    }
}

/// Checks that each option is known and the required ones are there. `known` gives the
/// options with their prefixes.
pub(crate) fn check(
    options: &BTreeMap<String, String>,
    known: &[(String, Known)],
    what: &str,
) -> Result<()> {
    let full: Vec<String> =
        known.iter().map(|(prefix, known)| format!("{prefix}{}", known.name)).collect();
    for name in options.keys() {
        if !full.iter().any(|pattern| matches(pattern, name)) {
            let hint = suggestion(name, full.iter().map(String::as_str));
            return Err(StreamError::Invalid(format!("unknown option '{name}' for {what}{hint}")));
        }
    }
    for ((_, known), name) in known.iter().zip(&full) {
        if known.required && !options.contains_key(name) {
            return Err(StreamError::Invalid(format!("option '{name}' is required for {what}")));
        }
    }
    Ok(())
}

/// `; did you mean 'x'?` where a name is close to one of the candidates, else nothing.
pub(crate) fn suggestion<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    let lower = name.to_ascii_lowercase();
    let closest = candidates
        .map(|candidate| (distance(&lower, &candidate.to_ascii_lowercase()), candidate))
        .min()
        .filter(|(distance, _)| *distance <= (name.len() / 3).max(2));
    closest.map(|(_, candidate)| format!("; did you mean '{candidate}'?")).unwrap_or_default()
}

/// How many characters must be changed to turn one text into another (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, left) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, &right) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(options: &[(&str, &str)]) -> BTreeMap<String, String> {
        options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn unknown_and_missing_options_are_named() {
        let known = [
            (String::new(), Known::required("topic")),
            (String::new(), Known::new("fields.#.kind")),
            (String::new(), Known::new("properties.*")),
            ("json.".to_owned(), Known::new("ignore-parse-errors")),
        ];
        let check = |options: &[(&str, &str)]| {
            check(&table(options), &known, "connector 'kafka'").map_err(|error| error.to_string())
        };
        assert_eq!(
            check(&[("topic", "t"), ("fields.a.b.kind", "random"), ("properties.x", "1")]),
            Ok(())
        );
        assert_eq!(
            check(&[("topic", "t"), ("json.ignore-parse-error", "true")]).unwrap_err(),
            "unknown option 'json.ignore-parse-error' for connector 'kafka'; \
             did you mean 'json.ignore-parse-errors'?"
        );
        assert_eq!(
            check(&[("topic", "t"), ("colour", "red")]).unwrap_err(),
            "unknown option 'colour' for connector 'kafka'"
        );
        assert_eq!(
            check(&[("properties.x", "1")]).unwrap_err(),
            "option 'topic' is required for connector 'kafka'"
        );
    }

    #[test]
    fn values_of_every_kind() {
        let table = table(&[
            ("b", "TRUE"),
            ("n", "12"),
            ("d", "10 s"),
            ("e", "1min"),
            ("c", "\\t"),
            ("u", "\\u0001"),
            ("w", "later"),
        ]);
        let options = Options::new(&table);
        assert!(options.bool("b", false).unwrap());
        assert_eq!(options.number::<u8>("n").unwrap(), Some(12));
        assert_eq!(options.duration_ms("d").unwrap(), Some(10_000));
        assert_eq!(options.duration_ms("e").unwrap(), Some(60_000));
        assert_eq!(options.character("c").unwrap(), Some('\t'));
        assert_eq!(options.character("u").unwrap(), Some('\u{1}'));
        for error in [
            options.bool("w", true).unwrap_err(),
            options.number::<u8>("w").unwrap_err(),
            options.duration_ms("w").unwrap_err(),
            options.character("w").unwrap_err(),
            options.choice("w", &[("now", 1)], 1).unwrap_err(),
        ] {
            assert!(error.to_string().starts_with("option 'w' = 'later': expected "), "{error}");
        }
    }
}
