//! The text format of Prometheus, as far as a probe needs it: the samples whose names begin with a prefix.
//!
//! Lines of other metrics, comments and empty lines are passed over unread. A line that is wanted and cannot be read spoils
//! the whole: half a scrape is no evidence.

/// Names, and values without their escapes.
type Labels<'a> = Vec<(&'a str, String)>;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    /// The metric.
    pub(super) name: &'a str,
    labels: Labels<'a>,
    /// Its value; may be NaN or infinite.
    pub(super) value: f64,
}

impl Sample<'_> {
    /// The value of the first of these labels that is there and not empty.
    pub(super) fn label(&self, names: &[&str]) -> Option<&str> {
        let of = |name: &&str| self.labels.iter().find(|(known, value)| known == name && !value.is_empty());
        names.iter().find_map(of).map(|(_, value)| value.as_str())
    }
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct Unreadable {
    line: usize,
    what: &'static str,
}

/// The samples of the metrics whose names begin with `prefix`, in their order.
pub(super) fn samples<'a>(text: &'a str, prefix: &str) -> Result<Vec<Sample<'a>>, Unreadable> {
    let lines = text.split('\n').enumerate().map(|(number, line)| (number + 1, line.trim()));
    let wanted = lines.filter(|(_, line)| line.starts_with(prefix));
    wanted.map(|(number, line)| sample(line).map_err(|what| Unreadable { line: number, what })).collect()
}

fn sample(line: &str) -> Result<Sample<'_>, &'static str> {
    let end = line.find(|letter: char| !(letter.is_ascii_alphanumeric() || "_:".contains(letter)));
    let (name, rest) = line.split_at(end.ok_or("a name without a value")?);
    let (labels, rest) = match rest.trim_start().strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    let mut words = rest.split_ascii_whitespace();
    let value = words.next().ok_or("no value")?.parse().map_err(|_| "the value is no number")?;
    if words.next().is_some_and(|timestamp| timestamp.parse::<i64>().is_err()) {
        return Err("the timestamp is no number");
    }
    if words.next().is_some() {
        return Err("something follows the timestamp");
    }
    Ok(Sample { name, labels, value })
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Result<(Labels<'_>, &str), &'static str> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, after) = rest.split_once('=').ok_or("the labels have no end")?;
        let quoted = after.trim_start().strip_prefix('"').ok_or("a label's value is not in quotes")?;
        let (value, after) = value(quoted)?;
        labels.push((name.trim(), value));
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err("the labels have no end"),
        }
    }
}

/// A label's value up to its closing quote, and what follows that.
fn value(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match letters.next() {
                Some((_, 'n')) => '\n',
                Some((_, escaped @ ('\\' | '"'))) => escaped,
                _ => return Err("an unknown escape in a label's value"),
            }),
            plain => value.push(plain),
        }
    }
    Err("a label's value has no end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_line_is_read() {
        let text = concat!(
            "# HELP D_A something with D_B{ in it\r\n# TYPE D_A gauge\r\n",
            "D_A{gpu=\"0\", UUID=\"GPU-1\",} 64\r\n",
            "D_A {path=\"C:\\\\x\\\"y\\n\",e=\"}\"} +Inf 1700000000000\n\n",
            "go_threads{broken 7\nD_B NaN\n  D_C 1e3",
        );
        let read = samples(text, "D_").unwrap();
        let names: Vec<(&str, f64)> = read.iter().map(|sample| (sample.name, sample.value)).collect();
        assert_eq!(names[..2], [("D_A", 64.0), ("D_A", f64::INFINITY)]);
        assert!(names[2].0 == "D_B" && names[2].1.is_nan());
        assert_eq!(names[3], ("D_C", 1000.0));
        assert_eq!(read[0].label(&["uuid", "UUID"]), Some("GPU-1"));
        assert_eq!(read[1].label(&["path"]), Some("C:\\x\"y\n"));
        assert_eq!(read[1].label(&["e"]), Some("}"));
        assert_eq!(read[1].label(&["gpu"]), None);
    }

    #[test]
    fn a_wanted_line_that_cannot_be_read_spoils_the_whole() {
        for (line, what) in [
            ("D_A", "a name without a value"),
            ("D_A{gpu=\"0\"}", "no value"),
            ("D_A{gpu=\"0\"} x", "the value is no number"),
            ("D_A{gpu=\"0", "a label's value has no end"),
            ("D_A{gpu=\"0\"", "the labels have no end"),
            ("D_A{gpu", "the labels have no end"),
            ("D_A{gpu=0} 1", "a label's value is not in quotes"),
            ("D_A{gpu=\"\\t\"} 1", "an unknown escape in a label's value"),
            ("D_A{gpu=\"0\" x=\"1\"} 1", "the labels have no end"),
            ("D_A 1 soon", "the timestamp is no number"),
            ("D_A 1 2 3", "something follows the timestamp"),
        ] {
            let text = format!("D_A 1\n{line}\n");
            assert_eq!(samples(&text, "D_"), Err(Unreadable { line: 2, what }), "{line}");
        }
    }
}
