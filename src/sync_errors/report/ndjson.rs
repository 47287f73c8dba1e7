//! Failures as NDJSON: one a line, committed per thousand, so that a file of any length takes little memory and what
//! was sent before a broken connection is kept.

use serde::Serialize;
use tokio::task::JoinHandle;

use super::input::SyncFailureInput;
use super::{CheckedFailure, FailureAnswer, check_failure, report_failures_until_kept};
use crate::kernel::auth::{Report, Scope};
use crate::kernel::env::Env;
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;
use crate::kernel::scalars::enum_name;
use crate::kernel::turns::take_break;
use crate::kernel::user_error::UserError;

/// Long lines are committed before they are a thousand: what waits is in memory.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// The answer: the keys of `ReportSyncFailuresPayload`, `line` for `elementIndex`, and no results.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NdjsonAnswer {
    /// Number of failures that changed something.
    pub recorded_count: u64,
    /// Number of failures that were reported before, or are older than what is known of their record.
    pub repeated_count: u64,
    /// Number of lines that were refused.
    pub refused_count: u64,
    /// Why, for the first [`limits::NDJSON_USER_ERRORS`].
    pub user_errors: Vec<LineError>,
}

impl NdjsonAnswer {
    /// Describes a refused line, as long as there are not too many.
    fn tell(&mut self, error: LineError) {
        if self.user_errors.len() < limits::NDJSON_USER_ERRORS.value {
            self.user_errors.push(error);
        }
    }
}

/// What is wrong with a line.
#[derive(Debug, Serialize)]
pub struct LineError {
    /// The number of the line, from 1.
    pub line: u64,
    /// The path of the value inside the line; null when the line as a whole is at fault.
    pub field: Option<Vec<String>>,
    /// A `UserErrorCode`.
    pub code: &'static str,
    /// Why and what to do.
    pub message: String,
}

/// Takes lines and commits them by the thousand; while one batch is being committed, the next is read.
pub struct NdjsonReport {
    env: Env,
    scope: Scope<Report>,
    rest: Vec<u8>,
    /// The line that `rest` begins has passed its limit: its bytes are dropped up to the next line feed.
    is_overlong: bool,
    line: u64,
    batch: Vec<(u64, CheckedFailure)>,
    /// How long its lines are together.
    batch_bytes: usize,
    /// The batch before, on its way; answers how many failures it recorded and repeated.
    committing: Option<JoinHandle<Result<Committed>>>,
    answer: NdjsonAnswer,
}

impl NdjsonReport {
    /// A report of one portal.
    pub fn new(env: Env, scope: Scope<Report>) -> Self {
        Self {
            env,
            scope,
            rest: Vec::new(),
            is_overlong: false,
            line: 0,
            batch: Vec::new(),
            batch_bytes: 0,
            committing: None,
            answer: NdjsonAnswer::default(),
        }
    }

