//! The table of behaviours in docs/behaviours.md: none may be missing, and each names code and tests that
//! there are. So do the tables of what can go wrong.
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use xtask::project;

const TABLE: &str = "docs/behaviours.md";
/// Its tables whose last column is `test`.
const FAULTS: &str = "docs/design/errors-and-fences.md";
/// Rows that there must be, by their letter.
const ROWS: [(char, u32); 3] = [('B', 37), ('L', 9), ('M', 2)];
/// Folders in which code and its tests are.
const CRATES: [&str; 9] = [
    "asm",
    "firmware",
    "firmware/vcore",
    "hcalls",
    "images",
    "platform",
    "skiboot-compat",
    "tests",
    "xtask",
];
/// Where the column with the code looks, if not in a crate's folder.
const USUAL: &str = "firmware/src";

/// A row: its number, and what its last two columns have in quotes.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    number: String,
    code: Vec<String>,
    tests: Vec<String>,
}

/// What is wrong with the table. `trials` are those that boot the machine.
///
/// # Errors
/// All faults, a line each.
pub fn check(trials: &BTreeSet<String>) -> Result<(), String> {
    let root = project::root();
    let page = |name| fs::read_to_string(root.join(name)).map_err(|why| format!("{name}: {why}"));
    let rows = rows(&page(TABLE)?);
    let mut faults = missing(&rows);
    let sources = CRATES.map(|krate| (name_of(krate), sources(&root.join(krate))));
    let tested = |name: &str| is_trial(trials, name) || is_unit_test(&sources, name);
    for row in &rows {
        faults.extend(code_faults(&root, row));
        if row.tests.is_empty() {
            faults.push(format!("{}: no test", row.number));
        }
        let unnamed = row
            .tests
            .iter()
            .filter(|name| !says(&sources, name, &row.number));
        faults.extend(unnamed.map(|name| format!("{}: `{name}` doesn't say so", row.number)));
        let unknown = row.tests.iter().filter(|name| !tested(name));
        faults.extend(unknown.map(|name| format!("{}: there is no test `{name}`", row.number)));
    }
    let unknown = last_columns(&page(FAULTS)?)
        .into_iter()
        .filter(|name| !tested(name));
    faults.extend(unknown.map(|name| format!("{FAULTS}: there is no test `{name}`")));
    match faults.is_empty() {
        true => Ok(()),
        false => Err(format!("{TABLE}:\n{}", faults.join("\n"))),
    }
}

/// Rows begin with a letter and a number, and have four columns.
fn rows(text: &str) -> Vec<Row> {
    let cells = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let numbered = cells[0]
            .strip_prefix(['B', 'H', 'L', 'M'])?
            .parse::<u32>()
            .is_ok();
        (numbered && cells.len() == 5).then_some(cells)
    });
    let row = |cells: Vec<&str>| Row {
        number: cells[0].into(),
        code: quoted(cells[2]),
        tests: quoted(cells[3]),
    };
    cells.map(row).collect()
}

/// What the last column has in quotes, of all tables in which it is headed `test`.
fn last_columns(text: &str) -> Vec<String> {
    let rows = text.split("| test |\n").skip(1);
    let rows = rows.flat_map(|rest| rest.lines().take_while(|line| line.starts_with('|')));
    rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next())
        .flat_map(quoted)
        .collect()
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(String::from)
        .collect()
}

fn missing(rows: &[Row]) -> Vec<String> {
    let wanted = ROWS
        .iter()
        .flat_map(|&(letter, last)| (1..=last).map(move |n| format!("{letter}{n}")));
    let times = |number: &String| rows.iter().filter(|row| row.number == *number).count();
    let faults = wanted.filter_map(|number| match times(&number) {
        0 => Some(format!("{number}: no row")),
        1 => None,
        more => Some(format!("{number}: {more} rows")),
    });
    faults.collect()
}

/// A behaviour of the test host, which has a trial for each way in which QEMU executes threads; or the
/// name of one or more trials, without what comes behind the last `::`.
fn is_trial(trials: &BTreeSet<String>, name: &str) -> bool {
    let prefixes = [format!("behaviours::{name}::"), format!("{name}::")];
    let begins = |trial: &String| prefixes.iter().any(|prefix| trial.starts_with(prefix));
    trials.contains(name) || trials.iter().any(begins)
}

