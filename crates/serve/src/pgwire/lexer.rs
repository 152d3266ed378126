//! As much of SQL's lexical rules as the door needs: where statements end, where
//! parameters stand, and which words a statement begins with. Everything else is the
//! session's.

use std::ops::Range;

/// What a stretch of text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TokenKind {
    /// A word or number that is not quoted.
    Word,
    /// A quoted identifier: `"a"` or Flink's `` `a` ``.
    QuotedName,
    /// A string: `'a'`, `E'a'` or `$$a$$`.
    String,
    /// A parameter `$1`, by number.
    Parameter(u16),
    /// `;`
    Semicolon,
    /// Any other character.
    Symbol,
    /// White space or a comment.
    Blank,
}

/// A token: its kind and its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) range: Range<usize>,
}

/// Cuts text into tokens that cover all of it. What is not closed reaches to the end.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Length of text quoted by `quote` from the start of `text` on, where the quote
    /// doubled stands for itself.
    fn quoted(text: &str, quote: u8, backslash: bool) -> usize {
        let bytes = text.as_bytes();
        let mut at = 1;
        while at < bytes.len() {
            match bytes[at] {
                b'\\' if backslash => at += 2,
                byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
                byte if byte == quote => return at + 1,
                _ => at += 1,
            }
        }
        bytes.len()
    }

    fn block_comment(text: &str) -> usize {
        let bytes = text.as_bytes();
        let (mut at, mut depth) = (0, 0);
        while at < bytes.len() {
            match (bytes[at], bytes.get(at + 1)) {
                (b'/', Some(b'*')) => (at, depth) = (at + 2, depth + 1),
                (b'*', Some(b'/')) => {
                    (at, depth) = (at + 2, depth - 1);
                    if depth == 0 {
                        return at;
                    }
                }
                _ => at += 1,
            }
        }
        bytes.len()
    }

    /// `$1`, or a dollar-quoted string, or a mere dollar.
    fn dollar(text: &str) -> (TokenKind, usize) {
        let after = &text[1..];
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            return match after[..digits].parse() {
                Ok(number) => (TokenKind::Parameter(number), 1 + digits),
                Err(_) => (TokenKind::Parameter(u16::MAX), 1 + digits),
            };
        }
        let tag = after
            .char_indices()
            .take_while(|(_, c)| c.is_alphanumeric() || *c == '_')
            .map(|(at, c)| at + c.len_utf8())
            .last()
            .unwrap_or(0);
        if after.as_bytes().get(tag) != Some(&b'$') {
            return (TokenKind::Symbol, 1);
        }
        let quote = &text[..tag + 2];
        let length = text[quote.len()..]
            .find(quote)
            .map_or(text.len(), |end| quote.len() + end + quote.len());
        (TokenKind::String, length)
    }

    fn measure(&self, first: char) -> (TokenKind, usize) {
        let rest = self.rest();
        let second = rest[first.len_utf8()..].chars().next();
        match first {
            ';' => (TokenKind::Semicolon, 1),
            '\'' => (TokenKind::String, Self::quoted(rest, b'\'', false)),
            'e' | 'E' if second == Some('\'') => {
                (TokenKind::String, 1 + Self::quoted(&rest[1..], b'\'', true))
            }
            '"' => (TokenKind::QuotedName, Self::quoted(rest, b'"', false)),
            '`' => (TokenKind::QuotedName, Self::quoted(rest, b'`', false)),
            '-' if second == Some('-') => {
                (TokenKind::Blank, rest.find('\n').map_or(rest.len(), |end| end + 1))
            }
            '/' if second == Some('*') => (TokenKind::Blank, Self::block_comment(rest)),
            '$' => Self::dollar(rest),
            c if c.is_whitespace() => {
                let end = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
                (TokenKind::Blank, end)
            }
            c if is_word(c) => {
                let end = rest.find(|c: char| !is_word(c) && c != '$').unwrap_or(rest.len());
                (TokenKind::Word, end)
            }
            other => (TokenKind::Symbol, other.len_utf8()),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let first = self.rest().chars().next()?;
        let (kind, length) = self.measure(first);
        let mut end = (self.at + length).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        let token = Token { kind, range: self.at..end };
        self.at = end;
        Some(token)
    }
}

