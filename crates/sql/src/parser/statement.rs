//! All statements, and which words start which.

use sqlparser::ast::Query;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::create_table::CreateTable;
use super::create_view::{CreateMaterializedView, CreateView};
use super::drop::Drop;
use super::explain::Explain;
use super::function::CreateFunction;
use super::insert::{Insert, parse_statement_set};
use super::name::Name;
use super::set::Set;
use super::show::Show;
use super::{Source, error, expect_words, parse_if_not_exists, parse_word, peek_word};
use crate::error::Span;
use crate::suggest;

/// A statement with the text that it was written as.
#[derive(Clone, PartialEq, Debug)]
pub struct ParsedStatement {
    /// What it says.
    pub statement: Statement,
    /// Its text, without the semicolon.
    pub text: String,
    /// Where it stands in the script.
    pub span: Span,
}

/// A statement of Flink SQL, or of ours.
#[derive(Clone, PartialEq, Debug)]
pub enum Statement {
    /// `CREATE TABLE`.
    CreateTable(Box<CreateTable>),
    /// `CREATE VIEW`.
    CreateView(CreateView),
    /// `CREATE MATERIALIZED VIEW`.
    CreateMaterializedView(CreateMaterializedView),
    /// `CREATE FUNCTION`.
    CreateFunction(CreateFunction),
    /// `CREATE DATABASE`.
    CreateDatabase {
        /// Its name, one or two parts.
        name: Name,
        /// `IF NOT EXISTS`.
        if_not_exists: bool,
    },
    /// `INSERT INTO`: starts a job, or writes given rows.
    Insert(Insert),
    /// `EXECUTE STATEMENT SET`: one job for several `INSERT`s.
    StatementSet(Vec<Insert>),
    /// `SELECT`, `VALUES`, `WITH`.
    Query(Box<Query>),
    /// `EXPLAIN`.
    Explain(Explain),
    /// `SHOW`.
    Show(Show),
    /// `DESCRIBE`.
    Describe(Name),
    /// `DROP`.
    Drop(Drop),
    /// `SET`, `RESET`.
    Set(Set),
    /// `USE database`, `USE CATALOG catalog`.
    Use {
        /// Whether it names a catalog.
        catalog: bool,
        /// What to use.
        name: Name,
    },
    /// `SUBSCRIBE TO view`: its changes, without end.
    Subscribe(Name),
    /// `STOP JOB 'id or name'`.
    StopJob {
        /// Id or name of the job.
        job: String,
        /// `WITH SAVEPOINT`.
        with_savepoint: bool,
        /// `WITH DRAIN`.
        with_drain: bool,
    },
    /// `RESTART JOB 'id or name'`: of one that was stopped, that failed, or that runs.
    RestartJob(String),
    /// `CANCEL JOB 'id or name'`: stops it for good and deletes its state.
    CancelJob(String),
    /// `BEGIN`, `COMMIT`, `ROLLBACK` as PostgreSQL's clients send them.
    Transaction(Transaction),
}

