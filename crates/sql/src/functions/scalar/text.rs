//! Text. Positions count characters from 1, as in SQL.

use datafusion::arrow::datatypes::Int32Type;

use super::kernel;
use super::operators::int_of_text;
use crate::functions::signature::{Arguments, BindResult, Bound, FunctionDef, Want};
use crate::functions::values::{
    Bytes, Ints, Kernel, Text, bools, bytes, check_value_bytes, numbers, texts,
};
use crate::types::SqlType;

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    kernel("upper", &["ucase"], "UPPER(text)", |arguments| {
        map(arguments, |text, out| out.push_str(&text.to_uppercase()))
    }),
    kernel("lower", &["lcase"], "LOWER(text)", |arguments| {
        map(arguments, |text, out| out.push_str(&text.to_lowercase()))
    }),
    kernel("initcap", &[], "INITCAP(text)", |arguments| map(arguments, initcap)),
    kernel("reverse", &[], "REVERSE(text)", |arguments| {
        map(arguments, |text, out| out.extend(text.chars().rev()))
    }),
    kernel("char_length", &["character_length", "length"], "CHAR_LENGTH(text)", |arguments| {
        int_of_text(arguments, |text| text.chars().count() as i32)
    }),
    kernel("octet_length", &[], "OCTET_LENGTH(text)", |arguments| {
        int_of_text(arguments, |text| text.len() as i32)
    }),
    kernel("ascii", &[], "ASCII(text)", |arguments| {
        int_of_text(arguments, |text| text.bytes().next().map_or(0, i32::from))
    }),
    kernel("chr", &[], "CHR(number)", |arguments| {
        let params = arguments.expect(&[Want::Int], 0)?;
        let kernel = Kernel::new(|arguments, rows| {
            let code = Ints::of(&arguments[0])?;
            texts(rows, |row, out| {
                let Some(code) = code.get(row) else { return Ok(false) };
                if code >= 0 {
                    out.push(char::from((code & 0xff) as u8));
                }
                Ok(true)
            })
        });
        Ok(Bound::new(params, SqlType::STRING, kernel))
    }),
    kernel("concat", &[], "CONCAT(a, ...)", concat),
    kernel("concat_ws", &[], "CONCAT_WS(separator, a, ...)", concat_ws),
    kernel("substring", &["substr"], "SUBSTRING(text FROM start [FOR length])", substring),
    kernel("left", &[], "LEFT(text, length)", |arguments| ends(arguments, true)),
    kernel("right", &[], "RIGHT(text, length)", |arguments| ends(arguments, false)),
    kernel("trim", &[], "TRIM([BOTH | LEADING | TRAILING] [what FROM] text)", |arguments| {
        trim(arguments, true, true)
    }),
    kernel("btrim", &[], "BTRIM(text[, what])", |arguments| trim(arguments, true, true)),
    kernel("ltrim", &[], "LTRIM(text[, what])", |arguments| trim(arguments, true, false)),
    kernel("rtrim", &[], "RTRIM(text[, what])", |arguments| trim(arguments, false, true)),
    kernel("lpad", &[], "LPAD(text, length, pad)", |arguments| pad(arguments, true)),
    kernel("rpad", &[], "RPAD(text, length, pad)", |arguments| pad(arguments, false)),
    kernel("repeat", &[], "REPEAT(text, times)", |arguments| {
        let params = arguments.expect(&[Want::Text, Want::Int], 0)?;
        let kernel = Kernel::new(|arguments, rows| {
            let (text, times) = (Text::of(&arguments[0])?, Ints::of(&arguments[1])?);
            texts(rows, |row, out| {
                let (Some(text), Some(times)) = (text.get(row), times.get(row)) else {
                    return Ok(false);
                };
                let times = usize::try_from(times).unwrap_or(0);
                check_value_bytes(text.len().saturating_mul(times))?;
                out.extend(std::iter::repeat_n(text, times));
                Ok(true)
            })
        });
        Ok(Bound::new(params, SqlType::STRING, kernel).fallible())
    }),
    kernel("replace", &[], "REPLACE(text, search, replacement)", replace),
    kernel("translate", &["translate3"], "TRANSLATE(text, from, to)", translate),
    kernel("position", &["locate"], "POSITION(search IN text)", |arguments| {
        position(arguments, 0, 1)
    }),
    kernel("instr", &[], "INSTR(text, search)", |arguments| position(arguments, 1, 0)),
    kernel("overlay", &[], "OVERLAY(text PLACING new FROM start [FOR length])", overlay),
    kernel("split_index", &[], "SPLIT_INDEX(text, separator, index)", split_index),
    kernel("count_char", &[], "COUNT_CHAR(text, char)", |arguments| {
        let params = arguments.expect(&[Want::Text, Want::Text], 0)?;
        let kernel = Kernel::new(|arguments, rows| {
            let (text, wanted) = (Text::of(&arguments[0])?, Text::of(&arguments[1])?);
            numbers::<datafusion::arrow::datatypes::Int64Type>(rows, |row| {
                let pair = text.get(row).zip(wanted.get(row).and_then(|text| text.chars().next()));
                Ok(pair.map(|(text, wanted)| text.chars().filter(|c| *c == wanted).count() as i64))
            })
        });
        Ok(Bound::new(params, SqlType::BigInt, kernel))
    }),
    kernel("startswith", &["starts_with"], "STARTSWITH(text, prefix)", |arguments| {
        test(arguments, |text, part| text.starts_with(part))
    }),
    kernel("endswith", &["ends_with"], "ENDSWITH(text, suffix)", |arguments| {
        test(arguments, |text, part| text.ends_with(part))
    }),
    kernel("encode", &[], "ENCODE(text, charset)", |arguments| {
        let params = arguments.expect(&[Want::Text, Want::Text], 0)?;
        let kernel = Kernel::new(|arguments, rows| {
            let (text, charset) = (Text::of(&arguments[0])?, Text::of(&arguments[1])?);
            bytes(rows, |row| {
                let (Some(text), Some(charset)) = (text.get(row), charset.get(row)) else {
                    return Ok(None);
                };
                utf8_only(charset)?;
                Ok(Some(text.as_bytes().to_vec()))
            })
        });
        Ok(Bound::new(params, SqlType::BYTES, kernel).fallible())
    }),
    kernel("decode", &[], "DECODE(bytes, charset)", |arguments| {
        let params = arguments.expect(&[Want::Bytes, Want::Text], 0)?;
        let kernel = Kernel::new(|arguments, rows| {
            let (value, charset) = (Bytes::of(&arguments[0])?, Text::of(&arguments[1])?);
            texts(rows, |row, out| {
                let (Some(value), Some(charset)) = (value.get(row), charset.get(row)) else {
                    return Ok(false);
                };
                utf8_only(charset)?;
                out.push_str(&String::from_utf8_lossy(value));
                Ok(true)
            })
        });
        Ok(Bound::new(params, SqlType::STRING, kernel).fallible())
    }),
];

