//! File patterns of the configuration: `rules.d/*.toml`.
//!
//! `*` and `?` stand only in the last part, so that the folders to watch are known before any file exists. Names that
//! begin with a dot match no pattern: editors and Kubernetes keep their own business under such names.

use std::path::{Path, PathBuf};

use super::document::{Files, folder_of};

/// The files that `pattern` stands for, seen from `base`, in order of their names.
pub(super) fn expand(base: &Path, pattern: &str, files: &mut Files) -> Result<Vec<PathBuf>, String> {
    let path = beside(base, pattern);
    let folder = folder_of(&path);
    let (folders, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    if folders.contains(['*', '?']) {
        return Err(format!("`{pattern}`: `*` and `?` may stand only behind the last `/`"));
    }
    if !name.contains(['*', '?']) {
        return Ok(vec![path]);
    }
    let names = files.list(&folder).map_err(|err| format!("cannot list {}: {err}", folder.display()))?;
    let mut found = Vec::new();
    for file_name in names {
        let is_wanted = file_name.to_str().is_some_and(|text| !text.starts_with('.') && fits(name, text));
        // What is no file is found all the same: to pass over it would be to forget, without a word, what it should say.
        if is_wanted {
            found
                .push(beside(base, &format!("{folders}{}", if folders.is_empty() { "" } else { "/" })).join(file_name));
        }
    }
    Ok(found)
}

/// A path as a file in `base` writes it; an absolute one stays as it is.
pub(super) fn beside(base: &Path, path: &str) -> PathBuf {
    // Joining to "." would put "./" in front of every path that a message names.
    if base == Path::new(".") { PathBuf::from(path) } else { base.join(path) }
}

/// Whether `text` fits `pattern`: `*` stands for any characters, `?` for one.
fn fits(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| fits(rest.as_str(), &text[at..]))
        }
        Some(wanted) => {
            let mut found = text.chars();
            found.next().is_some_and(|c| wanted == '?' || wanted == c) && fits(rest.as_str(), found.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_pattern_covers_the_whole_name() {
        for (pattern, text, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", "a.toml~", false),
            ("*.toml", ".toml", true),
            ("1?-*.toml", "10-x.toml", true),
            ("1?-*.toml", "1-x.toml", false),
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("ü?", "üß", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn lists_files_by_name_and_passes_over_hidden_ones() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", ".c.toml", "d.toml~"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = expand(dir.path(), "*.toml", &mut Files::default()).unwrap();
        assert_eq!(found, [dir.path().join("a.toml"), dir.path().join("b.toml")]);
        assert!(expand(dir.path(), "*/a.toml", &mut Files::default()).unwrap_err().contains("behind the last"));
    }
}
