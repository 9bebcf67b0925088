//! What a console must say and what it must not.

/// A firmware or a host that gives up says one of these.
const LAST_WORDS: [&str; 2] = ["EPITAPH", "PANIC"];
/// Further lines that no good run has: failed tests, and log lines of these levels.
const FAULTS: [&str; 4] = ["FAILED", " WARN ", " ERROR ", " FATAL "];

/// What is wanted of the lines of a console.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Parts of lines that have to come in this order, whatever is between.
    golden: Vec<String>,
    /// Parts of lines that are no fault, though they look like one.
    allowed: Vec<String>,
    /// Parts of lines that must not come, beside the usual ones.
    forbidden: Vec<String>,
}

impl Expected {
    pub fn lines<Line: Into<String>>(golden: impl IntoIterator<Item = Line>) -> Self {
        Self {
            golden: golden.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// One more golden line.
    pub fn then(mut self, line: impl Into<String>) -> Self {
        self.golden.push(line.into());
        self
    }

    /// Lines with this part are no fault.
    pub fn allow(mut self, part: impl Into<String>) -> Self {
        self.allowed.push(part.into());
        self
    }

    /// Lines with this part are one.
    pub fn forbid(mut self, part: impl Into<String>) -> Self {
        self.forbidden.push(part.into());
        self
    }

    /// What is wrong with these lines.
    pub fn faults(&self, lines: &[String]) -> Vec<String> {
        let mut faults: Vec<String> = lines
            .iter()
            .filter(|line| self.is_fault(line))
            .map(|line| format!("must not be said: {line}"))
            .collect();
        let mut rest = lines.iter();
        for golden in &self.golden {
            if !rest.any(|line| line.contains(golden)) {
                faults.push(format!("not said, or not in its place: {golden}"));
                break;
            }
        }
        faults
    }

    fn is_fault(&self, line: &str) -> bool {
        let has_one_of = |parts: &[String]| parts.iter().any(|part| line.contains(part));
        let usual = FAULTS.iter().any(|fault| line.contains(fault));
        is_last_word(line) || (usual && !has_one_of(&self.allowed)) || has_one_of(&self.forbidden)
    }
}

/// Whether this line says that firmware or host has given up.
pub fn is_last_word(line: &str) -> bool {
    LAST_WORDS.iter().any(|word| line.contains(word))
}

/// Cuts bytes into lines, without line ends.
#[derive(Default)]
pub struct Lines {
    unfinished: Vec<u8>,
}

impl Lines {
    /// The lines that are complete with these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        for &byte in bytes {
            match byte {
                b'\n' => complete.push(text(&std::mem::take(&mut self.unfinished))),
                _ => self.unfinished.push(byte),
            }
        }
        complete
    }

    /// What came after the last line end.
    pub fn rest(&mut self) -> Option<String> {
        let rest = text(&std::mem::take(&mut self.unfinished));
        (!rest.is_empty()).then_some(rest)
    }
}

fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_end_matches('\r').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(expected: &Expected, lines: &[&str]) -> usize {
        let lines: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
        expected.faults(&lines).len()
    }

    #[test]
    fn golden_lines_come_in_order() {
        let expected = Expected::lines(["one", "two"]);
        assert_eq!(faults(&expected, &["x one", "", "two x"]), 0);
        assert_eq!(faults(&expected, &["two", "one"]), 1);
        assert_eq!(faults(&expected, &["one two"]), 1);
        assert_eq!(faults(&expected, &[]), 1);
    }

    #[test]
    fn faults_are_seen_unless_allowed() {
        let expected = Expected::default();
        let warning = "[0.1] WARN pir08: VCPU_CREATE is refused: argument 3 of [0]";
        assert_eq!(faults(&expected, &[warning]), 1);
        assert_eq!(faults(&expected.clone().allow("is refused"), &[warning]), 0);
        assert_eq!(faults(&expected, &["FAILED query: no"]), 1);
        assert_eq!(faults(&expected, &["a guest's ERRORS"]), 0);
    }

    #[test]
    fn last_words_are_never_allowed() {
        let expected = Expected::default().allow("EPITAPH").allow("PANIC");
        assert_eq!(faults(&expected, &["EPITAPH of thread 8", "PANIC"]), 2);
    }

    #[test]
    fn further_lines_can_be_forbidden() {
        let expected = Expected::default().forbid("to the host");
        assert_eq!(faults(&expected, &["catnap: to the host at 0"]), 1);
    }

    #[test]
    fn lines_are_put_together() {
        let mut lines = Lines::default();
        assert!(lines.push(b"cat").is_empty());
        assert_eq!(lines.push(b"nap\r\n\nho"), ["catnap", ""]);
        assert_eq!(lines.rest().as_deref(), Some("ho"));
        assert_eq!(lines.rest(), None);
    }
}
