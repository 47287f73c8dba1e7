//! What a server is started with. A value: nothing below reads the environment.

use std::time::Duration;

use crate::kernel::clock::Clock;

/// The settings of one server.
#[derive(Debug, Clone)]
pub struct Config {
    /// `sqlite://PATH` or `postgres://…`.
    pub database_url: String,
    /// The HS256 secret that signs tokens, at least [`MIN_SECRET_BYTES`] long.
    pub jwt_secret: Vec<u8>,
    /// Where "now" comes from.
    pub clock: Clock,
    /// Connections that read, and on PostgreSQL as many that write.
    pub database_connections: u32,
    /// How long a stopping server waits for the requests in flight.
    pub shutdown_timeout: Duration,
}

/// The shortest secret for HS256: as long as its hash (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

impl Config {
    /// The defaults beside the two values that have none.
    pub fn new(database_url: String, jwt_secret: Vec<u8>) -> Self {
        Self {
            database_url,
            jwt_secret,
            clock: Clock::System,
            database_connections: 8,
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}
