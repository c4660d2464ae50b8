//! The verbs that talk to a daemon, as the program that people run, against a daemon that runs.

mod support;

#[path = "cli/asking.rs"]
mod asking;
#[path = "cli/checks.rs"]
mod checks;
#[path = "cli/codes.rs"]
mod codes;
#[path = "cli/deciding.rs"]
mod deciding;
#[path = "cli/forms.rs"]
mod forms;
#[path = "cli/pages.rs"]
mod pages;
#[path = "cli/pausing.rs"]
mod pausing;
#[path = "cli/watching.rs"]
mod watching;
