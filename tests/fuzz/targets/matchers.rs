//! Any text as matchers: what is read prints, and reads again as the same; what is refused names a place inside the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remedyd::domain::matcher::Matchers;

fuzz_target!(|text: &str| {
    let matchers = match Matchers::parse(text) {
        Ok(matchers) => matchers,
        Err(bad) => {
            let most = text.chars().count() + 1;
            assert!((1..=most).contains(&bad.column), "column {} of {most}", bad.column);
            assert!(!bad.why.is_empty());
            return;
        }
    };
    let printed = matchers.to_string();
    let again = Matchers::parse(&printed).unwrap_or_else(|bad| panic!("{printed:?}: {bad}"));
    assert_eq!(printed, again.to_string(), "the canonical form is not canonical");
    assert_eq!(matchers.label_names(), again.label_names());
    // Pieces of the text itself are the values that are most likely to tell two matchers apart.
    for value in ["", text, "a", "\n"].into_iter().chain(text.split(['"', '=', '|', ','])) {
        assert_eq!(matchers.matches(|_| value), again.matches(|_| value), "{value:?}");
    }
    let both = matchers.clone().and(again);
    assert_eq!(both.matches(|_| text), matchers.matches(|_| text), "twice is not the same as once");
});