/// The bounds of a transaction block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transaction {
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`, `END`.
    Commit,
    /// `ROLLBACK`, `ABORT`.
    Rollback,
}

pub(crate) fn parse(parser: &mut Parser, source: &Source<'_>) -> Result<Statement, ParserError> {
    let token = parser.peek_token();
    let Token::Word(word) = &token.token else {
        if token.token == Token::LParen {
            return Ok(Statement::Query(parser.parse_query()?));
        }
        return parser.expected("a statement", token);
    };
    match word.value.to_ascii_uppercase().as_str() {
        "SELECT" | "WITH" | "VALUES" => Ok(Statement::Query(parser.parse_query()?)),
        "CREATE" => parse_create(parser, source),
        "INSERT" => Ok(Statement::Insert(Insert::parse(parser)?)),
        "EXECUTE" => parse_execute(parser),
        "BEGIN" => parse_begin(parser),
        "EXPLAIN" => Ok(Statement::Explain(Explain::parse(parser, source)?)),
        "SHOW" => Ok(Statement::Show(Show::parse(parser)?)),
        "DESCRIBE" | "DESC" => {
            parser.next_token();
            let _ = parser.parse_keyword(Keyword::TABLE);
            Ok(Statement::Describe(Name::parse(parser)?))
        }
        "DROP" => Ok(Statement::Drop(Drop::parse(parser)?)),
        "SET" | "RESET" => Ok(Statement::Set(Set::parse(parser)?)),
        "USE" => parse_use(parser),
        "SUBSCRIBE" => {
            parser.next_token();
            parse_word(parser, "TO");
            Ok(Statement::Subscribe(Name::parse(parser)?))
        }
        "STOP" => parse_stop(parser),
        "RESTART" => Ok(Statement::RestartJob(parse_job(parser, "RESTART")?)),
        "CANCEL" => Ok(Statement::CancelJob(parse_job(parser, "CANCEL")?)),
        "START" => {
            expect_words(parser, &["START", "TRANSACTION"])?;
            skip_rest(parser);
            Ok(Statement::Transaction(Transaction::Begin))
        }
        "COMMIT" | "END" => parse_transaction(parser, Transaction::Commit),
        "ROLLBACK" | "ABORT" => parse_transaction(parser, Transaction::Rollback),
        other => {
            let wanted = match suggest::nearest(other, error::STATEMENT_WORDS.iter().copied()) {
                Some(meant) => meant.to_owned(),
                None => "a statement".to_owned(),
            };
            parser.expected(&wanted, token)
        }
    }
}

fn parse_create(parser: &mut Parser, source: &Source<'_>) -> Result<Statement, ParserError> {
    let start = parser.index();
    parser.next_token();
    let temporary = parse_word(parser, "TEMPORARY") || parse_word(parser, "TEMP");
    if temporary {
        parse_word(parser, "SYSTEM");
    }
    if parser.parse_keyword(Keyword::TABLE) {
        let table = CreateTable::parse(parser, source, start, temporary)?;
        return Ok(Statement::CreateTable(Box::new(table)));
    }
    if parser.parse_keyword(Keyword::VIEW) {
        let view = CreateView::parse(parser, source, start, temporary)?;
        return Ok(Statement::CreateView(view));
    }
    if parser.parse_keywords(&[Keyword::MATERIALIZED, Keyword::VIEW]) {
        let view = CreateMaterializedView::parse(parser, source, start)?;
        return Ok(Statement::CreateMaterializedView(view));
    }
    if parser.parse_keyword(Keyword::FUNCTION) {
        return Ok(Statement::CreateFunction(CreateFunction::parse(parser, temporary)?));
    }
    if parser.parse_keyword(Keyword::DATABASE) {
        let if_not_exists = parse_if_not_exists(parser);
        return Ok(Statement::CreateDatabase { name: Name::parse(parser)?, if_not_exists });
    }
    let wanted = "TABLE, VIEW, MATERIALIZED VIEW, FUNCTION or DATABASE after CREATE";
    parser.expected(wanted, parser.peek_token())
}

fn parse_execute(parser: &mut Parser) -> Result<Statement, ParserError> {
    parser.next_token();
    if peek_word(parser, "STATEMENT") {
        return Ok(Statement::StatementSet(parse_statement_set(parser)?));
    }
    Ok(Statement::Insert(Insert::parse(parser)?))
}

fn parse_begin(parser: &mut Parser) -> Result<Statement, ParserError> {
    parser.next_token();
    if peek_word(parser, "STATEMENT") {
        return Ok(Statement::StatementSet(parse_statement_set(parser)?));
    }
    skip_rest(parser);
    Ok(Statement::Transaction(Transaction::Begin))
}

fn parse_transaction(parser: &mut Parser, kind: Transaction) -> Result<Statement, ParserError> {
    parser.next_token();
    skip_rest(parser);
    Ok(Statement::Transaction(kind))
}

/// Options of a transaction block (isolation, access mode) that do not change anything
/// here: every read sees one whole epoch.
fn skip_rest(parser: &mut Parser) {
    while parser.peek_token_ref().token != Token::EOF {
        parser.next_token();
    }
}

fn parse_use(parser: &mut Parser) -> Result<Statement, ParserError> {
    parser.next_token();
    let catalog = parse_word(parser, "CATALOG");
    Ok(Statement::Use { catalog, name: Name::parse(parser)? })
}

/// `VERB JOB 'id or name'`.
fn parse_job(parser: &mut Parser, verb: &'static str) -> Result<String, ParserError> {
    expect_words(parser, &[verb, "JOB"])?;
    let token = parser.next_token();
    match token.token {
        Token::SingleQuotedString(job) => Ok(job),
        Token::Word(word) => Ok(word.value),
        Token::Number(number, _) => Ok(number),
        _ => parser.expected("the id or name of a job", token),
    }
}

fn parse_stop(parser: &mut Parser) -> Result<Statement, ParserError> {
    let job = parse_job(parser, "STOP")?;
    let (mut with_savepoint, mut with_drain) = (false, false);
    while parser.parse_keyword(Keyword::WITH) {
        if parse_word(parser, "SAVEPOINT") {
            with_savepoint = true;
        } else {
            expect_words(parser, &["DRAIN"])?;
            with_drain = true;
        }
    }
    Ok(Statement::StopJob { job, with_savepoint, with_drain })
}
