//! Date and time patterns in the syntax of Java's `DateTimeFormatter`, as
//! `DATE_FORMAT` and `TO_TIMESTAMP` take them.

use crate::functions::calendar::{
    self, Date, MILLIS_PER_DAY, MILLIS_PER_HOUR, MILLIS_PER_MINUTE, MILLIS_PER_SECOND,
};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A compiled pattern.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Pattern {
    items: Vec<Item>,
}

#[derive(Clone, PartialEq, Debug)]
enum Item {
    Literal(String),
    /// A letter and how often it stands.
    Field(char, usize),
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Letters that are not supported or too many, an open quote.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut items: Vec<Item> = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\'' => items.push(Item::Literal(quoted(&mut chars, text)?)),
                c if c.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while chars.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    let most = if matches!(c, 'y' | 'u') { 19 } else { 9 };
                    if count > most {
                        return Err(format!("pattern '{text}' has too many letters `{c}`"));
                    }
                    if !"yuMLdDHhkKmsSaEe".contains(c) {
                        return Err(format!(
                            "the letter `{c}` of pattern '{text}' is not supported"
                        ));
                    }
                    items.push(Item::Field(c, count));
                }
                c => match items.last_mut() {
                    Some(Item::Literal(literal)) => literal.push(c),
                    _ => items.push(Item::Literal(c.to_string())),
                },
            }
        }
        Ok(Self { items })
    }

    /// Writes a wall-clock time given in milliseconds.
    pub(crate) fn write(&self, millis: i64, out: &mut String) {
        let (days, of_day) = calendar::split_millis(millis);
        let date = Date::from_days(days);
        for item in &self.items {
            match item {
                Item::Literal(literal) => out.push_str(literal),
                Item::Field(letter, count) => {
                    write_field(out, *letter, *count, date, days, of_day);
                }
            }
        }
    }

    /// Reads a text that has exactly this form; milliseconds.
    pub(crate) fn read(&self, text: &str) -> Option<i64> {
        let mut parsed = Parsed::default();
        let mut rest = text;
        for (number, item) in self.items.iter().enumerate() {
            match item {
                Item::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Item::Field(letter, count) => {
                    // Digits run together where the next item is a number too.
                    let adjacent = matches!(self.items.get(number + 1), Some(Item::Field(..)));
                    rest = parsed.read(*letter, *count, adjacent, rest)?;
                }
            }
        }
        if !rest.is_empty() {
            return None;
        }
        parsed.millis()
    }
}

/// Text between single quotes; two of them are one.
fn quoted(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    text: &str,
) -> Result<String, String> {
    let mut literal = String::new();
    if chars.next_if_eq(&'\'').is_some() {
        return Ok("'".to_owned());
    }
    loop {
        match chars.next() {
            Some('\'') if chars.next_if_eq(&'\'').is_some() => literal.push('\''),
            Some('\'') => return Ok(literal),
            Some(c) => literal.push(c),
            None => return Err(format!("a quote in pattern '{text}' is not closed")),
        }
    }
}

fn write_field(out: &mut String, letter: char, count: usize, date: Date, days: i64, of_day: i64) {
    let hour = of_day / MILLIS_PER_HOUR;
    let number = |out: &mut String, value: i64| calendar::push_padded(out, value, count);
    match letter {
        'y' | 'u' if count == 2 => number(out, date.year.rem_euclid(100)),
        'y' | 'u' => number(out, date.year),
        'M' | 'L' if count == 3 => out.push_str(&MONTHS[date.month as usize - 1][..3]),
        'M' | 'L' if count > 3 => out.push_str(MONTHS[date.month as usize - 1]),
        'M' | 'L' => number(out, i64::from(date.month)),
        'd' => number(out, i64::from(date.day)),
        'D' => number(out, date.day_of_year()),
        'H' => number(out, hour),
        'k' => number(out, if hour == 0 { 24 } else { hour }),
        'K' => number(out, hour % 12),
        'h' => number(out, if hour % 12 == 0 { 12 } else { hour % 12 }),
        'm' => number(out, of_day / MILLIS_PER_MINUTE % 60),
        's' => number(out, of_day / MILLIS_PER_SECOND % 60),
        'S' => {
            // A fraction of the second, to `count` digits.
            let digits = format!("{:03}000000", of_day % 1000);
            out.push_str(&digits[..count.min(9)]);
        }
        'a' => out.push_str(if hour < 12 { "AM" } else { "PM" }),
        'e' => number(out, calendar::iso_weekday(days) % 7 + 1),
        'E' => {
            let name = DAYS[calendar::iso_weekday(days) as usize - 1];
            out.push_str(if count > 3 { name } else { &name[..3] });
        }
        _ => {}
    }
}

