//! The behaviours that the test host shows, by its own table.
use std::fs;

use xtask::project;

const SOURCE: &str = "images/src/hosts/test/main.rs";
const TABLE_BEGINS: &str = "const TESTS: &[Test] = &[";
const TABLE_ENDS: &str = "];";

/// Their names, in the table's order.
pub fn names() -> Vec<String> {
    let path = project::root().join(SOURCE);
    let source = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("the test host's table: {}: {error}", path.display()));
    in_table(&source).unwrap_or_else(|| panic!("{SOURCE} has no table that begins {TABLE_BEGINS}"))
}

/// Each entry is a name in quotes behind an opening bracket.
fn in_table(source: &str) -> Option<Vec<String>> {
    let (_, table) = source.split_once(TABLE_BEGINS)?;
    let (table, _) = table.split_once(TABLE_ENDS)?;
    let entries = table.split('(').skip(1);
    let names = entries.map(|entry| Some(entry.split('"').nth(1)?.to_string()));
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_understood() {
        let source = "const A: &[B] = &[(\"no\", x)];\n\
            const TESTS: &[Test] = &[\n    (\"query\", query::query),\n    (\n        \"exits\",\n\
            running::exits,\n    ),\n];\nfn f() { g(\"no\") }";
        assert_eq!(in_table(source).unwrap(), ["query", "exits"]);
        assert_eq!(in_table("no table"), None);
    }

    #[test]
    fn the_test_host_has_one() {
        let names = names();
        assert!(names.iter().any(|name| name == "query"), "{names:?}");
    }
}
