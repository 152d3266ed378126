//! `EXPLAIN`.

use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::statement::{self, Statement};
use super::{Source, parse_word, peek_word};

/// `EXPLAIN [details] statement`.
#[derive(Clone, PartialEq, Debug)]
pub struct Explain {
    /// What to explain: a query, an insert or a statement set.
    pub statement: Box<Statement>,
}

impl Explain {
    pub(crate) fn parse(parser: &mut Parser, source: &Source<'_>) -> Result<Self, ParserError> {
        parser.next_token();
        parse_details(parser)?;
        let token = parser.peek_token();
        let statement = if peek_word(parser, "STATEMENT") {
            Statement::StatementSet(super::insert::parse_statement_set(parser)?)
        } else {
            statement::parse(parser, source)?
        };
        let explainable = matches!(
            statement,
            Statement::Query(_)
                | Statement::Insert(_)
                | Statement::StatementSet(_)
                | Statement::CreateMaterializedView(_)
        );
        if !explainable {
            return parser.expected(
                "a query, INSERT, statement set or CREATE MATERIALIZED VIEW after EXPLAIN",
                token,
            );
        }
        Ok(Self { statement: Box::new(statement) })
    }
}

/// `PLAN FOR`, or Flink's list of details. There is one form of the plan here, which
/// holds them all.
fn parse_details(parser: &mut Parser) -> Result<(), ParserError> {
    if parse_word(parser, "PLAN") {
        return super::expect_words(parser, &["FOR"]);
    }
    const DETAILS: &[&str] =
        &["ESTIMATED_COST", "CHANGELOG_MODE", "JSON_EXECUTION_PLAN", "PLAN_ADVICE"];
    while DETAILS.iter().any(|detail| parse_word(parser, detail)) {
        let _ = parser.consume_token(&Token::Comma);
    }
    Ok(())
}
