//! Alertmanager matchers: which labels an alert must carry for a rule to be about it.
//!
//! The text form is Alertmanager's: `name="value"` with `=`, `!=`, `=~` or `!~`, names and values bare or quoted, any
//! UTF-8, several separated by commas, optionally in braces. A label that is missing has the empty value, so `foo=""`
//! and `foo!~".+"` hold where it is absent. Expressions match the whole value, never a part of it.
//!
//! One thing is stricter than Alertmanager: an empty value has to be written `""`, since `foo=` is a slip of the pen far
//! more often than a wish.

use std::collections::BTreeSet;
use std::fmt;

use regex::{Regex, RegexBuilder};

use super::matcher_lexer::{Lexer, Token, TokenKind};

/// Most bytes that one compiled expression may take: ample for long lists of names, far below what hurts.
const COMPILED_BYTES: usize = 1 << 20;

/// Matchers that must all hold; none at all hold for everything.
#[derive(Clone, Debug, Default)]
pub struct Matchers(Vec<Matcher>);

#[derive(Clone, Debug)]
struct Matcher {
    name: Box<str>,
    test: Test,
    value: Box<str>,
}

#[derive(Clone, Debug)]
enum Test {
    Equal,
    NotEqual,
    Regex(Regex),
    NotRegex(Regex),
}

impl Matchers {
    /// Reads `{a="b", c=~"d.*"}` or `a="b"`; more than one entry are all required.
    pub fn parse(text: &str) -> Result<Self, BadMatcher> {
        let mut lexer = Lexer::new(text);
        let mut token = lexer.next()?;
        let is_braced = token.kind == TokenKind::Open;
        if is_braced {
            token = lexer.next()?;
        }
        let mut matchers = Vec::new();
        while !is_end(&token, is_braced)? {
            let (matcher, after) = Matcher::read(token, &mut lexer)?;
            matchers.push(matcher);
            token = after;
            if token.kind == TokenKind::Comma {
                token = lexer.next()?;
            } else if !is_end(&token, is_braced)? {
                return Err(token.unexpected("a comma"));
            }
        }
        if is_braced {
            let rest = lexer.next()?;
            if rest.kind != TokenKind::End {
                return Err(rest.unexpected("nothing more after `}`"));
            }
        }
        Ok(Self(matchers))
    }

    /// Whether all hold; a label that is missing has the empty value.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> &'a str) -> bool {
        self.0.iter().all(|matcher| matcher.holds(value_of(&matcher.name)))
    }

    /// Joins two lists; all of both are required.
    pub fn and(mut self, mut other: Self) -> Self {
        self.0.append(&mut other.0);
        self
    }

    /// The value that a label has to have for all of them to hold, where one says so.
    pub fn required(&self, name: &str) -> Option<&str> {
        let is_it = |matcher: &&Matcher| &*matcher.name == name && matches!(matcher.test, Test::Equal);
        self.0.iter().find(is_it).map(|matcher| &*matcher.value)
    }

    /// Whether nothing is required.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The labels that are asked for, each once, in order.
    pub fn label_names(&self) -> BTreeSet<&str> {
        self.0.iter().map(|matcher| matcher.name.as_ref()).collect()
    }
}

/// Whether the list ends here: with `}` where it began with `{`, else with the text.
fn is_end(token: &Token, is_braced: bool) -> Result<bool, BadMatcher> {
    match (&token.kind, is_braced) {
        (TokenKind::Close, true) | (TokenKind::End, false) => Ok(true),
        (TokenKind::End, true) => Err(token.unexpected("`}`, which the `{` at the start calls for")),
        (TokenKind::Close, false) => {
            Err(BadMatcher { why: "`}` without a `{` at the start".to_owned(), column: token.column })
        }
        (
            TokenKind::Open | TokenKind::Comma | TokenKind::Operator(_) | TokenKind::Word(_) | TokenKind::Quoted(_),
            _,
        ) => Ok(false),
    }
}

impl Matcher {
    /// Reads one matcher that begins with `first`; also gives the token behind it.
    fn read(first: Token, lexer: &mut Lexer<'_>) -> Result<(Self, Token), BadMatcher> {
        let name = match first.kind {
            TokenKind::Quoted(ref name) if name.is_empty() => {
                return Err(BadMatcher { why: "a label name cannot be empty".to_owned(), column: first.column });
            }
            TokenKind::Word(name) | TokenKind::Quoted(name) => name,
            TokenKind::Open | TokenKind::Close | TokenKind::Comma | TokenKind::Operator(_) | TokenKind::End => {
                return Err(first.unexpected("a label name"));
            }
        };
        let operator = lexer.next()?;
        let TokenKind::Operator(sign) = operator.kind else {
            return Err(operator.unexpected("one of `=`, `!=`, `=~`, `!~`"));
        };
        let third = lexer.next()?;
        let column = third.column;
        let value = match third.kind {
            TokenKind::Word(value) | TokenKind::Quoted(value) => value,
            TokenKind::Open | TokenKind::Close | TokenKind::Comma | TokenKind::Operator(_) | TokenKind::End => {
                return Err(third.unexpected("a value (the empty one is written `\"\"`)"));
            }
        };
        let compiled = || compile(&value).map_err(|why| BadMatcher { why, column });
        let test = match sign {
            Sign::Equal => Test::Equal,
            Sign::NotEqual => Test::NotEqual,
            Sign::Regex => Test::Regex(compiled()?),
            Sign::NotRegex => Test::NotRegex(compiled()?),
        };
        Ok((Self { name: name.into(), test, value: value.into() }, lexer.next()?))
    }

