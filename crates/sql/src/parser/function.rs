//! `CREATE FUNCTION name AS 'class'`.

use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};

use super::name::Name;
use super::{parse_if_not_exists, parse_string, parse_word};

/// A name for a function that a Java class implements in Flink. Classes that are known
/// stand for built-in functions.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateFunction {
    /// The name.
    pub name: Name,
    /// `TEMPORARY`.
    pub temporary: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The class.
    pub class: String,
}

impl CreateFunction {
    /// After `CREATE [TEMPORARY [SYSTEM]] FUNCTION`.
    pub(crate) fn parse(parser: &mut Parser, temporary: bool) -> Result<Self, ParserError> {
        let if_not_exists = parse_if_not_exists(parser);
        let name = Name::parse(parser)?;
        parser.expect_keyword_is(Keyword::AS)?;
        let class = parse_string(parser)?;
        if parser.parse_keyword(Keyword::LANGUAGE) {
            let language = parser.peek_token();
            if !parse_word(parser, "JAVA") && !parse_word(parser, "SCALA") {
                return parser.expected("LANGUAGE JAVA", language);
            }
        }
        Ok(Self { name, temporary, if_not_exists, class })
    }
}
