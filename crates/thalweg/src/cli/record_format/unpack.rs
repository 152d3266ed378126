//! Pack strings, as in Python's `struct.unpack`: binary fields of a key or value as text.
//! kcat's `-s value=...` and rpk's `%v{unpack[...]}` share this language.

/// A checked pack string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pack(String);

/// The letters, with what they mean.
pub(crate) const LETTERS: &str = "< little endian, > big endian (default), b B 8 bits, h H 16, \
     i I 32, q Q 64 (small letters signed), c . a character, s the rest, $ the end, x skips a byte";

impl Pack {
    /// Checks a pack string.
    ///
    /// # Errors
    /// The first letter that is not known, and its position.
    pub(crate) fn parse(text: &str) -> Result<Self, (usize, String)> {
        if text.is_empty() {
            return Err((0, format!("a pack string is empty; it has {LETTERS}")));
        }
        match text.char_indices().find(|(_, letter)| !" <>bBhHiIqQc.sx$".contains(*letter)) {
            None => Ok(Self(text.to_owned())),
            Some((at, letter)) => {
                Err((at, format!("'{letter}' is not known in a pack string; it has {LETTERS}")))
            }
        }
    }

    /// Appends the unpacked fields of `bytes`.
    ///
    /// # Errors
    /// What does not fit; the fields before it are appended.
    pub(crate) fn write(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let mut rest = bytes;
        let mut little = false;
        for letter in self.0.chars() {
            match letter {
                ' ' => out.push(b' '),
                '<' => little = true,
                '>' => little = false,
                'x' => drop(take(&mut rest, letter, 1)?),
                'c' | '.' => out.extend_from_slice(take(&mut rest, letter, 1)?),
                's' => out.extend_from_slice(std::mem::take(&mut rest)),
                '$' if !rest.is_empty() => {
                    return Err(format!("{} bytes left where the end is expected", rest.len()));
                }
                '$' => {}
                number => out.extend_from_slice(unpacked(&mut rest, number, little)?.as_bytes()),
            }
        }
        Ok(())
    }
}

fn take<'a>(rest: &mut &'a [u8], letter: char, length: usize) -> Result<&'a [u8], String> {
    let Some((taken, after)) = rest.split_at_checked(length) else {
        return Err(format!("'{letter}' needs {length} bytes, {} are left", rest.len()));
    };
    *rest = after;
    Ok(taken)
}

/// The number that a letter stands for, in decimal digits.
fn unpacked(rest: &mut &[u8], letter: char, little: bool) -> Result<String, String> {
    let length = match letter.to_ascii_lowercase() {
        'b' => 1,
        'h' => 2,
        'i' => 4,
        _ => 8,
    };
    let bytes = take(rest, letter, length)?;
    let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    let number = if little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) };
    if letter.is_ascii_uppercase() {
        return Ok(number.to_string());
    }
    // Shifted up and down again, the sign fills what is above the number.
    let above = 64 - 8 * length as u32;
    Ok((((number << above) as i64) >> above).to_string())
}
