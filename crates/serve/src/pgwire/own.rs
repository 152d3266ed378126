//! Statements that the door answers itself: transactions, PostgreSQL's settings, what
//! frees prepared statements, and COPY TO STDOUT around a query.

use std::ops::Range;

use super::error::{PgError, Result, sqlstate};
use super::lexer::{Token, TokenKind, significant};
use super::settings::Settings;

/// Such a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum OwnStatement {
    Begin,
    Commit,
    Rollback,
    /// `SET name = value`; without a value it goes back to the one of the start.
    Set {
        name: String,
        value: Option<String>,
    },
    /// `RESET ALL`
    ResetAll,
    Show(String),
    ShowAll,
    /// `DEALLOCATE name`, or all of them.
    Deallocate(Option<String>),
    /// `DISCARD ALL`
    DiscardAll,
    /// Nothing to do; the tag says what was asked for.
    Nothing(&'static str),
    /// `COPY (query) TO STDOUT`: where the query stands.
    CopyOut(Range<usize>),
}

impl OwnStatement {
    /// Recognises one of the door's statements; `None` is for the session.
    pub(super) fn recognise(sql: &str) -> Result<Option<Self>> {
        let tokens = significant(sql);
        let words: Vec<String> = tokens
            .iter()
            .take(4)
            .map(|token| sql[token.range.clone()].to_ascii_uppercase())
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Ok(Some(match words[..] {
            ["BEGIN", "STATEMENT", ..] => return Ok(None),
            ["BEGIN", ..] | ["START", "TRANSACTION", ..] => Self::Begin,
            ["COMMIT" | "END", ..] => Self::Commit,
            ["ROLLBACK" | "ABORT"] | ["ROLLBACK" | "ABORT", "WORK" | "TRANSACTION", ..] => {
                Self::Rollback
            }
            ["SAVEPOINT" | "RELEASE", ..] | ["ROLLBACK", ..] => {
                return Err(PgError::not_supported("savepoints are not supported"));
            }
            ["SET", "TIME", "ZONE", ..] => {
                Self::set("TimeZone", value_of(sql, tokens.get(3..).unwrap_or_default())?)
            }
            ["SET", "NAMES", ..] => {
                Self::set("client_encoding", value_of(sql, tokens.get(2..).unwrap_or_default())?)
            }
            ["SET", "TRANSACTION", ..] | ["SET", "SESSION", "CHARACTERISTICS", ..] => {
                Self::Nothing("SET")
            }
            ["SET", "SESSION" | "LOCAL", ..] => return Self::assignment(sql, &tokens[2..]),
            ["SET", ..] => return Self::assignment(sql, &tokens[1..]),
            ["RESET", "ALL"] => Self::ResetAll,
            ["RESET", name] if Settings::knows(name) => Self::set(name, None),
            ["SHOW", "ALL"] => Self::ShowAll,
            ["SHOW", "TIME", "ZONE"] => Self::Show("TimeZone".into()),
            ["SHOW", "TRANSACTION", "ISOLATION", "LEVEL"] => {
                Self::Show("transaction_isolation".into())
            }
            ["SHOW", name] if Settings::knows(name) => Self::Show(name.to_owned()),
            ["DEALLOCATE", "PREPARE", name] | ["DEALLOCATE", name] => {
                let name_token = tokens.last().map(|token| name_of(sql, token));
                Self::Deallocate(if name == "ALL" { None } else { name_token })
            }
            ["DISCARD", "ALL"] => Self::DiscardAll,
            ["DISCARD", "PLANS"] => Self::Nothing("DISCARD PLANS"),
            ["DISCARD", "SEQUENCES"] => Self::Nothing("DISCARD SEQUENCES"),
            ["DISCARD", "TEMP" | "TEMPORARY"] => Self::Nothing("DISCARD TEMP"),
            ["UNLISTEN", ..] => Self::Nothing("UNLISTEN"),
            ["CLOSE", "ALL"] => Self::Nothing("CLOSE CURSOR ALL"),
            ["COPY", "(", ..] => return copy_out(sql, &tokens).map(Some),
            _ => return Ok(None),
        }))
    }

    fn set(name: &str, value: Option<String>) -> Self {
        Self::Set { name: name.to_owned(), value }
    }

    /// `name TO value` or `name = value`, where the name is one of PostgreSQL's.
    fn assignment(sql: &str, tokens: &[Token]) -> Result<Option<Self>> {
        let [name, sign, value @ ..] = tokens else { return Ok(None) };
        let known = matches!(name.kind, TokenKind::Word | TokenKind::QuotedName)
            && Settings::knows(&name_of(sql, name));
        let sign = &sql[sign.range.clone()];
        if !known || !(sign == "=" || sign.eq_ignore_ascii_case("to")) {
            return Ok(None);
        }
        Ok(Some(Self::set(&name_of(sql, name), value_of(sql, value)?)))
    }

    /// The command tag of what has nothing else to say.
    pub(super) fn tag(&self) -> &'static str {
        match self {
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Rollback => "ROLLBACK",
            Self::Set { value: Some(_), .. } => "SET",
            Self::Set { value: None, .. } | Self::ResetAll => "RESET",
            Self::Show(_) | Self::ShowAll => "SHOW",
            Self::Deallocate(Some(_)) => "DEALLOCATE",
            Self::Deallocate(None) => "DEALLOCATE ALL",
            Self::DiscardAll => "DISCARD ALL",
            Self::Nothing(tag) => tag,
            Self::CopyOut(_) => "COPY",
        }
    }
}

