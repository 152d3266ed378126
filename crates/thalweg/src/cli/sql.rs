//! `thalweg sql`: sends SQL to a running server over the PostgreSQL protocol.

use std::io::{BufRead, IsTerminal, Read, Write};

use clap::{Args, ValueEnum};
use futures::{StreamExt, pin_mut};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::output::{OutputFormat, csv_line, print_rows};
use super::{Failure, client::block_on};

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerOptions,
    /// SQL to send; several statements are separated by semicolons
    #[arg(short, long, value_name = "SQL", conflicts_with = "file")]
    command: Option<String>,
    /// File of SQL to send; - for stdin
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// How to print results
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
}

/// Where the PostgreSQL door is.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServerOptions {
    /// Host of the PostgreSQL door
    #[arg(long, global = true, env = "PGHOST", default_value = "127.0.0.1")]
    host: String,
    /// Port of the PostgreSQL door
    #[arg(long, global = true, env = "PGPORT", default_value_t = 6875)]
    port: u16,
    /// User name
    #[arg(long, global = true, env = "PGUSER", default_value = "thalweg")]
    user: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
enum Mode {
    /// Aligned columns
    #[default]
    Table,
    /// One change a line: +I[..], -U[..], +U[..], -D[..]
    Changelog,
    /// One JSON object a line
    Json,
    /// Comma-separated values with a header
    Csv,
}

impl ServerOptions {
    /// Connects.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        let (client, connection) = tokio_postgres::Config::new()
            .host(&self.host)
            .port(self.port)
            .user(&self.user)
            .dbname("default_database")
            .application_name("thalweg sql")
            .connect_timeout(std::time::Duration::from_secs(5))
            .connect(NoTls)
            .await
            .map_err(|error| {
                Failure::Usage(format!(
                    "cannot connect to {}:{}: {error}\nis it running? start it with: thalweg server",
                    self.host, self.port
                ))
            })?;
        tokio::spawn(connection);
        Ok(client)
    }
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    block_on(async {
        let client = options.server.connect().await?;
        let text = match (&options.command, &options.file) {
            (Some(command), _) => Some(command.clone()),
            (None, Some(file)) => Some(super::run::read_script(file)?),
            (None, None) if std::io::stdin().is_terminal() => None,
            (None, None) => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                Some(text)
            }
        };
        match text {
            Some(text) => execute(&client, &text, options.mode).await,
            None => prompt(&client, options.mode).await,
        }
    })
}

/// Reads statements from the terminal, each up to a semicolon.
async fn prompt(client: &Client, mode: Mode) -> Result<(), Failure> {
    let mut statement = String::new();
    loop {
        eprint!("{}", if statement.is_empty() { "thalweg> " } else { "    ...> " });
        std::io::stderr().flush()?;
        let line = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map(|read| (read, line))
        });
        let (read, line) = line.await.map_err(Failure::running)??;
        if read == 0 || matches!(line.trim(), "quit" | "exit" | "\\q") {
            return Ok(());
        }
        statement.push_str(&line);
        if !statement.trim_end().ends_with(';') {
            continue;
        }
        if let Err(failure) = execute(client, &statement, mode).await {
            failure.print();
        }
        statement.clear();
    }
}

async fn execute(client: &Client, text: &str, mode: Mode) -> Result<(), Failure> {
    let kinds = if mode == Mode::Json { json_kinds(client, text).await } else { Vec::new() };
    let messages = client.simple_query_raw(text).await.map_err(|error| failure(&error, text))?;
    pin_mut!(messages);
    let mut headings: Vec<String> = Vec::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    while let Some(message) = messages.next().await {
        match message.map_err(|error| failure(&error, text))? {
            SimpleQueryMessage::RowDescription(columns) => {
                headings = columns.iter().map(|column| column.name().to_owned()).collect();
                rows.clear();
                if mode == Mode::Csv {
                    print_csv(&headings)?;
                }
            }
            SimpleQueryMessage::Row(row) => {
                let cells = (0..row.len())
                    .map(|index| row.get(index).map(str::to_owned))
                    .collect::<Vec<_>>();
                match mode {
                    Mode::Table => rows.push(
                        cells
                            .into_iter()
                            .map(|cell| cell.unwrap_or_else(|| "NULL".into()))
                            .collect(),
                    ),
                    Mode::Changelog => print_change(&headings, &cells)?,
                    Mode::Json => print_json(&headings, &kinds, &cells)?,
                    Mode::Csv => print_csv(
                        &cells.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>(),
                    )?,
                }
            }
            SimpleQueryMessage::CommandComplete(count) => {
                if mode == Mode::Table && !headings.is_empty() {
                    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
                    print_rows(OutputFormat::Table, &headings, &rows)?;
                    eprintln!("({count} rows)");
                } else if headings.is_empty() {
                    eprintln!("done");
                }
                headings.clear();
            }
            _ => {}
        }
    }
    Ok(())
}