/// `crate::…::function`.
fn is_unit_test(sources: &[(&str, Vec<String>)], name: &str) -> bool {
    let Some((first, function)) = name.split_once("::") else {
        return false;
    };
    let function = function.rsplit("::").next().unwrap_or(function);
    let files = sources.iter().filter(|(name, _)| *name == first);
    files
        .flat_map(|(_, files)| files)
        .any(|file| has_test(file, function))
}

fn has_test(source: &str, function: &str) -> bool {
    let tests = source.split("#[test]").skip(1);
    let named = |rest: &str| {
        let (_, rest) = rest.split_once("fn ")?;
        rest.split_once('(').map(|(name, _)| name == function)
    };
    tests.filter_map(named).any(|it| it)
}

/// The comment of a test's function has the row's number. Trials that aren't behaviours of the test
/// host have no function of their own.
fn says(sources: &[(&str, Vec<String>)], name: &str, number: &str) -> bool {
    let first = name.split("::").next().unwrap_or(name);
    let is_function = first == name || sources.iter().any(|(name, _)| *name == first);
    let function = name.rsplit("::").next().unwrap_or(name);
    let texts = sources.iter().flat_map(|(_, files)| files);
    let mut comments = texts.filter_map(|text| comment_of(text, function));
    !is_function || comments.any(|comment| numbers(&comment).contains(number))
}

/// The comment in front of a function.
fn comment_of(source: &str, function: &str) -> Option<String> {
    let (before, _) = source.split_once(&format!("fn {function}("))?;
    let (before, _) = before.rsplit_once('\n')?;
    let lines = before.lines().rev().map(str::trim_start);
    let lines = lines.take_while(|line| line.starts_with("///") || line.starts_with("#["));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

/// The numbers of rows in a text, such as `B9` or `B26–B28`.
fn numbers(text: &str) -> BTreeSet<String> {
    let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '–');
    let of_word = |word: &str| -> Option<Vec<String>> {
        let (first, last) = word.split_once('–').unwrap_or((word, word));
        let letter = first.chars().next().filter(|it| "BHLM".contains(*it))?;
        let number = |it: &str| it.strip_prefix(letter)?.parse::<u32>().ok();
        let all = number(first)?..=number(last)?;
        Some(all.map(|number| format!("{letter}{number}")).collect())
    };
    words.filter_map(of_word).flatten().collect()
}

/// Files that aren't there, and functions that the file before them doesn't have.
fn code_faults(root: &Path, row: &Row) -> Vec<String> {
    let mut faults = Vec::new();
    let mut file = None;
    for name in &row.code {
        if name.ends_with(".rs") {
            file = source(root, name);
            if file.is_none() {
                faults.push(format!("{}: there is no {name}", row.number));
            }
        } else if let Some(file) = &file
            && !file.contains(&format!("fn {name}("))
            && !file.contains(&format!("fn {name}<"))
        {
            faults.push(format!("{}: no function `{name}`", row.number));
        }
    }
    if row.code.is_empty() {
        faults.push(format!("{}: no code", row.number));
    }
    faults
}

fn source(root: &Path, name: &str) -> Option<String> {
    let (folder, rest) = name.split_once('/').unwrap_or((name, ""));
    let path = match CRATES.iter().find(|krate| name_of(krate) == folder) {
        Some(krate) => root.join(krate).join(rest),
        None => root.join(USUAL).join(name),
    };
    fs::read_to_string(path).ok()
}

/// The crate in a folder.
fn name_of(krate: &str) -> &str {
    krate.rsplit('/').next().unwrap_or(krate)
}

