//! Failures as lines of NDJSON, as `classify` and `import` read them.

use std::io::{BufRead, Read};

use serde_json::{Map, Value, json};
use sync_health::kernel::limits;
use sync_health::kernel::user_error::UserError;
use sync_health::sync_errors::report::input::SyncFailureInput;

/// How a command ends that has refused lines: not well.
pub fn refused_lines(count: u64) -> String {
    match count {
        1 => "1 line was refused".to_owned(),
        count => format!("{count} lines were refused"),
    }
}

/// The next line without its end, cut a little behind the limit of a line, which then refuses it.
pub fn next_line(lines: &mut impl BufRead) -> Result<Option<Vec<u8>>, String> {
    let most = limits::NDJSON_LINE_BYTES.value as u64 + 1;
    let mut line = Vec::new();
    let read = lines.by_ref().take(most).read_until(b'\n', &mut line);
    if read.map_err(|error| error.to_string())? == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') && line.len() as u64 == most {
        lines.skip_until(b'\n').map_err(|error| error.to_string())?;
    }
    Ok(Some(line))
}

/// The keys of a line of NDJSON.
pub fn keys_of(line: &[u8]) -> Result<Map<String, Value>, String> {
    let limit = limits::NDJSON_LINE_BYTES;
    if line.len() > limit.value {
        return Err(format!("longer than {} {}", limit.value, limit.unit));
    }
    match serde_json::from_slice(line) {
        Ok(Value::Object(mut keys)) => {
            // A raw answer that was not made a text first.
            if let Some(raw) = keys
                .get_mut("raw")
                .filter(|raw| raw.is_object() || raw.is_array())
            {
                *raw = json!(raw.to_string());
            }
            Ok(keys)
        }
        Ok(_) => Err("not a JSON object".into()),
        Err(error) => Err(format!("not JSON: {}", without_place(&error.to_string()))),
    }
}

/// The failure that the keys are; the first key that does not fit is named.
pub fn input_of(keys: Value) -> Result<SyncFailureInput, String> {
    serde_path_to_error::deserialize(keys).map_err(|error| {
        let path = error.path().to_string();
        let why = without_place(&error.inner().to_string()).to_owned();
        match path.as_str() {
            "." => why,
            path => format!("{path}: {why}"),
        }
    })
}

/// A message of JSON without the place in its own text, which is one line of a file.
fn without_place(message: &str) -> &str {
    message
        .rsplit_once(" at line ")
        .map_or(message, |(message, _)| message)
}

/// Why a failure is refused, in one line.
pub fn reasons(errors: &[UserError]) -> String {
    let reason = |error: &UserError| {
        let path = error.field.as_deref().unwrap_or_default();
        let path = path.get(1..).unwrap_or_default().join(".");
        format!("{path}: {}", error.message)
    };
    errors.iter().map(reason).collect::<Vec<_>>().join("; ")
}
