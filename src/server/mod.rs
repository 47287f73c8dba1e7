//! Puts the domains together and serves them: GraphQL and NDJSON over HTTP.

mod accepts;
mod answer;
mod app;
mod documents;
mod graphiql;
mod graphql;
mod guard;
mod http;
mod layers;
mod ndjson;
mod operation;
mod request;
mod request_log;
mod service;
mod sse;
mod telemetry;
mod throttle;
mod ws;

pub use app::run;
pub use graphql::sdl;
pub use telemetry::tracer_provider;