/// A name: folded to small letters unless it is quoted.
fn name_of(sql: &str, token: &Token) -> String {
    let text = &sql[token.range.clone()];
    match token.kind {
        TokenKind::QuotedName => {
            let quote = &text[..1];
            text[1..].trim_end_matches(quote).replace(&quote.repeat(2), quote)
        }
        _ => text.to_ascii_lowercase(),
    }
}

/// What a setting is set to: words, names, numbers and strings, joined as in a list.
/// `None` for `DEFAULT`.
fn value_of(sql: &str, tokens: &[Token]) -> Result<Option<String>> {
    let mut value = String::new();
    for token in tokens {
        let text = &sql[token.range.clone()];
        match token.kind {
            TokenKind::Word if text.eq_ignore_ascii_case("default") && tokens.len() == 1 => {
                return Ok(None);
            }
            TokenKind::Word => value.push_str(text),
            TokenKind::QuotedName => value.push_str(&name_of(sql, token)),
            TokenKind::String if text.starts_with('\'') => {
                let inner = text[1..].strip_suffix('\'').unwrap_or(&text[1..]);
                value.push_str(&inner.replace("''", "'"));
            }
            TokenKind::Symbol if text == "," => value.push_str(", "),
            TokenKind::Symbol if matches!(text, "-" | "+" | "." | "/") => value.push_str(text),
            _ => return Err(syntax(sql, token.range.start)),
        }
    }
    if tokens.is_empty() {
        return Err(syntax(sql, sql.len()));
    }
    Ok(Some(value))
}

fn syntax(sql: &str, at: usize) -> PgError {
    let near: String = sql[at..].chars().take(20).collect();
    let text = if near.is_empty() {
        "syntax error at end of input".to_owned()
    } else {
        format!("syntax error at or near \"{near}\"")
    };
    PgError::new(sqlstate::SYNTAX, text).at(sql[..at].chars().count() as u32 + 1)
}

/// `COPY (query) TO STDOUT`, without options other than the text format.
fn copy_out(sql: &str, tokens: &[Token]) -> Result<OwnStatement> {
    let mut depth = 0;
    let close = tokens.iter().position(|token| {
        match &sql[token.range.clone()] {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => return false,
        }
        depth == 0
    });
    let close = close.ok_or_else(|| syntax(sql, sql.len()))?;
    let rest: Vec<String> = tokens[close + 1..]
        .iter()
        .map(|token| sql[token.range.clone()].to_ascii_uppercase())
        .collect();
    match rest.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["TO", "STDOUT"] | ["TO", "STDOUT", "WITH", "(", "FORMAT", "TEXT", ")"] => {
            Ok(OwnStatement::CopyOut(tokens[1].range.end..tokens[close].range.start))
        }
        ["TO", "STDOUT", ..] => Err(PgError::not_supported("COPY has no format but text")
            .with_hint("leave the options out")),
        _ => Err(syntax(sql, tokens.get(close + 1).map_or(sql.len(), |token| token.range.start))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(sql: &str) -> Option<OwnStatement> {
        OwnStatement::recognise(sql).expect("valid")
    }

    fn set(name: &str, value: &str) -> Option<OwnStatement> {
        Some(OwnStatement::set(name, Some(value.to_owned())))
    }

    #[test]
    fn settings_of_postgresql_are_the_doors_and_settings_of_jobs_are_not() {
        assert_eq!(own("SET DateStyle TO ISO, MDY;"), set("datestyle", "ISO, MDY"));
        assert_eq!(
            own("set session application_name = 'a ''b'''"),
            set("application_name", "a 'b'")
        );
        assert_eq!(own("SET TIME ZONE 'Europe/Berlin'"), set("TimeZone", "Europe/Berlin"));
        assert_eq!(own("SET TIMEZONE TO Europe/Berlin"), set("timezone", "Europe/Berlin"));
        assert_eq!(own("SET extra_float_digits = 3"), set("extra_float_digits", "3"));
        assert_eq!(own("SET statement_timeout TO DEFAULT").map(|own| own.tag()), Some("RESET"));
        for sql in
            ["SET 'parallelism.default' = '2'", "SET", "SET x = 1", "SHOW TABLES", "SHOW JOBS"]
        {
            assert_eq!(own(sql), None, "{sql}");
        }
        assert_eq!(own("/* a */ SHOW datestyle"), Some(OwnStatement::Show("DATESTYLE".into())));
    }

    #[test]
    fn transactions_are_the_doors_and_statement_sets_are_not() {
        assert_eq!(own("BEGIN ISOLATION LEVEL REPEATABLE READ"), Some(OwnStatement::Begin));
        assert_eq!(own("BEGIN STATEMENT SET"), None);
        assert_eq!(own("rollback"), Some(OwnStatement::Rollback));
        assert!(OwnStatement::recognise("SAVEPOINT a").is_err());
        assert_eq!(
            own("DEALLOCATE \"a\"\"B\""),
            Some(OwnStatement::Deallocate(Some("a\"B".into())))
        );
        assert_eq!(own("DEALLOCATE ALL"), Some(OwnStatement::Deallocate(None)));
    }

    #[test]
    fn copy_of_a_query() {
        let sql = "COPY (SUBSCRIBE TO v) TO STDOUT";
        let Some(OwnStatement::CopyOut(range)) = own(sql) else { panic!("not recognised") };
        assert_eq!(&sql[range], "SUBSCRIBE TO v");
        assert!(OwnStatement::recognise("COPY (SELECT 1) TO STDOUT WITH (FORMAT csv)").is_err());
        assert_eq!(own("COPY t FROM STDIN"), None);
        let error = OwnStatement::recognise("SET client_encoding =").expect_err("no value");
        assert_eq!(error.position, Some(22));
    }
}