/// An error with its place in the text, as the server reported it.
fn failure(error: &tokio_postgres::Error, text: &str) -> Failure {
    let Some(db) = error.as_db_error() else {
        return Failure::Running(error.to_string());
    };
    let mut message = format!("error[{}]: {}", db.code().code(), db.message());
    if let Some(tokio_postgres::error::ErrorPosition::Original(position)) = db.position() {
        message.push_str(&caret(text, (*position as usize).saturating_sub(1)));
    }
    if let Some(detail) = db.detail() {
        message.push_str(&format!("\n  detail: {detail}"));
    }
    if let Some(hint) = db.hint() {
        message.push_str(&format!("\n  hint: {hint}"));
    }
    Failure::Script(message)
}

/// The line at a character position, with a caret under it.
fn caret(text: &str, position: usize) -> String {
    let before: String = text.chars().take(position).collect();
    let line_number = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count();
    let line = text.lines().nth(line_number - 1).unwrap_or_default();
    format!("\n  --> line {line_number}\n  | {line}\n  | {}^", " ".repeat(column))
}

fn print_change(headings: &[String], cells: &[Option<String>]) -> Result<(), Failure> {
    let has_kind = headings.first().is_some_and(|name| name == "op");
    let kind = if has_kind { cells[0].as_deref().unwrap_or("+I") } else { "+I" };
    // A subscription's rows begin with the change's kind and its epoch.
    let has_epoch = has_kind && headings.get(1).is_some_and(|name| name == "epoch");
    let cells = cells.iter().skip(usize::from(has_kind) + usize::from(has_epoch));
    let cells: Vec<&str> = cells.map(|cell| cell.as_deref().unwrap_or("null")).collect();
    writeln!(std::io::stdout(), "{kind}[{}]", cells.join(", "))?;
    Ok(())
}

/// How a column's text stands in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum JsonKind {
    Number,
    Boolean,
    Text,
}

impl JsonKind {
    fn of(column: &Type) -> Self {
        match *column {
            Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => {
                Self::Number
            }
            Type::BOOL => Self::Boolean,
            _ => Self::Text,
        }
    }

    fn value(self, cell: &str) -> serde_json::Value {
        match self {
            // What JSON has no number for (NaN), or would round, stays text.
            Self::Number => match serde_json::from_str::<serde_json::Number>(cell) {
                Ok(number) if is_exact(&number, cell) => number.into(),
                _ => cell.into(),
            },
            Self::Boolean => (cell == "t").into(),
            Self::Text => cell.into(),
        }
    }
}

/// Whether a number says what the text said: nothing of it was rounded away.
fn is_exact(number: &serde_json::Number, text: &str) -> bool {
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    !number.is_f64() || digits(text) <= 17
}

/// What the columns of a statement are. The simple protocol, which several statements at
/// once need, does not tell; where there are several, all of it is text.
async fn json_kinds(client: &Client, text: &str) -> Vec<JsonKind> {
    match client.prepare(text).await {
        Ok(statement) => {
            statement.columns().iter().map(|column| JsonKind::of(column.type_())).collect()
        }
        Err(_) => Vec::new(),
    }
}

fn print_json(
    headings: &[String],
    kinds: &[JsonKind],
    cells: &[Option<String>],
) -> Result<(), Failure> {
    let kinds = kinds.iter().copied().chain(std::iter::repeat(JsonKind::Text));
    let values = cells.iter().zip(kinds).map(|(cell, kind)| match cell {
        Some(cell) => kind.value(cell),
        None => serde_json::Value::Null,
    });
    let object: serde_json::Map<_, _> = headings.iter().cloned().zip(values).collect();
    writeln!(std::io::stdout(), "{}", serde_json::Value::Object(object))?;
    Ok(())
}

fn print_csv(cells: &[String]) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{}", csv_line(cells.iter().map(String::as_str)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{JsonKind, caret};

    #[test]
    fn cells_become_json_by_their_type() {
        let json = |kind: JsonKind, cell| kind.value(cell).to_string();
        assert_eq!(json(JsonKind::Number, "-42"), "-42");
        assert_eq!(json(JsonKind::Number, "78.25"), "78.25");
        assert_eq!(json(JsonKind::Number, "NaN"), "\"NaN\"");
        let exact = "12345678901234567890.123456789";
        assert_eq!(json(JsonKind::Number, exact), format!("\"{exact}\""));
        assert_eq!(json(JsonKind::Boolean, "t"), "true");
        assert_eq!(json(JsonKind::Text, "42"), "\"42\"");
    }

    #[test]
    fn the_caret_stands_under_the_character() {
        let text = "SELECT 1;\nSELECT größe FORM t;";
        let position = text.chars().position(|c| c == 'F').expect("F");
        assert_eq!(
            caret(text, position),
            format!("\n  --> line 2\n  | SELECT größe FORM t;\n  | {}^", " ".repeat(13))
        );
    }
}
