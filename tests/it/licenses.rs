//! What others wrote comes under licenses that `deny.toml` allows, and all of it from one registry: without a network, and
//! without cargo-deny, which checks more.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

const RULES: &str = include_str!("../../deny.toml");

/// What Cargo says when it is asked.
fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().expect("Cargo");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The packages of this machine's platform: those of others were not downloaded to build this.
fn packages() -> Vec<Value> {
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let told = cargo(&[
        "metadata",
        "--locked",
        "--offline",
        "--format-version",
        "1",
        "--filter-platform",
        host.expect("the platform"),
    ]);
    let metadata: Value = serde_json::from_str(&told).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// The licenses that `deny.toml` allows.
fn allowed() -> Vec<&'static str> {
    let (_, rest) = RULES.split_once("\nallow = [").expect("a list");
    let (list, _) = rest.split_once(']').expect("its end");
    list.split('"').skip(1).step_by(2).collect()
}

/// An SPDX expression on its way to be understood: AND binds closer than OR, and a slash is an old way to write OR.
struct Expression<'a> {
    words: Vec<&'a str>,
    allowed: &'a [&'a str],
}

impl Expression<'_> {
    fn is_allowed(text: &str, allowed: &[&str]) -> bool {
        let text = text
            .replace('/', " OR ")
            .replace('(', " ( ")
            .replace(')', " ) ");
        let mut expression = Expression {
            words: text.split_whitespace().rev().collect(),
            allowed,
        };
        let is_allowed = expression.any();
        assert!(expression.words.is_empty(), "{text}");
        is_allowed
    }

    fn next_is(&mut self, word: &str) -> bool {
        let is_next = self.words.last() == Some(&word);
        if is_next {
            self.words.pop();
        }
        is_next
    }

    fn any(&mut self) -> bool {
        let mut is_allowed = self.all();
        while self.next_is("OR") {
            is_allowed |= self.all();
        }
        is_allowed
    }

    fn all(&mut self) -> bool {
        let mut is_allowed = self.one();
        while self.next_is("AND") {
            is_allowed &= self.one();
        }
        is_allowed
    }

    fn one(&mut self) -> bool {
        if self.next_is("(") {
            let is_allowed = self.any();
            assert!(self.next_is(")"), "a bracket is not closed");
            return is_allowed;
        }
        let name = self.words.pop().expect("a license");
        if !self.next_is("WITH") {
            return self.allowed.contains(&name);
        }
        let exception = self.words.pop().expect("an exception");
        let name = format!("{name} WITH {exception}");
        self.allowed.contains(&name.as_str())
    }
}

#[test]
fn licenses_are_allowed() {
    let allowed = allowed();
    assert!(allowed.contains(&"MIT") && allowed.len() > 5, "{allowed:?}");
    let packages = packages();
    assert!(packages.len() > 100, "{}", packages.len());
    let mut wrong = Vec::new();
    for package in &packages {
        let is_allowed = match package["license"].as_str() {
            Some(text) => Expression::is_allowed(text, &allowed),
            None => names_mit_by_file(package),
        };
        if !is_allowed {
            wrong.push(format!("{}: {}", package["name"], package["license"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A package may name a file in place of a license.
fn names_mit_by_file(package: &Value) -> bool {
    let manifest = package["manifest_path"].as_str().expect("a path");
    let Some(file) = package["license_file"].as_str() else {
        return false;
    };
    let folder = std::path::Path::new(manifest).parent().expect("a folder");
    let text = std::fs::read_to_string(folder.join(file)).expect("a license");
    text.starts_with("MIT License\n")
}

#[test]
fn sources_are_known() {
    let lock = include_str!("../../Cargo.lock");
    let sources = lock
        .lines()
        .filter_map(|line| line.strip_prefix("source = "));
    let sources: BTreeSet<&str> = sources.collect();
    let registries = sources
        .iter()
        .filter(|source| source.starts_with("\"registry+"));
    assert_eq!((sources.len(), registries.count()), (1, 1), "{sources:?}");
    let without: Vec<_> = packages()
        .into_iter()
        .filter(|package| package["source"].is_null())
        .filter_map(|package| Some(package["name"].as_str()?.to_owned()))
        .collect();
    assert_eq!(without.len(), 2, "{without:?}");
}

#[test]
fn expressions_are_understood() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
    for (text, is_allowed) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("MIT OR GPL-3.0 AND ISC", true),
        ("(MIT OR GPL-3.0) AND BSL-1.0", false),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("Apache-2.0", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
    ] {
        assert_eq!(Expression::is_allowed(text, &allowed), is_allowed, "{text}");
    }
}
