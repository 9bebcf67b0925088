//! The tables in a page of the documentation: code blocks that begin with a table's heading.
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::report::{Table, digits};

const FENCE: &str = "```";

/// A count may be off by this part of it before the page is wrong: a compiler's choice here or there
/// doesn't make it so.
const TOLERATED: u64 = 20;

/// Puts the tables into the page, in place of those that are there.
pub fn write(path: &Path, tables: &[Table]) -> Result<()> {
    let page = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let mut page = page;
    for table in tables {
        page = with_table(&page, table)?;
    }
    fs::write(path, page).with_context(|| format!("writing {}", path.display()))
}

fn with_table(page: &str, table: &Table) -> Result<String> {
    let Some((before, _, after)) = block(page, &table.heading()) else {
        bail!(
            "the page has no block that begins with: {}",
            table.heading()
        );
    };
    Ok(format!("{before}{}\n{after}", table.text()))
}

/// What is before a block with this first line, its text, and what is after it.
fn block<'a>(page: &'a str, heading: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let start = page.find(&format!("{FENCE}text\n{heading}\n"))? + FENCE.len() + "text\n".len();
    let len = page[start..].find(&format!("\n{FENCE}"))? + 1;
    let (before, rest) = page.split_at(start);
    let (text, after) = rest.split_at(len);
    Some((before, text, after))
}

/// In what the page isn't true of these tables: rows that are missing, and counts.
pub fn differences(page: &str, tables: &[Table]) -> Vec<String> {
    let of_table = |table: &Table| match block(page, &table.heading()) {
        Some((_, text, _)) => differences_of(text, table),
        None => vec![format!("no table: {}", table.heading())],
    };
    tables.iter().flat_map(of_table).collect()
}

fn differences_of(text: &str, table: &Table) -> Vec<String> {
    let fault = |row: &super::report::Row| {
        let said = text.lines().find_map(|line| said(line, &row.name));
        let near = |said: u64| said.abs_diff(row.count) <= row.count / TOLERATED;
        match said {
            Some(said) if near(said) => None,
            Some(said) => Some(format!("{}: {said}", row.name)),
            None => Some(format!("{}: not there", row.name)),
        }
        .map(|what| format!("{}: {what}, and it's {}", table.title, digits(row.count)))
    };
    table.rows.iter().filter_map(fault).collect()
}

/// The first number of the row with this name.
fn said(line: &str, name: &str) -> Option<u64> {
    let rest = line.strip_prefix("  ")?.strip_prefix(name)?;
    let number = rest.strip_prefix(' ')?.split_whitespace().next()?;
    number.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::Row;

    fn table(counts: [u64; 2]) -> Table {
        let names = ["1 vcpu", "1 vcpu, with FP"];
        let rows = names.into_iter().zip(counts);
        Table {
            bench: "vcore",
            title: "runs",
            unit: "instructions",
            rows: rows.map(|(name, count)| Row::new(name, count)).collect(),
            notes: vec!["a note".into()],
        }
    }

    const EMPTY: &str = "before\n```text\nvcore: runs, in instructions\n```\nafter\n";

    #[test]
    fn a_table_is_put_into_its_place() {
        let page = with_table(EMPTY, &table([1000, 20_000])).unwrap();
        assert!(page.starts_with("before\n```text\nvcore: runs"));
        assert!(page.ends_with("  a note\n```\nafter\n"));
        assert_eq!(differences(&page, &[table([1000, 20_000])]), [""; 0]);
        let again = with_table(&page, &table([1000, 20_000])).unwrap();
        assert_eq!(again, page);
        with_table("no block", &table([1, 2])).unwrap_err();
    }

    #[test]
    fn what_is_wrong_is_told() {
        let page = with_table(EMPTY, &table([1000, 20_000])).unwrap();
        assert_eq!(differences(&page, &[table([1040, 19_300])]), [""; 0]);
        let wrong = differences(&page, &[table([1000, 22_000])]);
        assert_eq!(wrong, ["runs: 1 vcpu, with FP: 20000, and it's 22,000"]);
        assert_eq!(differences(EMPTY, &[table([1, 2])]).len(), 2);
        assert_eq!(differences("", &[table([1, 2])]).len(), 1);
    }
}
