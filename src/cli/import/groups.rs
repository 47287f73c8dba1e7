//! A dry run shows which errors the failures of a file would become.

use std::collections::HashMap;

use sync_health::classify::{Language, System, error_title};
use sync_health::kernel::scalars::enum_name;
use sync_health::sync_errors::report::CheckedFailure;
use uuid::Uuid;

/// Errors that are listed; the summary by type counts all.
const SHOWN: usize = 50;

struct Group {
    title: String,
    error_type: &'static str,
    rule: &'static str,
    failures: u64,
}

/// Failures by their signature.
#[derive(Default)]
pub struct Groups(HashMap<Uuid, Group>);

impl Groups {
    pub fn add(&mut self, checked: &CheckedFailure) {
        let failure = &checked.failure;
        let object = |system: System| failure.object_type(system);
        for cause in &checked.causes {
            let group = self.0.entry(cause.signature).or_insert_with(|| Group {
                title: error_title(
                    cause.error_type,
                    Language::En,
                    object(failure.system).or(object(failure.system.other())),
                    &cause.details.field_names(failure.system),
                ),
                error_type: enum_name(cause.error_type),
                rule: cause.rule,
                failures: 0,
            });
            group.failures += 1;
        }
    }

    /// The largest first.
    pub fn words(&self) -> String {
        let mut groups: Vec<_> = self.0.values().collect();
        groups.sort_unstable_by(|a, b| (b.failures, &a.title).cmp(&(a.failures, &b.title)));
        let shown = groups.iter().take(SHOWN).map(|group| {
            let Group {
                title,
                error_type,
                rule,
                failures,
            } = group;
            format!("{failures:>10}  {title}: {error_type}, by the rule {rule}\n")
        });
        let mut words: String = shown.collect();
        if groups.len() > SHOWN {
            words.push_str(&format!(
                "            and {} more errors\n",
                groups.len() - SHOWN
            ));
        }
        if !words.is_empty() {
            words.push('\n');
        }
        words
    }
}