    fn holds(&self, value: &str) -> bool {
        match &self.test {
            Test::Equal => *self.value == *value,
            Test::NotEqual => *self.value != *value,
            Test::Regex(regex) => regex.is_match(value),
            Test::NotRegex(regex) => !regex.is_match(value),
        }
    }

    fn sign(&self) -> Sign {
        match self.test {
            Test::Equal => Sign::Equal,
            Test::NotEqual => Sign::NotEqual,
            Test::Regex(_) => Sign::Regex,
            Test::NotRegex(_) => Sign::NotRegex,
        }
    }
}

/// Compiles an expression so that it has to match the whole value.
fn compile(text: &str) -> Result<Regex, String> {
    let build = |text: &str| RegexBuilder::new(text).size_limit(COMPILED_BYTES).build();
    // Alone first: `a)|(?:b` is broken by itself and would slip out of the anchors once it is wrapped.
    build(text).and_then(|_| build(&format!("^(?:{text})$"))).map_err(|err| match err {
        regex::Error::CompiledTooBig(_) => format!("`{text}` needs more than {COMPILED_BYTES} bytes once compiled"),
        other => {
            let message = other.to_string();
            let why = message.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
            format!("`{text}` is no regular expression: {why}")
        }
    })
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Equal,
    NotEqual,
    Regex,
    NotRegex,
}

impl Sign {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// The canonical form, which parses to the same matchers: braces, every value quoted, bare names where that is possible.
impl fmt::Display for Matchers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("{")?;
        for (n, matcher) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let is_bare = matcher.name.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c));
            let name = if is_bare { matcher.name.to_string() } else { quoted(&matcher.name) };
            write!(out, "{comma}{name}{}{}", matcher.sign().as_str(), quoted(&matcher.value))?;
        }
        out.write_str("}")
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"))
}

