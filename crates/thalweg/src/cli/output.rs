//! Tables on stdout, for people and for programs.

use std::io::{self, Write};

use arrow_array::RecordBatch;
use clap::ValueEnum;
use thalweg_connect::format::json::JsonOptions;
use thalweg_connect::format::json_encoder;

use super::Failure;
use crate::node::{ResultMode, to_text};

/// How lists are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Aligned columns.
    #[default]
    Table,
    /// One JSON object a line.
    Json,
}

/// Prints rows under headings. JSON keys are the headings in lower case with
/// underscores.
pub(crate) fn print_rows(
    format: OutputFormat,
    headings: &[&str],
    rows: &[Vec<String>],
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        OutputFormat::Json => {
            for row in rows {
                let object: serde_json::Map<_, _> = headings
                    .iter()
                    .zip(row)
                    .map(|(heading, cell)| {
                        (heading.to_lowercase().replace([' ', '-'], "_"), json_cell(cell))
                    })
                    .collect();
                writeln!(out, "{}", serde_json::Value::Object(object))?;
            }
        }
        OutputFormat::Table => {
            let widths: Vec<usize> = (0..headings.len())
                .map(|column| {
                    rows.iter()
                        .map(|row| row[column].chars().count())
                        .chain([headings[column].chars().count()])
                        .max()
                        .unwrap_or(0)
                })
                .collect();
            write_row(&mut out, &widths, headings.iter().copied())?;
            for row in rows {
                write_row(&mut out, &widths, row.iter().map(String::as_str))?;
            }
        }
    }
    out.flush()
}

/// Prints values as JSON, one a line.
pub(crate) fn print_values(values: &[serde_json::Value]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for value in values {
        writeln!(out, "{value}")?;
    }
    out.flush()
}

/// Prints a line of text between tables.
pub(crate) fn print_line(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Prints rows as the JSON format writes them to a topic.
fn print_json(batches: &[RecordBatch]) -> Result<(), Failure> {
    let mut encoder = json_encoder(&JsonOptions::default());
    for batch in batches {
        encoder.begin(batch).map_err(Failure::running)?;
        let mut lines = Vec::new();
        for row in 0..batch.num_rows() {
            encoder.encode(row, &mut lines).map_err(Failure::running)?;
            lines.push(b'\n');
        }
        io::stdout().write_all(&lines)?;
    }
    Ok(())
}

/// Prints a result in a script's mode.
pub(crate) fn print_result(mode: ResultMode, batches: &[RecordBatch]) -> Result<(), Failure> {
    let Some(first) = batches.first() else {
        return Ok(());
    };
    let schema = first.schema();
    let headings: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let rows = || to_text(batches).map_err(Failure::running);
    match mode {
        ResultMode::Table => Ok(print_rows(OutputFormat::Table, &headings, &rows()?)?),
        ResultMode::Json => print_json(batches),
        ResultMode::Csv => {
            writeln!(io::stdout(), "{}", csv_line(headings.iter().copied()))?;
            for row in rows()? {
                writeln!(io::stdout(), "{}", csv_line(row.iter().map(String::as_str)))?;
            }
            Ok(())
        }
        ResultMode::Changelog => {
            for row in rows()? {
                writeln!(io::stdout(), "+I[{}]", row.join(", "))?;
            }
            Ok(())
        }
    }
}

/// Cells as one line of comma-separated values (RFC 4180).
pub(crate) fn csv_line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let quoted = cells.map(|cell| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.to_owned()
        }
    });
    quoted.collect::<Vec<_>>().join(",")
}

fn json_cell(cell: &str) -> serde_json::Value {
    match cell.parse::<i64>() {
        Ok(number) if number.to_string() == cell => number.into(),
        _ => cell.into(),
    }
}

fn write_row<'a>(
    out: &mut impl Write,
    widths: &[usize],
    cells: impl Iterator<Item = &'a str>,
) -> io::Result<()> {
    let mut line = String::new();
    for (width, cell) in widths.iter().zip(cells) {
        if !line.is_empty() {
            line.push_str("  ");
        }
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
    }
    writeln!(out, "{}", line.trim_end())
}
