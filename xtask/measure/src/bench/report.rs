//! What was counted, as a table and as JSON.
use serde_json::{Value, json};

/// Somebody else's count of the same work.
#[derive(Clone, Debug)]
pub struct Peer {
    pub name: &'static str,
    pub count: u64,
    /// Where the figure is from.
    pub source: String,
}

/// A line of a table.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub count: u64,
    /// What the architecture forces.
    pub floor: Option<u64>,
    pub peer: Option<Peer>,
}

impl Row {
    pub fn new(name: impl Into<String>, count: u64) -> Self {
        Self {
            name: name.into(),
            count,
            floor: None,
            peer: None,
        }
    }

    #[must_use]
    pub fn over(self, floor: u64) -> Self {
        Self {
            floor: Some(floor),
            ..self
        }
    }

    #[must_use]
    pub fn beside(self, peer: Option<Peer>) -> Self {
        Self { peer, ..self }
    }
}

/// Rows with a heading.
#[derive(Clone, Debug)]
pub struct Table {
    pub bench: &'static str,
    pub title: &'static str,
    /// What is counted: `instructions`, `bytes`.
    pub unit: &'static str,
    pub rows: Vec<Row>,
    /// What has to be known of the rows.
    pub notes: Vec<String>,
}

const NAME_WIDTH: usize = 46;

impl Table {
    pub fn heading(&self) -> String {
        format!("{}: {}, in {}", self.bench, self.title, self.unit)
    }

    pub fn text(&self) -> String {
        let mut lines = vec![self.heading()];
        let peer = self.rows.iter().find_map(|row| row.peer.as_ref());
        let has_floor = self.rows.iter().any(|row| row.floor.is_some());
        let mut head = format!("  {:NAME_WIDTH$} {:>11}", "", "catnap");
        if has_floor {
            head += &format!(" {:>9} {:>6}", "floor", "ratio");
        }
        if let Some(peer) = peer {
            head += &format!(" {:>12} {:>6}", peer.name, "ratio");
        }
        lines.push(head);
        for row in &self.rows {
            let mut line = format!("  {:NAME_WIDTH$} {:>11}", row.name, digits(row.count));
            if has_floor {
                line += &cells(row.floor, row.count, 9);
            }
            line += &cells(row.peer.as_ref().map(|peer| peer.count), row.count, 12);
            lines.push(line.trim_end().to_string());
        }
        lines.extend(self.notes.iter().map(|note| format!("  {note}")));
        lines.join("\n")
    }

    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            let mut value = json!({ "name": row.name, "catnap": row.count });
            if let Some(floor) = row.floor {
                value["floor"] = floor.into();
            }
            if let Some(peer) = &row.peer {
                value["peer"] =
                    json!({ "name": peer.name, "count": peer.count, "source": peer.source });
            }
            value
        };
        json!({
            "bench": self.bench,
            "title": self.title,
            "unit": self.unit,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

fn cells(other: Option<u64>, count: u64, width: usize) -> String {
    match other {
        None | Some(0) => format!(" {:width$} {:6}", "", ""),
        Some(other) => {
            let ratio = ratio(count as f64 / other as f64);
            format!(" {:>width$} {ratio:>6}", digits(other))
        }
    }
}

/// With as many places as tell something.
fn ratio(ratio: f64) -> String {
    match ratio {
        0.1.. => format!("{ratio:.2}"),
        _ => format!("{ratio:.4}"),
    }
}

/// With commas between thousands.
pub fn digits(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let peer = Peer {
            name: "skiboot",
            count: 2000,
            source: "here".into(),
        };
        Table {
            bench: "vcore",
            title: "runs",
            unit: "instructions",
            rows: vec![
                Row::new("one", 1000).over(400).beside(Some(peer)),
                Row::new("two", 7),
            ],
            notes: vec!["a note".into()],
        }
    }

    #[test]
    fn numbers_have_commas() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(digits),
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn ratios_are_to_floor_and_peer() {
        let text = table().text();
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_string)
                .collect::<Vec<_>>()
        };
        let lines: Vec<_> = text.lines().map(words).collect();
        assert_eq!(lines[1], ["catnap", "floor", "ratio", "skiboot", "ratio"]);
        assert_eq!(lines[2], ["one", "1,000", "400", "2.50", "2,000", "0.50"]);
        assert_eq!(lines[3], ["two", "7"]);
        assert_eq!(lines[4], ["a", "note"]);
    }

    #[test]
    fn json_has_what_is_known() {
        let json = table().json();
        assert_eq!(json["rows"][0]["peer"]["count"], 2000);
        assert_eq!(json["rows"][0]["floor"], 400);
        assert!(json["rows"][1].get("peer").is_none());
    }
}
