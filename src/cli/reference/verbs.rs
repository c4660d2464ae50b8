//! The page of the command line: the help of every verb, as the program itself gives it.

/// As wide as the program's own help gets.
const WIDTH: usize = 100;

/// The whole page.
pub(super) fn markdown(program: clap::Command) -> String {
    let mut program = program.term_width(WIDTH);
    program.build();
    hide_surroundings(&mut program);
    let mut page = "# Command line\n\nMade by `remedyd reference cli`.\n".to_owned();
    add(&mut program, &mut page);
    page
}

/// What the environment sets here is nobody else's business.
fn hide_surroundings(verb: &mut clap::Command) {
    *verb = std::mem::take(verb).mut_args(|flag| flag.hide_env_values(true));
    verb.get_subcommands_mut().for_each(hide_surroundings);
}

/// One verb and what is below it, as it will be parsed.
fn add(verb: &mut clap::Command, page: &mut String) {
    let name = verb.get_bin_name().unwrap_or(verb.get_name()).to_owned();
    let help = verb.render_long_help().to_string();
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    page.push_str(&format!("\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n")));
    for below in verb.get_subcommands_mut() {
        if below.get_name() != "help" && !below.is_hide_set() {
            add(below, page);
        }
    }
}