/// Text that is no matcher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why} at character {column}")]
pub struct BadMatcher {
    /// What is wrong.
    pub why: String,
    /// Where, from 1, in characters.
    pub column: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        Matchers::parse(text).map_or_else(|bad| format!("{}: {}", bad.column, bad.why), |good| good.to_string())
    }

    fn holds(text: &str, labels: &[(&str, &'static str)]) -> bool {
        let matchers = Matchers::parse(text).unwrap();
        matchers.matches(|name| labels.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value))
    }

    #[test]
    fn reads_what_alertmanager_reads() {
        let table = [
            ("", "{}"),
            ("{}", "{}"),
            ("  { } ", "{}"),
            ("foo=bar", r#"{foo="bar"}"#),
            (r#"foo="bar""#, r#"{foo="bar"}"#),
            (r#""foo"="bar""#, r#"{foo="bar"}"#),
            ("{foo=bar}", r#"{foo="bar"}"#),
            ("foo=bar,", r#"{foo="bar"}"#),
            ("{foo=bar,}", r#"{foo="bar"}"#),
            ("{ foo = bar , baz != qux , }", r#"{foo="bar",baz!="qux"}"#),
            ("foo=bar,baz=~qux.+", r#"{foo="bar",baz=~"qux.+"}"#),
            (r#"foo!~"a|b", bar != """#, r#"{foo!~"a|b",bar!=""}"#),
            (r#"foo="""#, r#"{foo=""}"#),
            ("foo:bar=baz", r#"{foo:bar="baz"}"#),
            ("[foo]=bar", r#"{"[foo]"="bar"}"#),
            ("foo={bar", "5: expected a value (the empty one is written `\"\"`), found `{`"),
            ("größe=ß", r#"{"größe"="ß"}"#),
            (r#""foo bar"="🙂, {}=~""#, r#"{"foo bar"="🙂, {}=~"}"#),
            ("foo🙂=bar", r#"{"foo🙂"="bar"}"#),
            (r#"foo="a\"b""#, r#"{foo="a\"b"}"#),
            (r#"foo="a\\b""#, r#"{foo="a\\b"}"#),
            (r#"foo="a\nb""#, r#"{foo="a\nb"}"#),
            // Alertmanager's older parser keeps an escape that it does not know, and expressions rely on that.
            (r#"foo=~"node-\d+""#, r#"{foo=~"node-\\d+"}"#),
            ("foo=\"a\nb\"", r#"{foo="a\nb"}"#),
            ("\n{\tfoo=bar\n}\n", r#"{foo="bar"}"#),
            ("foo=1.5-rc/2", r#"{foo="1.5-rc/2"}"#),
        ];
        for (text, expected) in table {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_with_the_place() {
        let table = [
            ("foo", "4: expected one of `=`, `!=`, `=~`, `!~`, found the end"),
            ("=bar", "1: expected a label name, found `=`"),
            ("foo=", "5: expected a value (the empty one is written `\"\"`), found the end"),
            ("foo==bar", "5: expected a value (the empty one is written `\"\"`), found `=`"),
            ("foo=bar baz", "9: expected a comma, found `baz`"),
            ("foo=bar,,", "9: expected a label name, found `,`"),
            ("{,}", "2: expected a label name, found `,`"),
            (",", "1: expected a label name, found `,`"),
            ("{foo=bar", "9: expected `}`, which the `{` at the start calls for, found the end"),
            ("foo=bar}", "8: `}` without a `{` at the start"),
            ("}", "1: `}` without a `{` at the start"),
            ("{", "2: expected `}`, which the `{` at the start calls for, found the end"),
            ("{foo=bar}}", "10: expected nothing more after `}`, found `}`"),
            ("{foo=bar},a=b", "10: expected nothing more after `}`, found `,`"),
            ("{{foo=bar}}", "2: expected a label name, found `{`"),
            ("foo!bar", "4: `!` must be followed by `=` or `~`"),
            ("foo~bar", "4: `~` stands only behind `=` or `!`"),
            ("foo=\"bar", "5: the quote is never closed"),
            (r#"foo="bar\""#, "5: the quote is never closed"),
            ("foo=b'ar", "6: `'` has to stand inside double quotes"),
            ("foo=`bar`", "5: '`' has to stand inside double quotes"),
            (r"foo=b\ar", r"6: `\` has to stand inside double quotes"),
            (r#"""=bar"#, "1: a label name cannot be empty"),
            ("ü=a, b=~(", "9: `(` is no regular expression: unclosed group"),
            ("a=~\"x)|(?:y\"", "4: `x)|(?:y` is no regular expression: unopened group"),
        ];
        for (text, expected) in table {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_an_expression_that_grows_too_large() {
        let bad = Matchers::parse(r#"a=~"(\\w{100}){100}""#).unwrap_err();
        assert_eq!((bad.column, bad.why.contains("once compiled")), (4, true), "{bad}");
    }

    #[test]
    fn compares_as_alertmanager_does() {
        type Case<'a> = (&'a str, &'a [(&'a str, &'static str)], bool);
        let table: &[Case<'_>] = &[
            ("", &[], true),
            ("{}", &[("a", "b")], true),
            ("a=b", &[("a", "b")], true),
            ("a=b", &[("a", "B")], false),
            ("a=b", &[], false),
            (r#"a="""#, &[], true),
            (r#"a="""#, &[("a", "b")], false),
            (r#"a!="""#, &[], false),
            (r#"a!="""#, &[("a", "b")], true),
            ("a!=b", &[], true),
            ("a!=b", &[("a", "b")], false),
            ("a=~b", &[("a", "abc")], false),
            ("a=~b|abc", &[("a", "abc")], true),
            ("a=~b|c", &[("a", "bx")], false),
            ("a=~.+", &[], false),
            ("a=~.*", &[], true),
            ("a!~.+", &[], true),
            ("a!~.+", &[("a", "b")], false),
            ("a!~b.", &[("a", "bcd")], true),
            ("a=~(?i)b", &[("a", "B")], true),
            ("a=~b.c", &[("a", "b\nc")], false),
            ("a=b,c=d", &[("a", "b")], false),
            ("a=b,c=d", &[("a", "b"), ("c", "d")], true),
            ("a=~b,a!=b", &[("a", "b")], false),
            (r#""a b"=~"ü+""#, &[("a b", "üü")], true),
        ];
        for (text, labels, expected) in table {
            assert_eq!(holds(text, labels), *expected, "{text} on {labels:?}");
        }
    }

    #[test]
    fn the_canonical_form_means_the_same() {
        for text in ["a=b", r#"{"x y"!~"a\\\"|\n", b!="", c=~"\\d"}"#, r#""=~"="{},""#] {
            let once = canonical(text);
            assert_eq!(canonical(&once), once, "{text}");
        }
    }

    #[test]
    fn joined_lists_are_all_required_and_name_their_labels() {
        let both = Matchers::parse("b=1,a=2").unwrap().and(Matchers::parse("a!=3").unwrap());
        assert_eq!(both.to_string(), r#"{b="1",a="2",a!="3"}"#);
        assert_eq!(both.label_names().into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(!both.is_empty());
        assert!(Matchers::default().is_empty());
    }
}