/// Fields that were read so far.
#[derive(Default)]
struct Parsed {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    hour: i64,
    half_day: Option<bool>,
    minute: i64,
    second: i64,
    milli: i64,
}

impl Parsed {
    fn read<'a>(
        &mut self,
        letter: char,
        count: usize,
        adjacent: bool,
        text: &'a str,
    ) -> Option<&'a str> {
        match letter {
            'a' => {
                let half = text.get(..2)?;
                self.half_day = Some(match half.to_ascii_uppercase().as_str() {
                    "AM" => false,
                    "PM" => true,
                    _ => return None,
                });
                return Some(&text[2..]);
            }
            'M' | 'L' if count >= 3 => {
                let (number, rest) = read_name(&MONTHS, count > 3, text)?;
                self.month = Some(number);
                return Some(rest);
            }
            'E' => return read_name(&DAYS, count > 3, text).map(|(_, rest)| rest),
            'S' => {
                let digits = text.get(..count).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
                let padded = format!("{digits:0<3}");
                self.milli = padded[..3].parse().ok()?;
                return Some(&text[count..]);
            }
            _ => {}
        }
        let most = match (letter, count) {
            (_, count) if adjacent => count,
            ('y' | 'u', 4..) => 9,
            (_, 1) => 9,
            (_, count) => count,
        };
        let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if length < count.min(most) || length == 0 {
            return None;
        }
        let value: i64 = text[..length].parse().ok()?;
        self.set(letter, count, value)?;
        Some(&text[length..])
    }

    fn set(&mut self, letter: char, count: usize, value: i64) -> Option<()> {
        match letter {
            'y' | 'u' if count == 2 => self.year = Some(2000 + value),
            'y' | 'u' => self.year = Some(value),
            'M' | 'L' => self.month = Some(value),
            'd' => self.day = Some(value),
            'H' if value < 24 => self.hour = value,
            'k' if value <= 24 => self.hour = value % 24,
            'h' | 'K' if value <= 12 => self.hour = value % 12,
            'm' if value < 60 => self.minute = value,
            's' if value < 60 => self.second = value,
            _ => return None,
        }
        Some(())
    }

    fn millis(&self) -> Option<i64> {
        let month = u32::try_from(self.month.unwrap_or(1)).ok()?;
        let day = u32::try_from(self.day.unwrap_or(1)).ok()?;
        let date = Date::checked(self.year.unwrap_or(1970), month, day)?;
        let hour = self.hour + if self.half_day == Some(true) { 12 } else { 0 };
        Some(
            date.to_days() * MILLIS_PER_DAY
                + hour * MILLIS_PER_HOUR
                + self.minute * MILLIS_PER_MINUTE
                + self.second * MILLIS_PER_SECOND
                + self.milli,
        )
    }
}

/// A month's or day's English name; its number from 1.
fn read_name<'a>(names: &[&str], full: bool, text: &'a str) -> Option<(i64, &'a str)> {
    (1..).zip(names).find_map(|(number, name)| {
        let name = if full { name } else { &name[..3] };
        let start = text.get(..name.len())?;
        start.eq_ignore_ascii_case(name).then(|| (number, &text[name.len()..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, millis: i64, text: &str) {
        let pattern = Pattern::parse(pattern).unwrap();
        let mut out = String::new();
        pattern.write(millis, &mut out);
        assert_eq!(out, text);
        assert_eq!(pattern.read(text), Some(millis), "{text}");
    }

    #[test]
    fn writes_and_reads() {
        // 2024-03-09 15:04:05.678, a Saturday
        let millis = 1_709_996_645_678;
        check("yyyy-MM-dd HH:mm:ss.SSS", millis, "2024-03-09 15:04:05.678");
        check("yyyyMMddHHmmssSSS", millis, "20240309150405678");
        check("EEE, d MMM yyyy h:mm:ss.SSS a", millis, "Sat, 9 Mar 2024 3:04:05.678 PM");
        check("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", millis, "2024-03-09T15:04:05.678Z");
        assert!(Pattern::parse("yyyy-ww").is_err());
        assert!(Pattern::parse("yyyy'T").is_err());
        assert_eq!(Pattern::parse("yyyy-MM-dd").unwrap().read("2024-02-30"), None);
    }
}
