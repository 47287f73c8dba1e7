//! Puts the domains together and serves them: GraphQL and NDJSON over HTTP.

mod answer;
mod app;
mod graphql;
mod guard;
mod http;
mod ndjson;
mod request_log;
mod service;

pub use app::run;
pub use graphql::sdl;
