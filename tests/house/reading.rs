//! Reads Rust source well enough to judge it: code without comments, text and tests, and every path that it names.

use std::collections::BTreeSet;

/// A source file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Relative to the repository: `src/engine/guard.rs`.
    pub path: String,
    /// As it is on disk.
    pub text: String,
    /// The same without comments, the content of literals, and items that only tests see; line by line as long.
    pub code: String,
    /// How many of its lines belong to items that only tests see.
    pub test_lines: usize,
}

/// A path that the code names, however it was imported: `use a::{b, c}` names `a::b` and `a::c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// From 1.
    pub line: usize,
    /// `["crate", "store", "reader"]`; `self` and `super` are resolved.
    pub segments: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token<'a> {
    line: usize,
    text: &'a str,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let plain = without_literals(text);
        let (code, test_lines) = without_tests(&plain);
        Self { path: path.to_owned(), text: text.to_owned(), code, test_lines }
    }

    /// The first name below `src/`, without its ending: `engine`, `writer`.
    pub fn room(&self) -> &str {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
    }

    /// `["crate", "engine", "guard"]`.
    pub fn module(&self) -> Vec<String> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        let names = inner.split('/').filter(|name| !matches!(*name, "mod" | "lib" | "main"));
        std::iter::once("crate").chain(names).map(str::to_owned).collect()
    }

    /// Files that this one declares with `#[cfg(test)] mod name;`.
    pub fn test_modules(&self) -> BTreeSet<String> {
        let plain = without_literals(&self.text);
        let tokens = tokens(&plain);
        let texts: Vec<&str> = tokens.iter().map(|token| token.text).collect();
        let mut files = BTreeSet::new();
        for at in positions_of_test_attributes(&texts) {
            let rest = &texts[at..];
            let end = rest.iter().position(|text| matches!(*text, "{" | ";")).unwrap_or(rest.len());
            if rest.get(end) != Some(&";") || end < 2 || rest[end - 2] != "mod" {
                continue;
            }
            let stem = self.path.trim_end_matches(".rs");
            let folder = stem.strip_suffix("/mod").or(stem.strip_suffix("/lib")).unwrap_or(stem);
            files.insert(format!("{folder}/{}.rs", rest[end - 1]));
        }
        files
    }

    /// Every path and every single name in the code.
    pub fn names(&self) -> Vec<Named> {
        let tokens = tokens(&self.code);
        let mut named = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            if is_name(tokens[at].text) {
                at = chain(&tokens, at, &[], &mut named);
            } else {
                at += 1;
            }
        }
        let module = self.module();
        named
            .into_iter()
            .map(|Named { line, segments }| Named { line, segments: resolved(segments, &module) })
            .collect()
    }

    /// The names that the code defines, each with what it is: `("struct", "Remediation")`.
    pub fn definitions(&self) -> Vec<(usize, &str, &str)> {
        let tokens = tokens(&self.code);
        let kinds = ["struct", "enum", "union", "trait", "type", "mod", "fn", "const", "static", "macro_rules"];
        let pairs = tokens.windows(3).filter(|pair| kinds.contains(&pair[0].text));
        pairs
            .map(|pair| (pair[0].line, pair[0].text, if pair[1].text == "!" { pair[2].text } else { pair[1].text }))
            .filter(|(_, _, name)| is_name(name))
            .collect()
    }
}

fn resolved(mut segments: Vec<String>, module: &[String]) -> Vec<String> {
    let mut base = module.to_vec();
    match segments[0].as_str() {
        "remedyd" if segments.len() > 1 => {
            segments[0] = "crate".to_owned();
            return segments;
        }
        "self" if segments.len() > 1 => drop(segments.remove(0)),
        "super" => {
            while segments.first().is_some_and(|first| first == "super") {
                segments.remove(0);
                base.pop();
            }
        }
        _ => return segments,
    }
    base.extend(segments);
    base
}

