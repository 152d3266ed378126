//! Offsets in a file: `TOPIC PARTITION OFFSET` a line, as rpk has it, or with commas, as
//! kafka-consumer-groups has it.

use krafka::consumer::TopicPartition;

/// Parses the lines of a file.
///
/// # Errors
/// The first line that is none, with its number.
pub(super) fn parse(text: &str) -> Result<Vec<(TopicPartition, i64)>, String> {
    let mut offsets = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let separator = |c: char| c == ',' || c.is_whitespace();
        let fields: Vec<&str> = line.split(separator).filter(|field| !field.is_empty()).collect();
        let parsed = match fields[..] {
            [topic, partition, offset] => partition.parse().ok().zip(offset.parse().ok()).map(
                |(partition, offset): (i32, i64)| (TopicPartition::new(topic, partition), offset),
            ),
            _ => None,
        };
        match parsed {
            Some((place, offset)) if place.partition() >= 0 && offset >= 0 => {
                offsets.push((place, offset));
            }
            _ => return Err(format!("line {}: '{line}' is not TOPIC PARTITION OFFSET", index + 1)),
        }
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_and_the_first_mistake() {
        let offsets = parse("a 0 5\n\na\t1\t7\nb,0,9\n").expect("offsets");
        let expected = [("a", 0, 5), ("a", 1, 7), ("b", 0, 9)]
            .map(|(topic, partition, offset)| (TopicPartition::new(topic, partition), offset));
        assert_eq!(offsets, expected);
        assert!(parse("a 0 1\na 0\n").expect_err("too few").starts_with("line 2: 'a 0'"));
        assert!(parse("a 0 -1").is_err());
    }
}
