//! Hashes and encodings.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryArray, StringArray};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::kernel;
use crate::functions::signature::{Arguments, BindResult, Bound, FunctionDef, Want};
use crate::functions::values::{Bytes, Kernel, KernelResult, Text, expand, texts};
use crate::types::SqlType;

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    kernel("md5", &[], "MD5(text)", |arguments| {
        hash(arguments, datafusion::functions::crypto::md5)
    }),
    kernel("sha224", &[], "SHA224(text)", |arguments| {
        hash(arguments, datafusion::functions::crypto::sha224)
    }),
    kernel("sha256", &[], "SHA256(text)", |arguments| {
        hash(arguments, datafusion::functions::crypto::sha256)
    }),
    kernel("sha384", &[], "SHA384(text)", |arguments| {
        hash(arguments, datafusion::functions::crypto::sha384)
    }),
    kernel("sha512", &[], "SHA512(text)", |arguments| {
        hash(arguments, datafusion::functions::crypto::sha512)
    }),
    kernel("to_base64", &[], "TO_BASE64(text)", |arguments| {
        let params = arguments.expect(&[Want::Bytes], 0)?;
        let kernel = Kernel::new(|arguments, rows| {
            let bytes = Bytes::of(&arguments[0])?;
            texts(rows, |row, out| {
                let Some(bytes) = bytes.get(row) else { return Ok(false) };
                write_base64(out, bytes);
                Ok(true)
            })
        });
        Ok(Bound::new(params, SqlType::STRING, kernel))
    }),
    kernel("from_base64", &[], "FROM_BASE64(text)", |arguments| {
        let params = arguments.expect(&[Want::Text], 0)?;
        let kernel = Kernel::new(|arguments, rows| {
            let text = Text::of(&arguments[0])?;
            texts(rows, |row, out| {
                let bytes = text.get(row).and_then(read_base64);
                let Some(bytes) = bytes else { return Ok(false) };
                out.push_str(&String::from_utf8_lossy(&bytes));
                Ok(true)
            })
        });
        Ok(Bound::new(params, SqlType::STRING, kernel))
    }),
];

/// A hash as lower-case hexadecimal digits.
fn hash(arguments: &Arguments<'_>, function: fn() -> Arc<ScalarUDF>) -> BindResult {
    let params = arguments.expect(&[Want::Text], 0)?;
    let kernel = Kernel::new(move |arguments, rows| {
        let array = expand(&arguments[0], rows)?;
        digest(&array, &function())
    });
    Ok(Bound::new(params, SqlType::STRING, kernel))
}

/// Runs DataFusion's hash, which gives bytes or digits.
fn digest(array: &ArrayRef, function: &ScalarUDF) -> KernelResult {
    let failed = |error: datafusion::common::DataFusionError| error.to_string();
    let input = Arc::new(Field::new("text", DataType::Utf8, true));
    let returns = function.return_type(&[DataType::Utf8]).map_err(failed)?;
    let call = ScalarFunctionArgs {
        args: vec![ColumnarValue::Array(Arc::clone(array))],
        arg_fields: vec![input],
        number_rows: array.len(),
        return_field: Arc::new(Field::new("digest", returns, true)),
        config_options: Arc::new(ConfigOptions::default()),
    };
    let digest = function.invoke_with_args(call).map_err(failed)?;
    let digest = digest.into_array(array.len()).map_err(failed)?;
    if !matches!(digest.data_type(), DataType::Binary | DataType::BinaryView) {
        return compute::cast(&digest, &DataType::Utf8).map_err(|error| error.to_string());
    }
    let bytes = compute::cast(&digest, &DataType::Binary).map_err(|error| error.to_string())?;
    let bytes =
        bytes.as_any().downcast_ref::<BinaryArray>().ok_or("internal error: a digest is bytes")?;
    let digits: StringArray = bytes
        .iter()
        .map(|bytes| {
            bytes.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        })
        .collect();
    Ok(Arc::new(digits))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn write_base64(out: &mut String, bytes: &[u8]) {
    for group in bytes.chunks(3) {
        let mut bits = 0_u32;
        for place in 0..3 {
            bits = bits << 8 | u32::from(group.get(place).copied().unwrap_or(0));
        }
        for place in 0..4 {
            let filled = place <= group.len();
            let digit = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if filled { char::from(digit) } else { '=' });
        }
    }
}

fn read_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for place in 0..4 {
            let digit = match group.get(place) {
                Some(digit) => ALPHABET.iter().position(|known| known == digit)? as u32,
                None => 0,
            };
            bits = bits << 6 | digit;
        }
        let whole = bits.to_be_bytes();
        bytes.extend_from_slice(&whole[1..group.len().max(1)]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_both_ways() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foobar", "Zm9vYmFy")] {
            let mut out = String::new();
            write_base64(&mut out, plain.as_bytes());
            assert_eq!(out, coded);
            assert_eq!(read_base64(coded).unwrap(), plain.as_bytes());
        }
        assert_eq!(read_base64("a*b="), None);
    }
}