/// The text of every source below a folder.
fn sources(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let texts = entries
        .flatten()
        .map(|entry| entry.path())
        .flat_map(
            |path| match (path.is_dir(), path.extension().is_some_and(|it| it == "rs")) {
                (true, _) => sources(&path),
                (false, true) => fs::read_to_string(&path).into_iter().collect(),
                (false, false) => Vec::new(),
            },
        );
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials() -> BTreeSet<String> {
        let names = [
            "behaviours::run1::single",
            "boot::all",
            "linux::kexec::6.12",
        ];
        names.map(String::from).into()
    }

    #[test]
    fn rows_are_understood() {
        let text = "| | behaviour | code | test |\n| --- | --- | --- | --- |\n\
            | B1 | what `x` | `a.rs`: `f`; `b.rs` | `run1`, `fence` (slow) |\n| Bad | |\n| B2 | — |";
        let wanted = Row {
            number: "B1".into(),
            code: ["a.rs", "f", "b.rs"].map(String::from).into(),
            tests: ["run1", "fence"].map(String::from).into(),
        };
        assert_eq!(rows(text), [wanted]);
    }

    #[test]
    fn a_row_must_be_there_once() {
        let row = |letter, number| Row {
            number: format!("{letter}{number}"),
            code: Vec::new(),
            tests: Vec::new(),
        };
        let all = ROWS
            .iter()
            .flat_map(|&(letter, last)| (1..=last).map(move |n| row(letter, n)));
        let mut all: Vec<_> = all.collect();
        assert_eq!(missing(&all), Vec::<String>::new());
        all.remove(3);
        all.push(row('L', 9));
        assert_eq!(missing(&all), ["B4: no row", "L9: 2 rows"]);
    }

    #[test]
    fn trials_are_found_by_the_part_of_their_names() {
        for (name, is) in [
            ("run1", true),
            ("boot::all", true),
            ("linux::kexec", true),
            ("behaviours::run1", true),
            ("run", false),
            ("all", false),
        ] {
            assert_eq!(is_trial(&trials(), name), is, "{name}");
        }
    }

    #[test]
    fn unit_tests_are_found_by_crate_and_function() {
        let source = "fn helper() {}\n#[test]\nfn it_holds() {}\n#[test]\n#[ignore]\nfn slow() {}";
        let sources = [("firmware", vec![source.to_string()])];
        for (name, is) in [
            ("firmware::smt::it_holds", true),
            ("firmware::slow", true),
            ("firmware::helper", false),
            ("platform::it_holds", false),
            ("it_holds", false),
        ] {
            assert_eq!(is_unit_test(&sources, name), is, "{name}");
        }
    }

    #[test]
    fn tests_in_last_columns_are_found() {
        let text = "| who | what |\n| --- | --- |\n| a | `no` |\n\n\
            | what | of it | test |\n| --- | --- | --- |\n| b | `no` | `fence`, `linux::kexec` |\n\
            | c | nothing | none |\n\n`no` | `no` |\n";
        assert_eq!(last_columns(text), ["fence", "linux::kexec"]);
    }

    #[test]
    fn numbers_and_ranges_are_read() {
        let found = numbers("/// Joins (B26–B28), at 0xB7.\n/// L2, H3. Bad, B, L1x.");
        let found: Vec<_> = found.iter().map(String::as_str).collect();
        assert_eq!(found, ["B26", "B27", "B28", "H3", "L2"]);
    }

    #[test]
    fn a_test_says_what_it_shows() {
        let source =
            "/// B1.\nfn other() {}\n\n/// Late\n/// joiners (B2–B4).\n#[test]\npub fn late() {}";
        let sources = [("images", vec![source.to_string()])];
        for (name, number, says_so) in [
            ("late", "B3", true),
            ("late", "B1", false),
            ("other", "B1", true),
            ("images::a::late", "B4", true),
            ("images::a::late", "B5", false),
            ("linux::kexec", "B5", true),
        ] {
            assert_eq!(says(&sources, name, number), says_so, "{name} {number}");
        }
    }

    #[test]
    fn code_must_be_there() {
        let row = |code: &[&str]| Row {
            number: "B1".into(),
            code: code.iter().copied().map(String::from).collect(),
            tests: Vec::new(),
        };
        let faults = |code: &[&str]| code_faults(&project::root(), &row(code));
        assert_eq!(
            faults(&["vcore/src/entry.rs", "leave", "tests/src/table.rs", "rows"]),
            [""; 0]
        );
        let wrong = ["vcore/src/none.rs", "asm/src/mitigations.rs", "none"];
        assert_eq!(
            faults(&wrong),
            [
                "B1: there is no vcore/src/none.rs",
                "B1: no function `none`"
            ]
        );
        assert_eq!(faults(&[]), ["B1: no code"]);
    }
}