fn utf8_only(charset: &str) -> Result<(), String> {
    match charset.to_ascii_uppercase().as_str() {
        "UTF-8" | "UTF8" | "US-ASCII" => Ok(()),
        _ => Err(format!("charset '{charset}' is not supported, only UTF-8")),
    }
}

/// Text to text.
fn map(arguments: &Arguments<'_>, write: fn(&str, &mut String)) -> BindResult {
    let params = arguments.expect(&[Want::Text], 0)?;
    let kernel = Kernel::new(move |arguments, rows| {
        let text = Text::of(&arguments[0])?;
        texts(rows, |row, out| {
            let Some(text) = text.get(row) else { return Ok(false) };
            write(text, out);
            Ok(true)
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}

fn test(arguments: &Arguments<'_>, test: fn(&str, &str) -> bool) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Text], 0)?;
    let kernel = Kernel::new(move |arguments, rows| {
        let (text, part) = (Text::of(&arguments[0])?, Text::of(&arguments[1])?);
        bools(rows, |row| Ok(text.get(row).zip(part.get(row)).map(|(text, part)| test(text, part))))
    });
    Ok(Bound::new(params, SqlType::Boolean, kernel))
}

fn initcap(text: &str, out: &mut String) {
    let mut in_word = false;
    for c in text.chars() {
        if in_word {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        in_word = c.is_alphanumeric();
    }
}

/// Null if one is null.
fn concat(arguments: &Arguments<'_>) -> BindResult {
    let params = arguments.expect_all(Want::AnyAsText, 1)?;
    let kernel = Kernel::new(|arguments, rows| {
        let parts = arguments.iter().map(Text::of).collect::<Result<Vec<_>, _>>()?;
        texts(rows, |row, out| {
            for part in &parts {
                let Some(part) = part.get(row) else { return Ok(false) };
                out.push_str(part);
            }
            Ok(true)
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}

/// Null arguments are left out; null only if the separator is.
fn concat_ws(arguments: &Arguments<'_>) -> BindResult {
    let params = arguments.expect_all(Want::AnyAsText, 1)?;
    let kernel = Kernel::new(|arguments, rows| {
        let parts = arguments.iter().map(Text::of).collect::<Result<Vec<_>, _>>()?;
        texts(rows, |row, out| {
            let Some(separator) = parts[0].get(row) else { return Ok(false) };
            let mut first = true;
            for part in parts[1..].iter().filter_map(|part| part.get(row)) {
                if !std::mem::take(&mut first) {
                    out.push_str(separator);
                }
                out.push_str(part);
            }
            Ok(true)
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}

/// The characters `skip..skip + take`.
fn slice(text: &str, skip: usize, take: usize) -> &str {
    let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    let Some(start) = starts.nth(skip) else { return "" };
    if take == 0 {
        return "";
    }
    let end = starts.nth(take - 1).unwrap_or(text.len());
    &text[start..end]
}

/// From `start`, negative from the end, 0 like 1; null for a negative length.
fn substring(arguments: &Arguments<'_>) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Int, Want::Int], 1)?;
    let kernel = Kernel::new(|arguments, rows| {
        let (text, start) = (Text::of(&arguments[0])?, Ints::of(&arguments[1])?);
        let length = arguments.get(2).map(Ints::of).transpose()?;
        texts(rows, |row, out| {
            let (Some(text), Some(start)) = (text.get(row), start.get(row)) else {
                return Ok(false);
            };
            let take = match &length {
                None => usize::MAX,
                Some(length) => match length.get(row).map(usize::try_from) {
                    Some(Ok(length)) => length,
                    _ => return Ok(false),
                },
            };
            let skip = match start {
                1.. => start as usize - 1,
                0 => 0,
                _ => match text.chars().count().checked_sub(start.unsigned_abs() as usize) {
                    Some(skip) => skip,
                    None => return Ok(true),
                },
            };
            out.push_str(slice(text, skip, take));
            Ok(true)
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}

fn ends(arguments: &Arguments<'_>, left: bool) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Int], 0)?;
    let kernel = Kernel::new(move |arguments, rows| {
        let (text, length) = (Text::of(&arguments[0])?, Ints::of(&arguments[1])?);
        texts(rows, |row, out| {
            let (Some(text), Some(length)) = (text.get(row), length.get(row)) else {
                return Ok(false);
            };
            let length = usize::try_from(length).unwrap_or(0);
            let skip = if left { 0 } else { text.chars().count().saturating_sub(length) };
            out.push_str(slice(text, skip, length));
            Ok(true)
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}

/// Cuts spaces, or any of the given characters.
fn trim(arguments: &Arguments<'_>, leading: bool, trailing: bool) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Text], 1)?;
    let kernel = Kernel::new(move |arguments, rows| {
        let text = Text::of(&arguments[0])?;
        let what = arguments.get(1).map(Text::of).transpose()?;
        texts(rows, |row, out| {
            let Some(mut text) = text.get(row) else { return Ok(false) };
            let what = match &what {
                None => " ",
                Some(what) => match what.get(row) {
                    Some(what) => what,
                    None => return Ok(false),
                },
            };
            if leading {
                text = text.trim_start_matches(|c| what.contains(c));
            }
            if trailing {
                text = text.trim_end_matches(|c| what.contains(c));
            }
            out.push_str(text);
            Ok(true)
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}

/// Null for a negative length or, where padding is needed, an empty pad.
fn pad(arguments: &Arguments<'_>, left: bool) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Int, Want::Text], 0)?;
    let kernel = Kernel::new(move |arguments, rows| {
        let (text, length) = (Text::of(&arguments[0])?, Ints::of(&arguments[1])?);
        let pad = Text::of(&arguments[2])?;
        texts(rows, |row, out| {
            let (Some(text), Some(length), Some(pad)) =
                (text.get(row), length.get(row), pad.get(row))
            else {
                return Ok(false);
            };
            let Ok(length) = usize::try_from(length) else { return Ok(false) };
            let missing = length.saturating_sub(text.chars().count());
            if missing > 0 && pad.is_empty() {
                return Ok(false);
            }
            // A character of the padding has up to four bytes.
            check_value_bytes(text.len().saturating_add(missing.saturating_mul(4)))?;
            let padding = pad.chars().cycle().take(missing);
            if left {
                out.extend(padding);
                out.push_str(slice(text, 0, length));
            } else {
                out.push_str(slice(text, 0, length));
                out.extend(padding);
            }
            Ok(true)
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel).fallible())
}

fn replace(arguments: &Arguments<'_>) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Text, Want::Text], 0)?;
    let kernel = Kernel::new(|arguments, rows| {
        let text = Text::of(&arguments[0])?;
        let (search, new) = (Text::of(&arguments[1])?, Text::of(&arguments[2])?);
        texts(rows, |row, out| {
            let (Some(text), Some(search), Some(new)) =
                (text.get(row), search.get(row), new.get(row))
            else {
                return Ok(false);
            };
            if search.is_empty() {
                out.push_str(text);
            } else {
                let times = text.matches(search).count();
                check_value_bytes(text.len().saturating_add(new.len().saturating_mul(times)))?;
                out.push_str(&text.replace(search, new));
            }
            Ok(true)
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}

/// Each character of `from` becomes that of `to` at its place, or nothing.
fn translate(arguments: &Arguments<'_>) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Text, Want::Text], 0)?;
    let kernel = Kernel::new(|arguments, rows| {
        let text = Text::of(&arguments[0])?;
        let (from, to) = (Text::of(&arguments[1])?, Text::of(&arguments[2])?);
        texts(rows, |row, out| {
            let Some(text) = text.get(row) else { return Ok(false) };
            let (Some(from), Some(to)) = (from.get(row), to.get(row)) else { return Ok(false) };
            for c in text.chars() {
                match from.chars().position(|wanted| wanted == c) {
                    Some(place) => out.extend(to.chars().nth(place)),
                    None => out.push(c),
                }
            }
            Ok(true)
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}

/// The place of the first occurrence, 0 for none.
fn position(arguments: &Arguments<'_>, search: usize, text: usize) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Text, Want::Int], 1)?;
    let kernel = Kernel::new(move |arguments, rows| {
        let (search, text) = (Text::of(&arguments[search])?, Text::of(&arguments[text])?);
        let from = arguments.get(2).map(Ints::of).transpose()?;
        numbers::<Int32Type>(rows, |row| {
            let Some((search, text)) = search.get(row).zip(text.get(row)) else { return Ok(None) };
            let skip = match &from {
                None => 0,
                Some(from) => match from.get(row) {
                    Some(from) => usize::try_from(from.saturating_sub(1)).unwrap_or(0),
                    None => return Ok(None),
                },
            };
            let rest = slice(text, skip, usize::MAX);
            let place = rest.find(search).map(|at| skip + rest[..at].chars().count() + 1);
            Ok(Some(place.map_or(0, |place| place as i32)))
        })
    });
    Ok(Bound::new(params, SqlType::Int, kernel))
}

fn overlay(arguments: &Arguments<'_>) -> BindResult {
    let params = arguments.expect(&[Want::Text, Want::Text, Want::Int, Want::Int], 1)?;
    let kernel = Kernel::new(|arguments, rows| {
        let (text, new) = (Text::of(&arguments[0])?, Text::of(&arguments[1])?);
        let start = Ints::of(&arguments[2])?;
        let length = arguments.get(3).map(Ints::of).transpose()?;
        texts(rows, |row, out| {
            let (Some(text), Some(new), Some(start)) =
                (text.get(row), new.get(row), start.get(row))
            else {
                return Ok(false);
            };
            let count = text.chars().count();
            let length = match &length {
                None => new.chars().count() as i32,
                Some(length) => match length.get(row) {
                    Some(length) => length,
                    None => return Ok(false),
                },
            };
            let skip = usize::try_from(start.saturating_sub(1)).ok().filter(|skip| *skip <= count);
            let Some(skip) = skip else {
                out.push_str(text);
                return Ok(true);
            };
            let end = usize::try_from(length).map_or(count, |length| skip.saturating_add(length));
            out.push_str(slice(text, 0, skip));
            out.push_str(new);
            out.push_str(slice(text, end, usize::MAX));
            Ok(true)
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}

/// The part at an index from 0; null where there is none, also for empty text.
fn split_index(arguments: &Arguments<'_>) -> BindResult {
    // The separator may be the code of a character.
    let separator = match arguments.types.get(1) {
        Some(kind) if kind.is_integer() => Want::Int,
        _ => Want::Text,
    };
    let params = arguments.expect(&[Want::Text, separator, Want::Int], 0)?;
    let kernel = Kernel::new(move |arguments, rows| {
        let (text, index) = (Text::of(&arguments[0])?, Ints::of(&arguments[2])?);
        let by_code = (separator == Want::Int).then(|| Ints::of(&arguments[1])).transpose()?;
        let by_text = (separator == Want::Text).then(|| Text::of(&arguments[1])).transpose()?;
        texts(rows, |row, out| {
            let (Some(text), Some(index)) = (text.get(row), index.get(row)) else {
                return Ok(false);
            };
            let Ok(index) = usize::try_from(index) else { return Ok(false) };
            let mut code = [0; 4];
            let separator: Option<&str> = match (&by_code, &by_text) {
                (Some(codes), _) => codes
                    .get(row)
                    .and_then(|value| u32::try_from(value).ok())
                    .and_then(char::from_u32)
                    .map(|c| &*c.encode_utf8(&mut code)),
                (_, Some(texts)) => texts.get(row),
                _ => None,
            };
            let Some(separator) = separator else { return Ok(false) };
            if text.is_empty() {
                return Ok(false);
            }
            let part = if separator.is_empty() {
                (index == 0).then_some(text)
            } else {
                text.split(separator).nth(index)
            };
            let Some(part) = part else { return Ok(false) };
            out.push_str(part);
            Ok(true)
        })
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}
