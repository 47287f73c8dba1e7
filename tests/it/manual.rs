//! What the texts for operators name is there: files, flags, variables.

use std::path::Path;

const README: &str = include_str!("../../README.md");

/// The texts, each with the folder that its links start from.
const TEXTS: &[(&str, &str)] = &[
    ("", README),
    ("", include_str!("../../SECURITY.md")),
    ("docs", include_str!("../../docs/hardening.md")),
    ("docs", include_str!("../../docs/figures.md")),
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

fn is_there(path: &str) -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists()
}

#[test]
fn links_lead_somewhere() {
    for (folder, text) in TEXTS {
        let prose = prose(text);
        for link in prose.split("](").skip(1) {
            let (target, _) = link.split_once(')').expect("its end");
            if target.starts_with("https://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = format!("{folder}/{file}");
            assert!(is_there(path.trim_start_matches('/')), "{target}");
            let headings = README.lines().filter_map(|line| line.strip_prefix("## "));
            let mut headings = headings.map(|line| line.to_lowercase().replace(' ', "-"));
            assert!(
                heading.is_empty() || headings.any(|known| known == heading),
                "{target}"
            );
        }
    }
}

#[test]
fn named_files_are_there() {
    for (_, text) in TEXTS {
        for path in code(text) {
            let is_path = ["src/", "tests/", "docs/", "benches/", "migration/"]
                .iter()
                .any(|folder| path.starts_with(folder));
            assert!(!is_path || path.contains(' ') || is_there(&path), "{path}");
        }
    }
}

/// Flags of `serve` and variables stand in the README, which another test compares with the program.
#[test]
fn named_flags_are_known() {
    for (_, text) in &TEXTS[1..] {
        for code in code(text) {
            let flag = code.split([' ', '=']).next().unwrap_or_default();
            let is_flag = flag.starts_with("--") && flag != "--help";
            assert!(
                !is_flag || README.contains(&format!("| `{flag}` |")),
                "{flag}"
            );
        }
        for rest in text.split("SYNC_HEALTH_").skip(1) {
            let end = rest.find(|c: char| !(c.is_ascii_uppercase() || c == '_'));
            let name = format!("`SYNC_HEALTH_{}`", &rest[..end.unwrap_or(rest.len())]);
            assert!(README.contains(&name), "{name}");
        }
    }
}
