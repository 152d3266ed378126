//! Errors of the SQL front end: a code, a place in the text and, where there is one, a
//! way out.

use std::fmt;

/// A place in the text of a script. Lines and columns count from 1, columns in
/// characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

/// A stretch of text; `end` is the position after the last character.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Span {
    /// First character.
    pub start: Position,
    /// After the last character.
    pub end: Position,
}

impl Span {
    /// From the parser's, unless that one is empty.
    pub(crate) fn from_parser(span: sqlparser::tokenizer::Span) -> Option<Self> {
        if span.start.line == 0 {
            return None;
        }
        Some(Self {
            start: Position { line: span.start.line, column: span.start.column },
            end: Position { line: span.end.line, column: span.end.column },
        })
    }

    /// From DataFusion's, which are those of the parser.
    pub(crate) fn from_datafusion(span: datafusion::common::Span) -> Option<Self> {
        if span.start.line == 0 {
            return None;
        }
        Some(Self {
            start: Position { line: span.start.line, column: span.start.column },
            end: Position { line: span.end.line, column: span.end.column },
        })
    }

    /// Where it starts in `source`, counted in characters from 0.
    pub fn char_offset(&self, source: &str) -> Option<usize> {
        let mut offset = 0;
        for (number, line) in (1..).zip(source.split_inclusive('\n')) {
            if number == self.start.line {
                return Some(offset + self.start.column.saturating_sub(1) as usize);
            }
            offset += line.chars().count();
        }
        None
    }
}

/// What kind of error it is. Stable: scripts and clients may depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorCode {
    /// The text is not SQL as we know it.
    Syntax,
    /// No such table or view.
    UnknownTable,
    /// No such column.
    UnknownColumn,
    /// Several columns of that name.
    AmbiguousColumn,
    /// No such function.
    UnknownFunction,
    /// No such catalog, database, job or setting.
    UnknownObject,
    /// A value of another type was needed.
    TypeMismatch,
    /// An argument or option has a value that cannot work.
    InvalidArgument,
    /// A table definition that cannot work.
    InvalidDefinition,
    /// Somebody else may do this.
    PermissionDenied,
    /// A column that is neither grouped nor aggregated.
    Grouping,
    /// An object of that name is there already.
    AlreadyExists,
    /// The object is of another kind.
    WrongObjectType,
    /// Others depend on the object.
    DependentObjects,
    /// Understood, but not supported yet.
    NotSupported,
    /// The sink cannot take what the query gives.
    SinkMismatch,
    /// An expression failed on a value.
    Execution,
    /// A value or constant is longer than what is possible.
    TooLarge,
    /// The statement needs more memory than it is allowed.
    OutOfMemory,
    /// A defect of Thalweg.
    Internal,
}

impl ErrorCode {
    /// The name that stands in messages, in kebab-case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax-error",
            Self::UnknownTable => "unknown-table",
            Self::UnknownColumn => "unknown-column",
            Self::AmbiguousColumn => "ambiguous-column",
            Self::UnknownFunction => "unknown-function",
            Self::UnknownObject => "unknown-object",
            Self::TypeMismatch => "type-mismatch",
            Self::InvalidArgument => "invalid-argument",
            Self::InvalidDefinition => "invalid-definition",
            Self::PermissionDenied => "permission-denied",
            Self::Grouping => "grouping-error",
            Self::AlreadyExists => "already-exists",
            Self::WrongObjectType => "wrong-object-type",
            Self::DependentObjects => "dependent-objects",
            Self::NotSupported => "not-supported",
            Self::SinkMismatch => "sink-mismatch",
            Self::Execution => "execution-error",
            Self::TooLarge => "too-large",
            Self::OutOfMemory => "out-of-memory",
            Self::Internal => "internal-error",
        }
    }

    /// PostgreSQL's code of five characters.
    pub fn sqlstate(self) -> &'static str {
        match self {
            Self::Syntax => "42601",
            Self::UnknownTable => "42P01",
            Self::UnknownColumn => "42703",
            Self::AmbiguousColumn => "42702",
            Self::UnknownFunction => "42883",
            Self::UnknownObject => "42704",
            Self::TypeMismatch => "42804",
            Self::InvalidArgument => "22023",
            Self::InvalidDefinition => "42P16",
            Self::PermissionDenied => "42501",
            Self::Grouping => "42803",
            Self::AlreadyExists => "42P07",
            Self::WrongObjectType => "42809",
            Self::DependentObjects => "2BP01",
            Self::NotSupported => "0A000",
            Self::SinkMismatch => "42P10",
            Self::Execution => "22000",
            Self::TooLarge => "54000",
            Self::OutOfMemory => "53200",
            Self::Internal => "XX000",
        }
    }
}

