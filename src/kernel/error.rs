//! The one error type, sorted by whose fault it is, and its one translation for clients.
//!
//! [`Error`] is deliberately not `Display`: async-graphql turns everything that is into an answer, so that
//! a bare `?` could tell a client what the database said. What is ours is logged here, once, with a reference
//! that the client sees too.

use std::time::Duration;

use axum::http::StatusCode;
use sea_orm::DbErr;

use crate::kernel::db::failure::{self, Failure};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by whose fault it is. Texts are for the client and say what to do.
#[derive(Debug)]
pub enum Error {
    /// The request: a value that no type could refuse.
    BadUserInput(String),
    /// The token: missing, malformed, expired or not signed by us.
    Unauthenticated(String),
    /// The token's scopes do not allow this.
    Forbidden(String),
    /// The thing does not exist, or belongs to a portal that the token does not name.
    NotFound(String),
    /// A cursor of the feed that leads nowhere any more.
    CursorExpired(String),
    /// A body above its limit.
    PayloadTooLarge(String),
    /// The operation took too long.
    Timeout(String),
    /// Too much was asked for in too short a time.
    RateLimited(String),
    /// Others do so much in the same portal that there was no turn.
    Busy,
    /// What passes by itself: the same will do later.
    Unavailable(String),
    /// The database.
    Database(DbErr),
    /// Anything else of ours.
    Internal(String),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

/// An error as a client reads it.
#[derive(Debug)]
pub struct Answer {
    /// A code of the closed list.
    pub code: &'static str,
    /// The status where the answer is plain HTTP.
    pub status: StatusCode,
    /// What is wrong and what to do.
    pub message: String,
    /// Whether it is worth while to try the same again at once: another transaction came between.
    pub is_conflict: bool,
}

/// When a client shall come back after UNAVAILABLE.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

impl Error {
    /// Whether it is worth while to try the same again at once: another transaction came between.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Database(error) if failure::of(error) == Failure::Conflict)
    }

    /// Translates for the client; what is ours is logged with a reference and hidden.
    pub fn answer(self) -> Answer {
        let (code, status, message) = match self {
            Self::BadUserInput(m) => ("BAD_USER_INPUT", StatusCode::BAD_REQUEST, m),
            Self::Unauthenticated(m) => ("UNAUTHENTICATED", StatusCode::UNAUTHORIZED, m),
            Self::Forbidden(m) => ("FORBIDDEN", StatusCode::FORBIDDEN, m),
            Self::NotFound(m) => ("NOT_FOUND", StatusCode::NOT_FOUND, m),
            Self::CursorExpired(m) => ("CURSOR_EXPIRED", StatusCode::GONE, m),
            Self::PayloadTooLarge(m) => ("PAYLOAD_TOO_LARGE", StatusCode::PAYLOAD_TOO_LARGE, m),
            Self::Timeout(m) => ("TIMEOUT", StatusCode::GATEWAY_TIMEOUT, m),
            Self::RateLimited(m) => ("RATE_LIMITED", StatusCode::TOO_MANY_REQUESTS, m),
            Self::Unavailable(m) => ("UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE, m),
            Self::Busy => return busy(),
            Self::Database(error) => return of_database(&error),
            Self::Internal(text) => return internal(&text),
        };
        Answer {
            code,
            status,
            message,
            is_conflict: false,
        }
    }
}

/// Logs a fault of ours under a fresh reference and answers with that reference alone.
fn internal(error: &str) -> Answer {
    let reference = uuid::Uuid::now_v7();
    tracing::error!(%reference, error, "a request failed through no fault of its own");
    Answer {
        code: "INTERNAL_SERVER_ERROR",
        status: StatusCode::INTERNAL_SERVER_ERROR,
        message: format!("Something failed here (reference {reference})."),
        is_conflict: false,
    }
}

/// The same for what passes by itself, with what there is to say of it.
fn of_database(error: &DbErr) -> Answer {
    let failure = failure::of(error);
    let text = match failure {
        Failure::Fault => return internal(&error.to_string()),
        Failure::Slow => return Error::Timeout(SLOW.into()).answer(),
        Failure::Locked => "Somebody else holds what this needs, and did not let go of it in time",
        Failure::Conflict => "Others changed the same at the same moment",
        Failure::Unreachable => "The database cannot be reached",
        Failure::Full => "The database has no room, or its disk fails",
        Failure::ReadOnly => "The database takes no changes at present",
        Failure::Denied => {
            "The database does not let this server's role do this: grant it all rights on the tables"
        }
        Failure::Unmigrated => {
            "The database has to be migrated: run `sync-health migrate` with the same --database-url"
        }
    };
    let reference = uuid::Uuid::now_v7();
    let is_closed = failure::is_closed(error);
    let error = error.to_string();
    match failure {
        _ if is_closed => tracing::warn!(%reference, error, "a request met the end of the server"),
        // Others were faster: nothing is broken.
        Failure::Locked | Failure::Conflict => {
            tracing::warn!(%reference, error, ?failure, "a request did not get its turn");
        }
        _ => tracing::error!(%reference, error, ?failure, "{text}"),
    }
    Answer {
        is_conflict: failure == Failure::Conflict,
        ..unavailable(text, reference)
    }
}

const SLOW: &str =
    "A statement took longer than it may (statementSeconds). Ask for less at a time.";

fn busy() -> Answer {
    let reference = uuid::Uuid::now_v7();
    tracing::warn!(%reference, "a request did not get its turn: its portal's connections are in use");
    let text = "Others do so much in this portal, or hold it, that there was no turn in time";
    unavailable(text, reference)
}

fn unavailable(text: &str, reference: uuid::Uuid) -> Answer {
    let seconds = RETRY_AFTER.as_secs();
    Answer {
        code: "UNAVAILABLE",
        status: StatusCode::SERVICE_UNAVAILABLE,
        message: format!("{text}. Try again in {seconds} seconds (reference {reference})."),
        is_conflict: false,
    }
}

/// Where an error of GraphQL says that the same may go through at once; clients do not see it.
pub const CONFLICT: &str = "conflict";

impl From<Error> for async_graphql::Error {
    fn from(error: Error) -> Self {
        use async_graphql::ErrorExtensions;
        let answer = error.answer();
        Self::new(answer.message).extend_with(|_, extensions| {
            extensions.set("code", answer.code);
            if answer.is_conflict {
                extensions.set(CONFLICT, true);
            }
        })
    }
}
