//! A catalog query, cut up. Text is compared in a canonical form: small letters, single
//! blanks, no `pg_catalog.`, no alias of the first relation.

use super::super::error::Result;
use super::super::lexer::{Token, TokenKind, significant};
use super::rows::is_empty;
use super::unsupported;

/// A query of one relation, or of none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Query {
    pub(super) items: Vec<Item>,
    /// The first relation, or what stands for the join; `None` without FROM.
    pub(super) from: Option<String>,
    /// What WHERE demands, all of it.
    pub(super) conditions: Vec<String>,
    order: Vec<String>,
    /// The first clause that is not understood.
    rest: Option<String>,
}

/// A column of the result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Item {
    pub(super) expression: String,
    pub(super) name: String,
}

/// The clauses, in the order in which they may stand.
const CLAUSES: [&str; 8] =
    ["from", "where", "group", "having", "union", "order", "limit", "offset"];

impl Query {
    /// Cuts up a SELECT; `None` for anything else.
    pub(super) fn parse(sql: &str) -> Option<Self> {
        let tokens = significant(sql);
        let (first, tokens) = tokens.split_first()?;
        if !sql[first.range.clone()].eq_ignore_ascii_case("select") {
            return None;
        }
        let cuts = top_level(sql, tokens, |word| CLAUSES.contains(&word));
        let mut clauses = Vec::with_capacity(cuts.len() + 1);
        let mut name = "select".to_owned();
        for (at, clause) in pieces(tokens, &cuts).into_iter().enumerate() {
            clauses.push((name, clause));
            name = cuts
                .get(at)
                .map(|&cut| sql[tokens[cut].range.clone()].to_lowercase())
                .unwrap_or_default();
        }
        Self::of_clauses(sql, &clauses)
    }

    fn of_clauses(sql: &str, clauses: &[(String, &[Token])]) -> Option<Self> {
        let find = |name: &str| clauses.iter().find(|(known, _)| known == name).map(|(_, t)| *t);
        let from_tokens = find("from");
        let (from, alias) = match from_tokens {
            Some(tokens) => {
                let (from, alias) = relation(sql, tokens)?;
                (Some(from), alias)
            }
            None => (None, String::new()),
        };
        let items = commas(sql, find("select")?);
        let items = items.into_iter().map(|tokens| item(sql, tokens, &alias)).collect();
        let conditions = find("where").map(|tokens| ands(sql, tokens, &alias)).unwrap_or_default();
        let order = match find("order") {
            Some([_by, tokens @ ..]) => {
                commas(sql, tokens).into_iter().map(|t| canonical(sql, t, &alias)).collect()
            }
            _ => Vec::new(),
        };
        let known = ["select", "from", "where", "order"];
        let rest = clauses.iter().find(|(name, _)| !known.contains(&name.as_str()));
        let rest = rest.map(|(name, tokens)| format!("{name} {}", canonical(sql, tokens, &alias)));
        Some(Self { items, from, conditions, order, rest })
    }

    /// Refuses what goes beyond picking rows. `is_empty`: whether the relation never has
    /// rows, so that a union of it with its like has none either.
    pub(super) fn check(&self, is_empty: bool) -> Result<()> {
        const AGGREGATES: [&str; 6] =
            ["count(", "min(", "max(", "sum(", "array_agg(", "string_agg("];
        if let Some(rest) = &self.rest
            && !(is_empty && rest.starts_with("union "))
        {
            return Err(unsupported(rest));
        }
        let aggregates = |item: &&Item| AGGREGATES.iter().any(|f| item.expression.starts_with(f));
        match self.items.iter().find(aggregates) {
            Some(item) => Err(unsupported(&item.expression)),
            None => Ok(()),
        }
    }

    /// Sorts rows as ORDER BY says: by number or by the name of a column.
    pub(super) fn sort(&self, rows: &mut [Vec<Option<String>>]) -> Result<()> {
        if rows.len() < 2 {
            return Ok(());
        }
        let mut keys = Vec::new();
        for order in &self.order {
            let (expression, down) = match order.strip_suffix(" desc") {
                Some(expression) => (expression, true),
                None => (order.strip_suffix(" asc").unwrap_or(order), false),
            };
            let number = expression.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            let at = number.or_else(|| {
                self.items
                    .iter()
                    .position(|item| item.expression == expression || item.name == expression)
            });
            match at.filter(|at| *at < self.items.len()) {
                Some(at) => keys.push((at, down)),
                // Columns of a table are made in their order.
                None if expression == "attnum" || expression == "ordinal_position" => {}
                None => return Err(unsupported(&format!("order by {order}"))),
            }
        }
        rows.sort_by(|a, b| {
            let by_key = keys.iter().map(|&(at, down)| {
                let order = a[at].cmp(&b[at]);
                if down { order.reverse() } else { order }
            });
            by_key.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        });
        Ok(())
    }
}