/// Reads one path that begins at `at`, with all branches of a `{…}` group, and returns where it ends.
fn chain(tokens: &[Token<'_>], mut at: usize, prefix: &[String], named: &mut Vec<Named>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let line = tokens[at].line;
    let mut segments = prefix.to_vec();
    // `{self, …}` means the prefix itself.
    if text(at) != "self" || prefix.is_empty() {
        segments.push(text(at).to_owned());
    }
    at += 1;
    while text(at) == "::" {
        match text(at + 1) {
            "{" => {
                at += 2;
                while at < tokens.len() && text(at) != "}" {
                    at = if is_name(text(at)) { chain(tokens, at, &segments, named) } else { at + 1 };
                    // `as other`: a name of this file's own.
                    if text(at) == "as" {
                        at += 2;
                    }
                }
                return at + 1;
            }
            next if next == "*" || is_name(next) => {
                segments.push(next.to_owned());
                at += 2;
            }
            _ => break,
        }
    }
    named.push(Named { line, segments });
    at
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(Token { line: number + 1, text: &rest[..length] });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// Where, just after it, an attribute `#[cfg(test)]` stands.
fn positions_of_test_attributes(texts: &[&str]) -> Vec<usize> {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let found = texts.windows(ATTRIBUTE.len()).enumerate().filter(|(_, window)| **window == ATTRIBUTE);
    found.map(|(at, _)| at + ATTRIBUTE.len()).collect()
}

/// Blanks items behind `#[cfg(test)]` and counts their lines.
fn without_tests(plain: &str) -> (String, usize) {
    let tokens = tokens(plain);
    let texts: Vec<&str> = tokens.iter().map(|token| token.text).collect();
    let mut blank = BTreeSet::new();
    for start in positions_of_test_attributes(&texts) {
        let mut depth = 0_usize;
        let mut end = start;
        while end < texts.len() {
            match texts[end] {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && matches!(texts[end], "}" | ";") {
                break;
            }
            end += 1;
        }
        let last = tokens.get(end).or(tokens.last()).map_or(0, |token| token.line);
        blank.extend(tokens[start - 1].line..=last);
    }
    let kept = plain.lines().enumerate().map(|(at, line)| if blank.contains(&(at + 1)) { "" } else { line });
    (kept.collect::<Vec<_>>().join("\n"), blank.len())
}

/// Blanks comments and the content of literals; lines stay where they are.
fn without_literals(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut plain = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let end = literal_end(&characters, at);
        if end == at {
            plain.push(characters[at]);
            at += 1;
        } else {
            plain.extend(characters[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    plain
}

/// Where the comment or literal ends that begins at `at`; `at` itself if none does.
fn literal_end(text: &[char], at: usize) -> usize {
    let is = |offset: usize, wanted: char| text.get(at + offset) == Some(&wanted);
    let until = |mut end: usize, stop: &dyn Fn(usize) -> bool| {
        while end < text.len() && !stop(end) {
            end += if text[end] == '\\' { 2 } else { 1 };
        }
        (end + 1).min(text.len())
    };
    match text[at] {
        '/' if is(1, '/') => text[at..].iter().position(|c| *c == '\n').map_or(text.len(), |length| at + length),
        '/' if is(1, '*') => {
            let (mut depth, mut end) = (1, at + 2);
            while end < text.len() && depth > 0 {
                match (text[end], text.get(end + 1)) {
                    ('/', Some('*')) => (depth, end) = (depth + 1, end + 2),
                    ('*', Some('/')) => (depth, end) = (depth - 1, end + 2),
                    _ => end += 1,
                }
            }
            end.min(text.len())
        }
        '"' => until(at + 1, &|end| text[end] == '"'),
        'r' if at == 0 || !(text[at - 1].is_alphanumeric() || text[at - 1] == '_') || text[at - 1] == 'b' => {
            let hashes = text[at + 1..].iter().take_while(|c| **c == '#').count();
            if text.get(at + 1 + hashes) != Some(&'"') {
                return at;
            }
            let mut end = at + 2 + hashes;
            while end < text.len() {
                let closes =
                    text[end] == '"' && text[end + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
                end += 1;
                if closes {
                    break;
                }
            }
            (end + hashes).min(text.len())
        }
        // A quote is a character's only if another closes it; else it begins a lifetime.
        '\'' if is(1, '\\') => until(at + 1, &|end| text[end] == '\''),
        '\'' if is(2, '\'') => at + 3,
        _ => at,
    }
}
