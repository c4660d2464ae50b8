//! What is wrong with a configuration, and where.
//!
//! Reading goes on after a mistake, so that one run shows all of them. [`Mistakes`] collects; it is shared by every
//! reader of one load, which is why adding needs no exclusive access.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

/// One mistake, or one warning, with its place: `FILE:LINE:COLUMN: key: what and why`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// In which file, as it is reached from the main file's path.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Dotted path of the key, such as `rules.gpu-ecc.mode`; `syntax` where the text is no TOML.
    pub key: String,
    /// What is wrong, why, and what would be right.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, key, what } = self;
        write!(out, "{}:{line}:{column}: {key}: {what}", file.display())
    }
}

/// The mistakes and warnings of one load.
#[derive(Debug, Default)]
pub(super) struct Mistakes {
    certain: RefCell<Vec<Mistake>>,
    doubtful: RefCell<Vec<Mistake>>,
    warnings: RefCell<Vec<Mistake>>,
    syntax: RefCell<Vec<Mistake>>,
}

impl Mistakes {
    /// A mistake whatever the rest says.
    pub(super) fn add(&self, mistake: Mistake) {
        self.certain.borrow_mut().push(mistake);
    }

    /// Something missing, or a name that nothing has: where a file cannot be read as TOML, that may be only because
    /// of the part that was lost, so it is said only when every file could be read.
    pub(super) fn add_doubtful(&self, mistake: Mistake) {
        self.doubtful.borrow_mut().push(mistake);
    }

    /// Text that is no TOML.
    pub(super) fn add_syntax(&self, mistake: Mistake) {
        self.syntax.borrow_mut().push(mistake);
    }

    /// Legal, but probably not meant.
    pub(super) fn warn(&self, warning: Mistake) {
        self.warnings.borrow_mut().push(warning);
    }

    /// All mistakes in order of file and place, or the warnings when there is none.
    pub(super) fn into_result(self) -> Result<Vec<Mistake>, Vec<Mistake>> {
        let mut all = self.syntax.into_inner();
        let broken: Vec<_> = all.iter().map(|mistake| (mistake.file.clone(), mistake.line)).collect();
        // What recovery made of a broken line is guesswork.
        all.extend(
            self.certain.into_inner().into_iter().filter(|found| !broken.contains(&(found.file.clone(), found.line))),
        );
        if broken.is_empty() {
            all.extend(self.doubtful.into_inner());
        }
        all.sort();
        all.dedup();
        if all.is_empty() {
            let mut warnings = self.warnings.into_inner();
            warnings.sort();
            Ok(warnings)
        } else {
            Err(all)
        }
    }
}
