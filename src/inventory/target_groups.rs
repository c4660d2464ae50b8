//! Lists of targets with labels, as Prometheus reads them from `file_sd` files and from `http_sd`: JSON or YAML, which is
//! one language here, since YAML 1.2 contains JSON. Every part knows its line and column.
//!
//! ```json
//! [{"targets": ["gpu-node-7:9100", "gpu-node-8:9100"], "labels": {"cluster": "train-a", "rack": "r7"}}]
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

/// A place in a text; both from 1, the column in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A text and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What stands there.
    pub text: String,
    /// Where.
    pub at: Place,
}

/// Targets that have their labels in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Host and port, as Prometheus would scrape them.
    pub targets: Vec<Placed>,
    /// By name.
    pub labels: BTreeMap<String, Placed>,
}

/// Text that is no list of target groups.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct NoGroups {
    /// Where that shows.
    pub at: Place,
    /// What is wrong.
    pub what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    targets: Vec<Spanned<String>>,
    labels: Option<BTreeMap<String, Spanned<String>>>,
}

/// The most parts of one text: four per target and label of 100,000 machines.
const MOST_PARTS: usize = 4_000_000;

/// Reads a text.
///
/// # Errors
/// It is neither JSON nor YAML, or not the list that Prometheus takes. A text without anything but comments is no empty
/// list: whoever wrote it may have been cut off before the first entry.
pub fn parse(text: &str) -> Result<Vec<Group>, NoGroups> {
    let says_nothing = |line: &str| line.is_empty() || line.starts_with(['#', '%']);
    if text.lines().map(str::trim).all(says_nothing) {
        let what = "is empty; a list without targets is written []".to_owned();
        return Err(NoGroups { at: Place { line: 1, column: 1 }, what });
    }
    let budget = serde_saphyr::budget! { max_events: MOST_PARTS, max_nodes: MOST_PARTS };
    let options = serde_saphyr::options! { budget: budget, with_snippet: false };
    let written: Vec<Written> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let at = error.location().map_or(Place { line: 1, column: 1 }, place);
        let what = error.without_snippet().to_string();
        // The place is told by itself.
        let what = what.split(" at line ").next().and_then(|what| what.lines().next()).unwrap_or_default();
        NoGroups { at, what: what.to_owned() }
    })?;
    let placed = |text: Spanned<String>| Placed { at: place(text.referenced), text: text.value };
    let group = |written: Written| Group {
        targets: written.targets.into_iter().map(placed).collect(),
        labels: written.labels.unwrap_or_default().into_iter().map(|(name, text)| (name, placed(text))).collect(),
    };
    Ok(written.into_iter().map(group).collect())
}

fn place(location: Location) -> Place {
    let from_one = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).max(1);
    Place { line: from_one(location.line()), column: from_one(location.column()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_say_the_same() {
        let json = "[\n\t{\n\t\t\"targets\": [\"n1:9100\", \"[::1]:9100\"],\n\t\t\"labels\": {\"cluster\": \"a\", \"rack\": \"7\"}\n\t}\n]\n";
        let yaml = "# by hand\n- targets:\n  - n1:9100\n  - '[::1]:9100'\n  labels:\n    cluster: a\n    rack: 7\n";
        let plain = |text| {
            let groups = parse(text).unwrap();
            let [group] = &groups[..] else { panic!("{groups:?}") };
            let texts = |placed: &Placed| placed.text.clone();
            let labels: BTreeMap<_, _> = group.labels.iter().map(|(name, text)| (name.clone(), texts(text))).collect();
            (group.targets.iter().map(texts).collect::<Vec<_>>(), labels)
        };
        assert_eq!(plain(json), plain(yaml));
        assert_eq!(plain(json).0, ["n1:9100", "[::1]:9100"]);
        let groups = parse(yaml).unwrap();
        assert_eq!(groups[0].labels["rack"].at, Place { line: 7, column: 11 });
        assert_eq!(groups[0].targets[1].at, Place { line: 4, column: 5 });
        assert_eq!(parse("[]"), Ok(vec![]));
    }

    #[test]
    fn mistakes_have_their_place() {
        for (text, line, column) in [
            ("", 1, 1),
            (" \n", 1, 1),
            ("# managed by a tool that was cut off\n", 1, 1),
            ("{}", 1, 1),
            // The bracket that nothing closes.
            ("[{\"targets\": [\"a\"]}", 1, 1),
            ("[{\"targets\": [\"a\"]},\n {\"labels\": {}}]", 2, 3),
            ("[{\"targets\": [\"a\"],\n \"lables\": {}}]", 2, 2),
            ("- targets: [a]\n  labels: [x]\n", 2, 11),
            ("- targets:\n  - a: b\n", 2, 5),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!((error.at.line, error.at.column), (line, column), "{text:?}: {error:?}");
            assert!(!error.what.is_empty() && !error.what.contains("line "), "{error:?}");
        }
    }

    #[test]
    fn a_bomb_of_aliases_does_not_go_off() {
        let mut bomb = "- &a0 {targets: [x]}\n".to_owned();
        for n in 1..30 {
            bomb += &format!("- &a{n} [*a{}, *a{}, *a{}, *a{}]\n", n - 1, n - 1, n - 1, n - 1);
        }
        assert!(parse(&bomb).is_err());
    }
}
