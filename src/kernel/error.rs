//! The one error type, sorted by whose fault it is, and its one translation for clients.
//!
//! [`Error`] is deliberately not `Display`: async-graphql turns everything that is into an answer, so that
//! a bare `?` could tell a client what the database said. What is ours is logged here, once, with a reference
//! that the client sees too.

use axum::http::StatusCode;
use sea_orm::{ConnAcquireErr, DbErr};

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
}

impl Error {
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
            Self::Database(error) => return unexpected(is_unavailable(&error), &error.to_string()),
            Self::Internal(text) => return unexpected(false, &text),
        };
        Answer {
            code,
            status,
            message,
        }
    }
}

/// Logs what is ours under a fresh reference and answers with that reference alone.
fn unexpected(unavailable: bool, error: &str) -> Answer {
    let reference = uuid::Uuid::now_v7();
    tracing::error!(%reference, error, unavailable, "a request failed through no fault of its own");
    let (code, status, text) = if unavailable {
        (
            "UNAVAILABLE",
            StatusCode::SERVICE_UNAVAILABLE,
            "The database cannot be reached. Try again in a few seconds",
        )
    } else {
        (
            "INTERNAL_SERVER_ERROR",
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something failed here",
        )
    };
    Answer {
        code,
        status,
        message: format!("{text} (reference {reference})."),
    }
}

/// Whether the database cannot be reached, rather than has refused something.
fn is_unavailable(error: &DbErr) -> bool {
    matches!(
        error,
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout | ConnAcquireErr::ConnectionClosed)
            | DbErr::Conn(_)
    )
}

impl From<Error> for async_graphql::Error {
    fn from(error: Error) -> Self {
        use async_graphql::ErrorExtensions;
        let answer = error.answer();
        Self::new(answer.message).extend_with(|_, extensions| extensions.set("code", answer.code))
    }
}