/// Places of words outside of parentheses.
fn top_level(sql: &str, tokens: &[Token], wanted: impl Fn(&str) -> bool) -> Vec<usize> {
    let mut depth = 0;
    let mut places = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let text = &sql[token.range.clone()];
        match text {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            _ if depth == 0
                && matches!(token.kind, TokenKind::Word | TokenKind::Symbol)
                && wanted(&text.to_lowercase()) =>
            {
                places.push(at);
            }
            _ => {}
        }
    }
    places
}

fn pieces<'a>(tokens: &'a [Token], cuts: &[usize]) -> Vec<&'a [Token]> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for &cut in cuts {
        pieces.push(&tokens[start..cut]);
        start = cut + 1;
    }
    pieces.push(&tokens[start..]);
    pieces
}

fn commas<'a>(sql: &str, tokens: &'a [Token]) -> Vec<&'a [Token]> {
    pieces(tokens, &top_level(sql, tokens, |word| word == ","))
}

fn ands(sql: &str, tokens: &[Token], alias: &str) -> Vec<String> {
    pieces(tokens, &top_level(sql, tokens, |word| word == "and"))
        .into_iter()
        .map(|tokens| canonical(sql, tokens, alias))
        .collect()
}

/// The relation that a FROM clause is about, and the alias of the first one. Of several
/// it is the one that decides: one that is always empty, or `pg_index` in the index list
/// of `\d`, else the first.
fn relation(sql: &str, tokens: &[Token]) -> Option<(String, String)> {
    let pieces: Vec<String> =
        commas(sql, tokens).into_iter().map(|piece| canonical(sql, piece, "")).collect();
    let names: Vec<&str> =
        pieces.iter().map(|piece| piece.split(' ').next().unwrap_or_default()).collect();
    let decides = |name: &&&str| is_empty(name) || **name == "pg_index";
    let name = names.iter().find(decides).or(names.first()).filter(|name| !name.is_empty())?;
    let mut words = pieces.first()?.split(' ').skip(1);
    let alias = match words.next() {
        Some("as") => words.next().unwrap_or_default(),
        Some("left" | "join" | "inner" | "cross") | None => "",
        Some(alias) => alias,
    };
    Some(((*name).to_owned(), alias.to_owned()))
}

/// A column of the result: `expression`, `expression AS name` or `expression name`.
fn item(sql: &str, tokens: &[Token], alias: &str) -> Item {
    let text = |token: &Token| &sql[token.range.clone()];
    if let [expression @ .., word, name] = tokens
        && text(word).eq_ignore_ascii_case("as")
    {
        let name = text(name).trim_matches('"').to_owned();
        return Item { expression: canonical(sql, expression, alias), name };
    }
    let expression = canonical(sql, tokens, alias);
    let name = match expression.split_once('(') {
        Some((function, _)) => function.rsplit(['.', ' ']).next(),
        None if expression.starts_with('\'') => None,
        None => expression.rsplit('.').next(),
    };
    let name = name.filter(|name| !name.is_empty()).unwrap_or("?column?").to_owned();
    Item { expression, name }
}

/// Tokens as text in canonical form.
pub(super) fn canonical(sql: &str, tokens: &[Token], alias: &str) -> String {
    let mut out = String::new();
    let mut last: Option<TokenKind> = None;
    for token in tokens {
        let is_plain = |kind| !matches!(kind, TokenKind::Symbol | TokenKind::Semicolon);
        if is_plain(token.kind) && last.is_some_and(is_plain) {
            out.push(' ');
        }
        let text = &sql[token.range.clone()];
        match token.kind {
            TokenKind::Word => out.push_str(&text.to_lowercase()),
            _ => out.push_str(text),
        }
        last = Some(token.kind);
    }
    let mut out = out.replace("pg_catalog.", "");
    if !alias.is_empty() {
        out = without_alias(&out, alias);
    }
    out
}

/// Takes `c.` away from `c.relname`, and not from `abc.relname`.
fn without_alias(text: &str, alias: &str) -> String {
    let prefix = format!("{alias}.");
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&prefix) {
        let continues = rest[..at].chars().next_back().or(out.chars().next_back());
        out.push_str(&rest[..at]);
        if continues.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '\'') {
            out.push_str(&prefix);
        }
        rest = &rest[at + prefix.len()..];
    }
    out.push_str(rest);
    out
}