    /// Takes the next bytes of the body.
    pub async fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            let (line, next) = (&bytes[..end], &bytes[end + 1..]);
            if self.rest.is_empty() && !self.is_overlong {
                self.line(line).await?;
            } else {
                self.keep(line);
                let whole = std::mem::take(&mut self.rest);
                self.line(&whole).await?;
            }
            bytes = next;
        }
        self.keep(bytes);
        Ok(())
    }

    /// Keeps the beginning of a line; of one that is too long only so much that it is known to be.
    fn keep(&mut self, bytes: &[u8]) {
        if self.rest.len() + bytes.len() > limits::NDJSON_LINE_BYTES.value {
            self.is_overlong = true;
            self.rest.clear();
        }
        if !self.is_overlong {
            self.rest.extend_from_slice(bytes);
        }
    }

    async fn line(&mut self, line: &[u8]) -> Result<()> {
        take_break().await;
        self.check(line);
        if self.batch.len() >= limits::REPORT_ELEMENTS.value || self.batch_bytes >= BATCH_BYTES {
            self.commit().await?;
        }
        Ok(())
    }

    fn check(&mut self, line: &[u8]) {
        self.line += 1;
        let is_overlong =
            std::mem::take(&mut self.is_overlong) || line.len() > limits::NDJSON_LINE_BYTES.value;
        if is_overlong {
            let limit = limits::NDJSON_LINE_BYTES;
            self.refuse(
                None,
                "TOO_LONG",
                format!(
                    "A line has at most {} {} ({}).",
                    limit.value, limit.unit, limit.name
                ),
            );
            return;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        match serde_json::from_slice::<SyncFailureInput>(line) {
            Err(error) => self.refuse(None, "INVALID", json_error(&error)),
            Ok(input) => match check_failure(input, self.env.clock.now()) {
                Ok(checked) => {
                    self.batch.push((self.line, checked));
                    self.batch_bytes += line.len();
                }
                Err(errors) => self.refuse_all(errors),
            },
        }
    }

    fn refuse_all(&mut self, errors: Vec<UserError>) {
        self.answer.refused_count += 1;
        for error in errors {
            // The path of a line begins where that of a GraphQL input has its "input".
            let field = error.field.map(|field| field.into_iter().skip(1).collect());
            self.tell(field, enum_name(error.code), error.message);
        }
    }

    fn refuse(&mut self, field: Option<Vec<String>>, code: &'static str, message: String) {
        self.answer.refused_count += 1;
        self.tell(field, code, message);
    }

    fn tell(&mut self, field: Option<Vec<String>>, code: &'static str, message: String) {
        self.answer.tell(LineError {
            line: self.line,
            field,
            code,
            message,
        });
    }

    /// Sends the batch on its way, once the one before is committed: the order of lines is kept.
    async fn commit(&mut self) -> Result<()> {
        self.committed().await?;
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if !batch.is_empty() {
            let (env, scope) = (self.env.clone(), self.scope.clone());
            self.committing = Some(tokio::spawn(async move {
                let committing = commit(&env, &scope, batch);
                env.workers.run(committing).await
            }));
        }
        Ok(())
    }

    /// Waits for the batch that is on its way.
    async fn committed(&mut self) -> Result<()> {
        let Some(committing) = self.committing.take() else {
            return Ok(());
        };
        let committed = committing.await??;
        self.answer.recorded_count += committed.recorded;
        self.answer.repeated_count += committed.repeated;
        self.answer.refused_count += committed.refused.len() as u64;
        for refused in committed.refused {
            self.answer.tell(refused);
        }
        Ok(())
    }

    /// Takes the last line and commits the rest.
    pub async fn finish(mut self) -> Result<NdjsonAnswer> {
        if !self.rest.is_empty() || self.is_overlong {
            let whole = std::mem::take(&mut self.rest);
            self.line(&whole).await?;
        }
        self.commit().await?;
        self.committed().await?;
        // What is refused when it is committed is known after what stands behind it.
        self.answer.user_errors.sort_by_key(|error| error.line);
        let refused = self.answer.refused_count;
        self.env.metrics.failures("refused", refused);
        Ok(self.answer)
    }
}

/// What became of a batch.
struct Committed {
    recorded: u64,
    repeated: u64,
    refused: Vec<LineError>,
}

async fn commit(
    env: &Env,
    scope: &Scope<Report>,
    batch: Vec<(u64, CheckedFailure)>,
) -> Result<Committed> {
    let (lines, mut batch): (Vec<u64>, Vec<CheckedFailure>) = batch.into_iter().unzip();
    let answers = report_failures_until_kept(env, scope, &mut batch).await?;
    let answers = answers.ok_or_else(|| {
        Error::NotFound(
            "No portal with this Hub ID exists in the portals that the token names.".into(),
        )
    })?;
    let recorded = answers.iter().filter(|answer| answer.recorded).count() as u64;
    let known = answers.len() as u64 - recorded;
    let refused = |(line, answer): (u64, FailureAnswer)| {
        let error = answer.refused?;
        Some(LineError {
            line,
            field: None,
            code: enum_name(error.code),
            message: error.message,
        })
    };
    let refused: Vec<LineError> = lines.into_iter().zip(answers).filter_map(refused).collect();
    Ok(Committed {
        recorded,
        repeated: known - refused.len() as u64,
        refused,
    })
}

/// What is wrong with the JSON of a line: serde's own words name keys, types and columns of the sender's text only.
fn json_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    format!(
        "Not a SyncFailureInput in JSON: {text} (column {}).",
        error.column()
    )
}
