//! Arrows between the rooms of a crate go one way: the files and folders directly below `src` use each
//! other in no circle.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Uses = BTreeMap<String, BTreeSet<String>>;

/// What each room of the crate uses of the others, by `crate::…`.
fn uses_of(krate: &str) -> Uses {
    let src = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(krate)
        .join("src");
    let mut uses = Uses::new();
    for entry in fs::read_dir(src).unwrap() {
        let path = entry.unwrap().path();
        let room = path.file_stem().unwrap().to_string_lossy().into_owned();
        // A crate's root only lists its rooms; tests may use anything.
        if !["lib", "main"].contains(&room.as_str()) && !room.ends_with("_tests") {
            let used = uses.entry(room).or_default();
            texts(&path)
                .iter()
                .for_each(|text| used.extend(rooms_in(text)));
        }
    }
    let rooms: BTreeSet<String> = uses.keys().cloned().collect();
    for (room, used) in &mut uses {
        used.retain(|other| other != room && rooms.contains(other));
    }
    uses
}

/// A file's text, or those of all files in a folder, but for tests.
fn texts(path: &Path) -> Vec<String> {
    if path.is_dir() {
        let entries = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        return entries.flat_map(|path| texts(&path)).collect();
    }
    let is_test = path
        .file_stem()
        .unwrap()
        .to_string_lossy()
        .ends_with("tests");
    let text = fs::read_to_string(path).unwrap();
    let code = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    if is_test {
        Vec::new()
    } else {
        vec![code.into()]
    }
}

/// The rooms that a text names behind `crate::`, in lists too.
fn rooms_in(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut rooms = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split("};").next().unwrap_or_default();
                rooms.extend(list.split(',').map(|name| word(name.trim())));
            }
            None => drop(rooms.insert(word(rest))),
        }
    }
    rooms
}

fn word(text: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.chars().take_while(|&c| is_part(c)).collect()
}

/// A room that leads back to itself, if there is one.
fn circle(uses: &Uses) -> Option<&String> {
    uses.keys().find(|&room| {
        let mut reached = BTreeSet::new();
        let mut ahead: Vec<&String> = uses[room].iter().collect();
        while let Some(next) = ahead.pop() {
            if reached.insert(next) {
                ahead.extend(uses.get(next).into_iter().flatten());
            }
        }
        reached.contains(room)
    })
}

#[test]
fn rooms_use_each_other_in_no_circle() {
    for krate in [
        "hcalls",
        "asm",
        "skiboot-compat",
        "platform",
        "firmware",
        "firmware/vcore",
    ] {
        let uses = uses_of(krate);
        assert!(uses.len() > 3, "{krate} has few rooms: {uses:?}");
        assert_eq!(circle(&uses), None, "{krate}: {uses:#?}");
    }
}

/// The page on locks has each of them.
#[test]
fn every_lock_is_in_the_order_of_locks() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/design/locking.md")).unwrap();
    let page = page.split("## Words").next().unwrap();
    let mut locks = 0;
    for krate in ["platform", "firmware"] {
        let text = texts(&root.join(krate).join("src")).join("\n");
        for lock in text.split("static ").skip(1).filter_map(|rest| {
            let (name, rest) = rest.split_once(": ")?;
            (rest.starts_with("Lock<") || rest.starts_with("Heap ")).then_some(name)
        }) {
            locks += 1;
            assert!(page.contains(&format!("::{lock}`")), "{lock} isn't listed");
        }
    }
    assert_eq!(
        page.lines()
            .filter(|line| line.contains("::") && line.starts_with("| "))
            .count(),
        locks
    );
}

#[test]
fn a_circle_is_found() {
    let of = |rooms: &[&str]| rooms.iter().map(ToString::to_string).collect();
    let mut uses = Uses::from([
        ("a".into(), of(&["b"])),
        ("b".into(), of(&["c"])),
        ("c".into(), of(&[])),
    ]);
    assert_eq!(circle(&uses), None);
    uses.insert("c".into(), of(&["a"]));
    assert!(circle(&uses).is_some());
    let text = "use crate::{one, two::{self, X}};\n// crate::not\nlet x = crate::three::f();";
    assert!(
        rooms_in(text).is_superset(&of(&["one", "two", "three"]))
            && !rooms_in(text).contains("not")
    );
}