/// An error of the SQL front end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SqlError {
    /// Its kind.
    pub code: ErrorCode,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// Where, in the text that was given.
    pub span: Option<Span>,
    /// What would help.
    pub hint: Option<String>,
}

/// Shorthand of this crate.
pub type Result<T, E = SqlError> = std::result::Result<T, E>;

impl SqlError {
    /// An error without a place.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), span: None, hint: None }
    }

    /// Something that is understood but not supported yet.
    pub fn not_supported(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotSupported, message)
    }

    /// A defect.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// With a place, unless it has one.
    #[must_use]
    pub fn at(mut self, span: impl Into<Option<Span>>) -> Self {
        self.span = self.span.or(span.into());
        self
    }

    /// With a place given by the parser, unless it has one.
    #[must_use]
    pub(crate) fn at_parsed(self, span: sqlparser::tokenizer::Span) -> Self {
        self.at(Span::from_parser(span))
    }

    /// With advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into().or(self.hint);
        self
    }

    /// The same error seen from outside a stored definition, into whose text its place
    /// points.
    #[must_use]
    pub(crate) fn inside(mut self, what: &str) -> Self {
        self.message = format!("in {what}: {}", self.message);
        self.span = None;
        self
    }

    /// PostgreSQL's code of five characters.
    pub fn sqlstate(&self) -> &'static str {
        self.code.sqlstate()
    }

    /// The error with the line of `source` that it is about, marked with carets:
    ///
    /// ```text
    /// error[unknown-column]: there is no column `pric` in `bid`
    ///  --> line 1, column 8
    ///   |
    /// 1 | SELECT pric FROM bid
    ///   |        ^^^^
    ///   = help: did you mean `price`?
    /// ```
    pub fn render(&self, source: &str) -> String {
        let mut out = format!("error[{}]: {}\n", self.code.name(), self.message);
        let line = self.span.and_then(|span| {
            let line = source.lines().nth(span.start.line.checked_sub(1)? as usize)?;
            Some((span, line))
        });
        let width = self.span.map_or(1, |span| span.start.line.to_string().len());
        let pad = " ".repeat(width);
        if let Some((span, line)) = line {
            render_line(&mut out, span, line, &pad);
        }
        if let Some(hint) = &self.hint {
            out.push_str(&format!("{pad} = help: {hint}\n"));
        }
        out
    }
}

/// Writes the marked line. A tab before the mark stays a tab, so that the carets stand
/// under their text.
fn render_line(out: &mut String, span: Span, line: &str, pad: &str) {
    let Position { line: number, column } = span.start;
    let length = line.chars().count() as u64;
    let end = if span.end.line > number { length + 1 } else { span.end.column };
    let carets = end.saturating_sub(column).clamp(1, (length + 2).saturating_sub(column).max(1));
    let before: String = line
        .chars()
        .take(column.saturating_sub(1) as usize)
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    out.push_str(&format!("{pad}--> line {number}, column {column}\n"));
    out.push_str(&format!("{pad} |\n{number} | {line}\n{pad} | {before}"));
    out.push_str(&"^".repeat(carets as usize));
    out.push('\n');
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(span) = self.span {
            write!(f, " (line {}, column {})", span.start.line, span.start.column)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SqlError {}

impl From<thalweg_stream::error::StreamError> for SqlError {
    fn from(error: thalweg_stream::error::StreamError) -> Self {
        use thalweg_stream::error::StreamError;
        let code = match &error {
            StreamError::Invalid(_) => ErrorCode::InvalidArgument,
            StreamError::Internal(_) => ErrorCode::Internal,
            StreamError::OverBudget { .. } => ErrorCode::OutOfMemory,
            _ => ErrorCode::Execution,
        };
        Self::new(code, error.to_string())
    }
}