/// The first words of a statement, in capitals, without comments; at most `most`, and
/// only as long as nothing but words stands there.
pub(super) fn leading_words(sql: &str, most: usize) -> Vec<String> {
    Lexer::new(sql)
        .filter(|token| token.kind != TokenKind::Blank)
        .take_while(|token| token.kind == TokenKind::Word)
        .take(most)
        .map(|token| sql[token.range].to_ascii_uppercase())
        .collect()
}

/// The tokens of a statement that mean something, without a semicolon at the end.
pub(super) fn significant(sql: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> =
        Lexer::new(sql).filter(|token| token.kind != TokenKind::Blank).collect();
    while tokens.last().is_some_and(|token| token.kind == TokenKind::Semicolon) {
        tokens.pop();
    }
    tokens
}

/// Cuts a script into statements, without their semicolons and without those that are
/// empty. Flink's statement set keeps its inner semicolons up to `END`.
pub(super) fn split(script: &str) -> Vec<Range<usize>> {
    let mut statements = Vec::new();
    let mut start = None;
    let mut end = 0;
    let mut in_set = false;
    let mut last_word = String::new();
    for token in Lexer::new(script) {
        match token.kind {
            TokenKind::Blank => {}
            TokenKind::Semicolon if !in_set || last_word == "END" => {
                statements.extend(start.take().map(|start| start..end));
                in_set = false;
                last_word.clear();
            }
            kind => {
                let first = *start.get_or_insert(token.range.start);
                end = token.range.end;
                let text = &script[token.range];
                last_word =
                    if kind == TokenKind::Word { text.to_ascii_uppercase() } else { String::new() };
                in_set |= last_word == "SET" && begins_statement_set(&script[first..end]);
            }
        }
    }
    statements.extend(start.map(|start| start..end));
    statements
}

fn begins_statement_set(text: &str) -> bool {
    let words = leading_words(text, 4);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(words[..], ["EXECUTE" | "BEGIN", "STATEMENT", "SET"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(script: &str) -> Vec<&str> {
        split(script).into_iter().map(|range| &script[range]).collect()
    }

    #[test]
    fn semicolons_in_quotes_and_comments_do_not_split() {
        assert_eq!(
            statements(
                "SELECT ';', \"a;b\" -- x;\n, `c;`, $q$;$$;$q$ /* ; /* ; */ */ ; ; SELECT 2"
            ),
            ["SELECT ';', \"a;b\" -- x;\n, `c;`, $q$;$$;$q$", "SELECT 2"]
        );
        assert_eq!(statements("SELECT 'it''s;', E'\\';' ;"), ["SELECT 'it''s;', E'\\';'"]);
        assert_eq!(statements(" ;; -- nothing"), Vec::<&str>::new());
    }

    #[test]
    fn a_statement_set_is_one_statement() {
        let set = "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; END";
        assert_eq!(statements(&format!("{set}; SELECT 1")), [set, "SELECT 1"]);
        assert_eq!(statements("BEGIN; SELECT 1; END"), ["BEGIN", "SELECT 1", "END"]);
    }

    #[test]
    fn what_is_not_closed_reaches_to_the_end() {
        for text in ["'a", "\"a", "`ä", "/* a", "$x$ a", "E'\\", "$", "ä$", "e'ä\\"] {
            let tokens: Vec<_> = Lexer::new(text).collect();
            assert_eq!(tokens.first().map(|token| token.range.start), Some(0), "{text}");
            assert_eq!(tokens.last().map(|token| token.range.end), Some(text.len()), "{text}");
        }
    }

    #[test]
    fn parameters_are_found_outside_of_strings() {
        let kinds: Vec<_> = Lexer::new("$1 '$2' a$3 $12")
            .filter_map(|token| match token.kind {
                TokenKind::Parameter(number) => Some(number),
                _ => None,
            })
            .collect();
        assert_eq!(kinds, [1, 12]);
    }

    #[test]
    fn leading_words_skip_comments() {
        assert_eq!(
            leading_words("/* a */ create -- b\n table t (x INT)", 9),
            ["CREATE", "TABLE", "T"]
        );
    }
}
