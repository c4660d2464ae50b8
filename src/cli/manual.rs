//! `remedyd completion` and `remedyd man`: what is written down about the verbs, made from the verbs themselves.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;

use super::args::Cli;

/// Exit status where something could not be written.
const UNWRITTEN: u8 = 1;

/// How completions are put to use.
pub const COMPLETION_EXAMPLES: &str = "Examples:
  remedyd completion bash > /usr/share/bash-completion/completions/remedyd
  remedyd completion zsh > /usr/share/zsh/vendor-completions/_remedyd
  remedyd completion fish > /usr/share/fish/vendor_completions.d/remedyd.fish";

/// How manual pages are put to use.
pub const MAN_EXAMPLES: &str = "Example:
  remedyd man /usr/local/share/man && man remedyd-approve";

/// One page of the manual.
#[derive(Clone, Debug)]
pub struct Page {
    /// 1: commands, 5: files, 8: daemons.
    pub section: u8,
    /// Without the section: `remedyd-approve`.
    pub name: String,
    /// In troff.
    pub text: Vec<u8>,
}

/// Every page that is made from the code: one for the binary, one for each verb, and the configuration's.
///
/// # Errors
/// None that can happen: it is written into memory.
pub fn pages() -> io::Result<Vec<Page>> {
    let mut root = Cli::command();
    root.build();
    let mut pages = Vec::new();
    add(root, "remedyd".to_owned(), &mut pages)?;
    let text = super::reference::man_page().into_bytes();
    pages.push(Page { section: 5, name: "remedyd.toml".to_owned(), text });
    Ok(pages)
}

fn add(command: clap::Command, name: String, pages: &mut Vec<Page>) -> io::Result<()> {
    let below: Vec<clap::Command> =
        command.get_subcommands().filter(|verb| verb.get_name() != "help" && !verb.is_hide_set()).cloned().collect();
    let mut text = Vec::new();
    Man::new(command)
        .title(name.to_uppercase())
        .manual("remedyd")
        .source(concat!("remedyd ", env!("CARGO_PKG_VERSION")))
        .render(&mut text)?;
    for verb in below {
        let below = format!("{name}-{}", verb.get_name());
        add(verb, below, pages)?;
    }
    pages.push(Page { section: 1, name, text });
    Ok(())
}

/// Writes every page into `dir/man<section>`, in the layout that `man -M dir` reads.
pub fn write(dir: &Path, err: &mut impl Write) -> u8 {
    let written = pages().and_then(|pages| {
        pages.iter().try_for_each(|page| {
            let folder = dir.join(format!("man{}", page.section));
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(format!("{}.{}", page.name, page.section)), &page.text)
        })
    });
    match written {
        Ok(()) => 0,
        Err(error) => {
            // There is nowhere else to say it.
            let _ = writeln!(err, "remedyd: cannot write the pages into {}: {error}", dir.display());
            UNWRITTEN
        }
    }
}

/// Writes the completions for `shell`.
pub fn completion(shell: clap_complete::Shell, out: &mut impl Write) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "remedyd", &mut text);
    out.write_all(&text).and_then(|()| out.flush()).map_or(UNWRITTEN, |()| 0)
}
