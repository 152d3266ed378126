//! Parameters in binary, as PostgreSQL's receive functions read them.

use super::error::{PgError, Result, sqlstate};
use super::params::{ParamType, ParamValue};

/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH_MICROS: i64 = 10_957 * 86_400_000_000;

/// Reads a value.
pub(super) fn decode(bytes: &[u8], param_type: Option<ParamType>) -> Result<ParamValue> {
    let Some(param_type) = param_type else {
        return Ok(ParamValue::Unknown(utf8(bytes)?));
    };
    let infinite = || {
        PgError::not_supported(format!(
            "infinite values of type {} are not supported",
            param_type.pg_type().name()
        ))
    };
    Ok(match param_type {
        ParamType::Bool => ParamValue::Bool(fixed::<1>(bytes, param_type)? != [0]),
        ParamType::Int2 => {
            ParamValue::Int(i16::from_be_bytes(fixed(bytes, param_type)?).into(), param_type)
        }
        ParamType::Int4 => {
            ParamValue::Int(i32::from_be_bytes(fixed(bytes, param_type)?).into(), param_type)
        }
        ParamType::Int8 => {
            ParamValue::Int(i64::from_be_bytes(fixed(bytes, param_type)?), param_type)
        }
        ParamType::Float4 => {
            ParamValue::Float(f32::from_be_bytes(fixed(bytes, param_type)?).into(), param_type)
        }
        ParamType::Float8 => {
            ParamValue::Float(f64::from_be_bytes(fixed(bytes, param_type)?), param_type)
        }
        ParamType::Numeric => ParamValue::Numeric(numeric(bytes)?),
        ParamType::Text => ParamValue::Text(utf8(bytes)?),
        ParamType::Bytea => ParamValue::Bytes(bytes.to_vec()),
        ParamType::Date => match i32::from_be_bytes(fixed(bytes, param_type)?) {
            i32::MIN | i32::MAX => return Err(infinite()),
            days => ParamValue::Date(days.saturating_add(10_957)),
        },
        ParamType::Time => ParamValue::Time(i64::from_be_bytes(fixed(bytes, param_type)?)),
        ParamType::Timestamp | ParamType::TimestampTz => {
            let micros = i64::from_be_bytes(fixed(bytes, param_type)?);
            if matches!(micros, i64::MIN | i64::MAX) {
                return Err(infinite());
            }
            let micros = micros.saturating_add(EPOCH_MICROS);
            match param_type {
                ParamType::Timestamp => ParamValue::Timestamp(micros),
                _ => ParamValue::Instant(micros),
            }
        }
    })
}

fn invalid(what: &str) -> PgError {
    PgError::new(sqlstate::INVALID_BINARY, format!("incorrect binary data for type {what}"))
}

fn fixed<const N: usize>(bytes: &[u8], param_type: ParamType) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| invalid(param_type.pg_type().name()))
}

pub(super) fn utf8(bytes: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| PgError::new("22021", "a parameter has bytes that are not valid UTF-8"))?;
    Ok(text.to_owned())
}

/// Reads what `numeric_send` writes.
fn numeric(bytes: &[u8]) -> Result<String> {
    let field = |at: usize| {
        let pair = bytes.get(at * 2..at * 2 + 2).ok_or_else(|| invalid("numeric"))?;
        Ok::<_, PgError>(i16::from_be_bytes([pair[0], pair[1]]))
    };
    let (count, weight, sign, scale) = (field(0)?, field(1)?, field(2)?, field(3)?);
    let (Ok(count), Ok(scale)) = (usize::try_from(count), usize::try_from(scale)) else {
        return Err(invalid("numeric"));
    };
    if bytes.len() != 8 + count * 2 || !(-1_000..=1_000).contains(&weight) || scale > 4_000 {
        return Err(invalid("numeric"));
    }
    if !matches!(sign as u16, 0 | 0x4000) {
        return Err(PgError::not_supported("NaN and infinity are not supported as numeric"));
    }
    let group = |power: i16| -> Result<i16> {
        let at = i32::from(weight) - i32::from(power);
        match usize::try_from(at) {
            Ok(at) if at < count => match field(4 + at)? {
                group @ 0..=9_999 => Ok(group),
                _ => Err(invalid("numeric")),
            },
            _ => Ok(0),
        }
    };
    let mut whole = String::new();
    for power in (0..=weight.max(0)).rev() {
        whole.push_str(&format!("{:04}", group(power)?));
    }
    let mut fraction = String::new();
    for power in 1..=scale.div_ceil(4) as i16 {
        fraction.push_str(&format!("{:04}", group(-power)?));
    }
    fraction.truncate(scale);
    let digits = whole.trim_start_matches('0');
    let minus = if sign as u16 == 0x4000 { "-" } else { "" };
    let whole = if digits.is_empty() { "0" } else { digits };
    let point = if fraction.is_empty() { "" } else { "." };
    Ok(format!("{minus}{whole}{point}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[i16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn numerics_are_read_as_they_are_sent() {
        let cases: [(&[i16], &str); 5] = [
            (&[0, 0, 0, 0], "0"),
            (&[3, 1, 0x4000, 1, 1, 2345, 6000], "-12345.6"),
            (&[1, 1, 0, 0, 1], "10000"),
            (&[1, -2, 0, 5, 5000], "0.00005"),
            (&[0, 0, 0, 2], "0.00"),
        ];
        for (sent, text) in cases {
            assert_eq!(numeric(&words(sent)).expect("valid"), text);
        }
    }

    #[test]
    fn wrong_lengths_are_errors() {
        for param_type in [ParamType::Bool, ParamType::Int4, ParamType::Date, ParamType::Numeric] {
            let error = decode(&[1, 2, 3, 4, 5], Some(param_type)).expect_err("five bytes");
            assert_eq!(error.sqlstate, sqlstate::INVALID_BINARY);
        }
        assert!(numeric(&words(&[1, 0, 0, 0, -1])).is_err());
        assert!(numeric(&words(&[2, 0, 0, 0, 1])).is_err(), "a digit is missing");
        assert!(numeric(&words(&[0, 0, 0xC000_u16 as i16, 0])).is_err(), "NaN");
    }
}
