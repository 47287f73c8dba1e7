//! `sync-health classify`: the way to try the classifier on one's own errors, without a server.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};
use sync_health::classify::guide::{Facts, guide};
use sync_health::classify::{Cause, Failure, Language, System, error_title};
use sync_health::kernel::scalars::enum_name;
use sync_health::sync_errors::report::check_failure;

use super::Locale;
use super::lines::{input_of, keys_of, next_line, reasons, refused_lines};
use super::terminal::show;

#[derive(Args)]
pub struct Classify {
    /// The file; standard input when left out.
    pub file: Option<PathBuf>,
    /// The language of the advice.
    #[arg(long, value_enum, default_value_t = Locale::En)]
    pub locale: Locale,
    /// Print one JSON object a cause instead of words for people.
    #[arg(long)]
    pub json: bool,
}

/// Reads line by line, so that a file of any size takes no more memory than its longest line.
pub fn run(options: Classify) -> Result<(), String> {
    let input: Box<dyn Read> = match &options.file {
        Some(path) => {
            let file = File::open(path);
            Box::new(file.map_err(|error| format!("cannot read {}: {error}", path.display()))?)
        }
        None => Box::new(std::io::stdin()),
    };
    let language = match options.locale {
        Locale::En => Language::En,
        Locale::De => Language::De,
    };
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut refused = 0_u64;
    let mut lines = BufReader::new(input);
    for number in 1_u64.. {
        let Some(line) = next_line(&mut lines)? else {
            break;
        };
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match causes(&line) {
            Ok((failure, causes)) => {
                for cause in &causes {
                    *counts.entry(enum_name(cause.error_type)).or_default() += 1;
                    let known = Explained::of(&failure, cause, language);
                    show(&match options.json {
                        true => format!("{}\n", known.json(number)),
                        false => known.words(number),
                    });
                }
            }
            Err(why) => {
                refused += 1;
                eprintln!("line {number}: {why}");
            }
        }
    }
    if !options.json {
        for (error_type, count) in counts {
            show(&format!("{count:>8}  {error_type}\n"));
        }
    }
    match refused {
        0 => Ok(()),
        refused => Err(refused_lines(refused)),
    }
}

/// A failure for trying needs no record and no direction.
fn causes(line: &[u8]) -> Result<(Failure, Vec<Cause>), String> {
    let mut keys = keys_of(line)?;
    keys.entry("direction")
        .or_insert(json!("HUBSPOT_TO_SALESFORCE"));
    let has_id = |keys: &Map<String, Value>, side: &str| {
        keys.get(side)
            .is_some_and(|record| !record["recordId"].is_null())
    };
    if !has_id(&keys, "hubspotRecord") && !has_id(&keys, "salesforceRecord") {
        let record = keys.entry("hubspotRecord").or_insert(json!({}));
        record
            .as_object_mut()
            .ok_or("hubspotRecord is not an object")?
            .insert("recordId".into(), json!("0"));
    }
    let input = input_of(Value::Object(keys))?;
    let checked = check_failure(input, chrono::Utc::now().timestamp_micros());
    let checked = checked.map_err(|errors| reasons(&errors))?;
    Ok((checked.failure, checked.causes))
}

/// A cause with its words.
struct Explained<'a> {
    cause: &'a Cause,
    title: String,
    guide: sync_health::classify::guide::Guide,
}

impl<'a> Explained<'a> {
    fn of(failure: &Failure, cause: &'a Cause, language: Language) -> Self {
        let object = |system: System| failure.object_type(system);
        let object = object(failure.system).or(object(failure.system.other()));
        let fields = cause.details.field_names(failure.system);
        let existing = cause.existing_record.as_ref();
        let mut facts = Facts {
            object: object.map(str::to_owned),
            record: existing.and_then(|record| record.record_id.clone()),
            value: cause.value.clone(),
            code: cause.code.clone(),
            ..Facts::default()
        };
        facts.add_details(&cause.details, failure.system);
        Self {
            cause,
            title: error_title(cause.error_type, language, object, &fields),
            guide: guide(cause.error_type, cause.code.as_deref(), language, &facts),
        }
    }

    fn words(&self, line: u64) -> String {
        let cause = self.cause;
        let category = enum_name(cause.error_type.category());
        let code = cause.code.as_deref().unwrap_or("no code");
        let mut words = format!(
            "line {line}: {}\n  {category} / {}, by the rule {}, signature {}\n  {code}: {}\n",
            self.title,
            enum_name(cause.error_type),
            cause.rule,
            cause.signature,
            cause.message,
        );
        if let Some(message) = &cause.cause_message {
            let code = cause.cause_code.as_deref().unwrap_or("no code");
            words.push_str(&format!("  caused by {code}: {message}\n"));
        }
        words.push_str(&format!("  {}\n", self.guide.explanation));
        for (place, step) in self.guide.steps.iter().enumerate() {
            words.push_str(&format!("  {}. {}\n", place + 1, step.text));
        }
        words.push('\n');
        words
    }

    fn json(&self, line: u64) -> Value {
        let cause = self.cause;
        let steps: Vec<&str> = self
            .guide
            .steps
            .iter()
            .map(|step| step.text.as_str())
            .collect();
        json!({
            "line": line,
            "category": enum_name(cause.error_type.category()),
            "type": enum_name(cause.error_type),
            "title": self.title,
            "rule": cause.rule,
            "signature": cause.signature,
            "code": cause.code,
            "message": cause.message,
            "causeCode": cause.cause_code,
            "causeMessage": cause.cause_message,
            "transient": cause.transient,
            "fields": cause.fields,
            "guide": { "explanation": self.guide.explanation, "steps": steps },
        })
    }
}
