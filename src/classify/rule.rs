//! What a rule is: a line of a table, tried in order, that names itself in the answer.

use crate::classify::SyncErrorType;
use crate::classify::provider_error::ProviderError;

/// One line: when the code is one of `codes` and `when` holds, the failure is of `error_type`.
#[derive(Debug)]
pub(super) struct Rule {
    /// As `Classification.rule` shows it.
    pub(super) name: &'static str,
    /// Codes in upper case; a trailing `*` stands for any end; empty: any code, also none.
    pub(super) codes: &'static [&'static str],
    /// What else has to hold.
    pub(super) when: When,
    /// What it then is.
    pub(super) error_type: SyncErrorType,
}

/// A condition on the text or the fields. Texts are compared in lower case, cleaned of mark-up.
#[derive(Debug)]
pub(super) enum When {
    /// No further condition.
    Always,
    /// The text holds one of these.
    Text(&'static [&'static str]),
    /// The text holds all of these.
    AllText(&'static [&'static str]),
    /// Something that no list of words tells.
    Holds(fn(&ProviderError) -> bool),
}

/// What a table decided.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) error_type: SyncErrorType,
    pub(super) rule: &'static str,
    pub(super) transient: bool,
    pub(super) unknown_code: bool,
}

impl Rule {
    fn applies(&self, error: &ProviderError) -> bool {
        let code_fits =
            self.codes.is_empty() || error.code.as_deref().is_some_and(|code| self.knows(code));
        code_fits
            && match &self.when {
                When::Always => true,
                When::Text(any) => any.iter().any(|text| error.folded.contains(text)),
                When::AllText(all) => all.iter().all(|text| error.folded.contains(text)),
                When::Holds(condition) => condition(error),
            }
    }

    /// Whether the line is about this code.
    pub(super) fn knows(&self, code: &str) -> bool {
        self.codes
            .iter()
            .any(|known| match known.strip_suffix('*') {
                Some(start) => code.starts_with(start),
                None => *known == code,
            })
    }
}

/// The first line that applies.
pub(super) fn first_match(table: &'static [Rule], error: &ProviderError) -> Option<&'static Rule> {
    table.iter().find(|rule| rule.applies(error))
}

/// A table of rules, one a line: `"name": ["CODE" …] condition => Type;`.
macro_rules! rules {
    ($(#[$doc:meta])* $table:ident: $($name:literal: [$($code:literal)*] $when:expr => $error_type:ident;)*) => {
        $(#[$doc])*
        const $table: &[$crate::classify::rule::Rule] = &[$($crate::classify::rule::Rule {
            name: $name,
            codes: &[$($code),*],
            when: $when,
            error_type: $crate::classify::SyncErrorType::$error_type,
        }),*];
    };
}
pub(super) use rules;
