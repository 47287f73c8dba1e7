//! What the manual names is there: pages, headings, files, tests, commands, flags, variables.

use std::path::{Component, Path, PathBuf};

use crate::commands::{output, text};

const CONFIGURATION: &str = include_str!("../../docs/configuration.md");

/// The pages by their paths.
const TEXTS: &[(&str, &str)] = &[
    ("README.md", include_str!("../../README.md")),
    ("SECURITY.md", include_str!("../../SECURITY.md")),
    (
        "docs/architecture.md",
        include_str!("../../docs/architecture.md"),
    ),
    ("docs/clients.md", include_str!("../../docs/clients.md")),
    ("docs/configuration.md", CONFIGURATION),
    ("docs/engines.md", include_str!("../../docs/engines.md")),
    ("docs/exports.md", include_str!("../../docs/exports.md")),
    ("docs/figures.md", include_str!("../../docs/figures.md")),
    ("docs/hardening.md", include_str!("../../docs/hardening.md")),
    ("docs/limits.md", include_str!("../../docs/limits.md")),
    ("docs/live.md", include_str!("../../docs/live.md")),
    (
        "docs/notifications.md",
        include_str!("../../docs/notifications.md"),
    ),
    ("docs/operate.md", include_str!("../../docs/operate.md")),
];

/// The text outside of code blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// What stands between backticks, outside of code blocks.
fn code(text: &str) -> Vec<String> {
    let prose = prose(text);
    let code = prose.split('`').skip(1).step_by(2);
    code.map(str::to_owned).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_there(path: &str) -> bool {
    root().join(path).exists()
}

fn page(path: &str) -> Option<&'static str> {
    let page = TEXTS.iter().find(|(known, _)| *known == path);
    page.map(|(_, text)| *text)
}

/// Where a link of a page leads, from the root of the repository.
fn target(from: &str, link: &str) -> String {
    if link.is_empty() {
        return from.to_owned();
    }
    let mut path = PathBuf::from(from);
    path.pop();
    for part in Path::new(link).components() {
        if part == Component::ParentDir {
            assert!(path.pop(), "{from}: {link} leads out of the repository");
        } else {
            path.push(part);
        }
    }
    path.to_str().expect("a path").to_owned()
}

/// The anchors of a page: its headings in lower case, words joined by hyphens, without other signs.
fn anchors(text: &str) -> Vec<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter_map(|sign| match sign {
            ' ' => Some('-'),
            sign => (sign.is_alphanumeric() || sign == '-' || sign == '_').then_some(sign),
        });
        kept.collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn all_pages_are_looked_at() {
    for entry in std::fs::read_dir(root().join("docs")).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        let path = format!("docs/{}", name.to_str().expect("a name"));
        assert!(page(&path).is_some(), "TEXTS lacks {path}");
        let link = format!("]({path})");
        assert!(
            TEXTS[0].1.contains(&link),
            "README.md does not lead to {path}"
        );
    }
}

#[test]
fn links_lead_somewhere() {
    for (from, text) in TEXTS {
        for link in prose(text).split("](").skip(1) {
            let (link, _) = link.split_once(')').expect("its end");
            if link.starts_with("https://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = target(from, file);
            assert!(is_there(&path), "{from}: {link}");
            let leads = heading.is_empty()
                || page(&path)
                    .is_some_and(|text| anchors(text).iter().any(|known| known == heading));
            assert!(leads, "{from}: {link}");
        }
    }
}

#[test]
fn headings_stand_once() {
    for (path, text) in TEXTS {
        let mut headings = anchors(text);
        let count = headings.len();
        headings.sort_unstable();
        headings.dedup();
        assert_eq!(headings.len(), count, "{path}");
    }
}

#[test]
fn named_files_are_there() {
    for (from, text) in TEXTS {
        for path in code(text) {
            let is_path = ["src/", "tests/", "docs/", "benches/", "migration/"]
                .iter()
                .any(|folder| path.starts_with(folder));
            assert!(
                !is_path || path.contains(' ') || is_there(&path),
                "{from}: {path}"
            );
        }
    }
}

/// Tests are named by the file that they stand in, or by their own name in the file of a folder.
#[test]
fn named_tests_are_there() {
    for (from, text) in TEXTS {
        for name in code(text) {
            let Some((folder, rest)) = name.split_once("::") else {
                continue;
            };
            let is_file = is_there(&format!("tests/it/{folder}/{rest}.rs"));
            let written = std::fs::read_to_string(root().join(format!("tests/it/{folder}/mod.rs")));
            let is_test = written.is_ok_and(|text| text.contains(&format!("fn {rest}(")));
            assert!(is_file || is_test, "{from}: {name}");
        }
    }
}

/// The commands of the program.
fn commands() -> Vec<String> {
    let help = text(&output(&["--help"]).stdout);
    let (_, listed) = help.split_once("Commands:").expect("its commands");
    let (listed, _) = listed.split_once("\n\n").expect("their end");
    let names = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let names = names.filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

/// The flags that some command has.
fn flags() -> Vec<String> {
    let mut flags = vec!["--help".to_owned()];
    for command in commands() {
        let help = text(&output(&[&command, "--help"]).stdout);
        let lines = help.lines().map(str::trim_start);
        let lines = lines.filter(|line| line.starts_with("--"));
        flags.extend(lines.map(|line| flag_of(line).to_owned()));
    }
    flags
}

fn flag_of(text: &str) -> &str {
    text.split([' ', '=', '`']).next().unwrap_or_default()
}

#[test]
fn named_flags_are_known() {
    let (commands, flags) = (commands(), flags());
    assert!(commands.len() > 10 && flags.len() > 30, "{commands:?}");
    let is_known = |flag: &str| flags.iter().any(|known| known == flag);
    for (from, text) in TEXTS {
        for code in code(text) {
            let flag = flag_of(&code);
            assert!(!flag.starts_with("--") || is_known(flag), "{from}: {flag}");
        }
        // What is called, in blocks too.
        for line in text.lines() {
            for called in line.split("sync-health ").skip(1) {
                let called = called.split(['`', '#', ')']).next().unwrap_or_default();
                let mut words = called.split_whitespace();
                let name = words.next().unwrap_or_default();
                if commands.iter().any(|command| command == name) {
                    for flag in words.filter(|word| word.starts_with("--")) {
                        assert!(is_known(flag_of(flag)), "{from}: {line}");
                    }
                }
            }
        }
    }
}

/// Variables stand in docs/configuration.md, which another test compares with the program.
#[test]
fn named_variables_are_known() {
    for (from, text) in TEXTS {
        for rest in text.split("SYNC_HEALTH_").skip(1) {
            let end = rest.find(|c: char| !(c.is_ascii_uppercase() || c == '_'));
            let name = format!("`SYNC_HEALTH_{}`", &rest[..end.unwrap_or(rest.len())]);
            assert!(CONFIGURATION.contains(&name), "{from}: {name}");
        }
    }
}
