//! Cuts the text of matchers into words, quoted strings and signs, each with its place.
//!
//! What may follow what is the parser's question.

use std::iter::Peekable;
use std::str::Chars;

use super::matcher::{BadMatcher, Sign};

/// One piece of the text.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Where it begins, from 1, in characters.
    pub(super) column: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Open,
    Close,
    Comma,
    Operator(Sign),
    Word(String),
    Quoted(String),
    End,
}

impl Token {
    pub(super) fn unexpected(&self, expected: &str) -> BadMatcher {
        let found = match &self.kind {
            TokenKind::Open => "`{`".to_owned(),
            TokenKind::Close => "`}`".to_owned(),
            TokenKind::Comma => "`,`".to_owned(),
            TokenKind::Operator(sign) => format!("`{}`", sign.as_str()),
            TokenKind::Word(text) => format!("`{text}`"),
            TokenKind::Quoted(text) => format!("`\"{text}\"`"),
            TokenKind::End => "the end".to_owned(),
        };
        BadMatcher { why: format!("expected {expected}, found {found}"), column: self.column }
    }
}

pub(super) struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    column: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text.chars().peekable(), column: 0 }
    }

    /// The next piece; after the last one, [`TokenKind::End`] for ever.
    pub(super) fn next(&mut self) -> Result<Token, BadMatcher> {
        while self.take_if(char::is_whitespace).is_some() {}
        let Some(first) = self.take_if(|_| true) else {
            return Ok(Token { kind: TokenKind::End, column: self.column + 1 });
        };
        let column = self.column;
        let bad = |why: &str| Err(BadMatcher { why: why.to_owned(), column });
        let kind = match first {
            '{' => TokenKind::Open,
            '}' => TokenKind::Close,
            ',' => TokenKind::Comma,
            '=' if self.take_if(|next| next == '~').is_some() => TokenKind::Operator(Sign::Regex),
            '=' => TokenKind::Operator(Sign::Equal),
            '!' => match self.take_if(|next| "=~".contains(next)) {
                Some('=') => TokenKind::Operator(Sign::NotEqual),
                Some(_) => TokenKind::Operator(Sign::NotRegex),
                None => return bad("`!` must be followed by `=` or `~`"),
            },
            '~' => return bad("`~` stands only behind `=` or `!`"),
            '"' => match self.quoted() {
                Some(text) => TokenKind::Quoted(text),
                None => return bad("the quote is never closed"),
            },
            '`' => return bad("'`' has to stand inside double quotes"),
            '\'' => return bad("`'` has to stand inside double quotes"),
            '\\' => return bad("`\\` has to stand inside double quotes"),
            other => {
                let mut word = String::from(other);
                while let Some(next) = self.take_if(|next| !is_reserved(next)) {
                    word.push(next);
                }
                // A word ends at a sign, a comma or a space. What needs quotes is named here, where it is seen, since
                // "expected a comma" would send the reader astray.
                if let Some(&sign) = self.rest.peek().filter(|next| "'`\\".contains(**next)) {
                    let quote = if sign == '`' { '\'' } else { '`' };
                    let why = format!("{quote}{sign}{quote} has to stand inside double quotes");
                    return Err(BadMatcher { why, column: self.column + 1 });
                }
                TokenKind::Word(word)
            }
        };
        Ok(Token { kind, column })
    }

    /// The text up to the closing quote: `\"`, `\\` and `\n` are escapes; any other stays as it is written, as in
    /// Alertmanager's older parser, so that `"\d+"` needs no second backslash.
    fn quoted(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.take_if(|_| true)? {
                '"' => return Some(text),
                '\\' => match self.take_if(|_| true)? {
                    'n' => text.push('\n'),
                    same @ ('"' | '\\') => text.push(same),
                    other => text.extend(['\\', other]),
                },
                other => text.push(other),
            }
        }
    }

    fn take_if(&mut self, is_wanted: impl Fn(char) -> bool) -> Option<char> {
        let taken = self.rest.next_if(|next| is_wanted(*next))?;
        self.column += 1;
        Some(taken)
    }
}

fn is_reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}
