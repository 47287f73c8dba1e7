//! The rules of the house: who imports whom, how long files are, what sources do not contain.

use std::path::{Path, PathBuf};

fn files(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    walk(&root.join(folder), &mut paths);
    let named = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a source");
        (
            path.strip_prefix(root)
                .expect("below the root")
                .display()
                .to_string()
                .replace('\\', "/"),
            text,
        )
    };
    paths.into_iter().map(named).collect()
}

/// What each room may use of the crate.
const MAY_USE: &[(&str, &[&str])] = &[
    ("src/kernel/", &["kernel"]),
    ("src/classify/", &["classify", "kernel"]),
    ("src/portals/", &["portals", "classify", "kernel"]),
    ("src/quota/", &["quota", "portals", "kernel"]),
    (
        "src/sync_errors/",
        &["sync_errors", "portals", "classify", "kernel"],
    ),
    (
        "src/resync/",
        &[
            "resync",
            "sync_errors",
            "quota",
            "portals",
            "classify",
            "kernel",
        ],
    ),
    (
        "src/notifications/",
        &[
            "notifications",
            "sync_errors",
            "quota",
            "portals",
            "classify",
            "kernel",
        ],
    ),
    (
        "src/upkeep/",
        &["upkeep", "sync_errors", "portals", "classify", "kernel"],
    ),
    (
        "src/server/",
        &[
            "server",
            "resync",
            "notifications",
            "sync_errors",
            "quota",
            "portals",
            "classify",
            "kernel",
            "upkeep",
        ],
    ),
];

#[test]
fn rooms_use_only_what_they_may() {
    let mut wrong = Vec::new();
    for (file, text) in files("src") {
        let Some((_, allowed)) = MAY_USE.iter().find(|(room, _)| file.starts_with(room)) else {
            continue;
        };
        // The contract's graph of objects is cyclic, so objects name those of rooms that are built on theirs.
        let of_contract: &[&str] = match () {
            () if file.starts_with("src/portals/api/") => {
                &["sync_errors", "quota", "resync", "notifications"]
            }
            () if file.starts_with("src/sync_errors/api/") => &["resync"],
            () => &[],
        };
        for used in text.split("crate::").skip(1).filter_map(|rest| {
            rest.split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .next()
        }) {
            let is_room = MAY_USE
                .iter()
                .any(|(room, _)| *room == format!("src/{used}/"));
            if is_room && !allowed.contains(&used) && !of_contract.contains(&used) {
                wrong.push(format!("{file} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_are_short() {
    let long: Vec<_> = ["src", "migration", "tests", "benches"]
        .into_iter()
        .flat_map(files)
        .map(|(file, text)| (file, text.lines().count()))
        .filter(|(_, lines)| *lines > 400)
        .collect();
    assert!(long.is_empty(), "over 400 lines: {long:#?}");
}

#[test]
fn sources_neither_unwrap_nor_allow() {
    let mut wrong = Vec::new();
    for (file, text) in files("src") {
        for (number, line) in text.lines().enumerate() {
            let is_code = !line.trim_start().starts_with("//");
            let panics = file != "src/main.rs"
                && [".unwrap()", ".expect(", "panic!(", "unreachable!("]
                    .iter()
                    .any(|word| line.contains(word));
            if is_code && (panics || line.contains("#[allow") || line.contains("#![allow")) {
                wrong.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The rules of the classifier name no object, field or value: only codes and the providers' own words.
#[test]
fn rules_name_no_custom_field() {
    for (file, text) in files("src/classify") {
        let code: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        let custom = code
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .find(|word| word.len() > 3 && word.ends_with("__c"));
        assert_eq!(custom, None, "{file}");
    }
}

/// A version and the one before it run on one database: a migration adds tables, indexes and columns that the older
/// version need not know, and takes nothing away.
#[test]
fn migrations_only_expand() {
    let mut wrong = Vec::new();
    for (file, text) in files("migration/src") {
        let Some((_, up)) = text.split_once("const UP: &str = \"") else {
            continue;
        };
        let (up, _) = up.split_once("\";").expect("its end");
        let code: Vec<&str> = up
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"))
            .collect();
        for statement in code.join("\n").split(';').map(str::trim) {
            let begins = |start: &str| statement.starts_with(start);
            let adds_column = begins("ALTER TABLE")
                && statement.contains(" ADD COLUMN ")
                && (!statement.contains("NOT NULL") || statement.contains("DEFAULT"));
            let adds =
                begins("CREATE TABLE") || begins("CREATE INDEX") || begins("CREATE UNIQUE INDEX");
            if !statement.is_empty() && !adds && !adds_column {
                wrong.push(format!("{file}: {statement}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A later version adds columns while this one runs: a prepared statement with `*` fails then.
#[test]
fn columns_are_named() {
    let sources = files("src");
    let wrong = sources
        .iter()
        .filter(|(_, text)| text.contains("Asterisk") || text.contains("SELECT *"));
    let wrong: Vec<_> = wrong.map(|(file, _)| file).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What becomes a body, or is looked at by others, may be looked at behind its end: only what stays ended is used for it.
#[test]
fn streams_stay_ended() {
    let mut wrong = Vec::new();
    for (file, text) in files("src") {
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            let is_body = line.contains("from_stream") || line.contains("wrap_stream");
            let is_unfold = [
                "stream::unfold",
                "stream::try_unfold",
                "stream::{self, unfold",
                "stream::poll_fn",
            ]
            .iter()
            .any(|word| line.contains(word));
            if is_body && file != "src/server/body.rs"
                || is_unfold && file != "src/kernel/streams.rs"
            {
                wrong.push(format!("{file}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
