//! Puts the domains together and serves them: GraphQL and NDJSON over HTTP.

mod accepts;
mod answer;
mod answer_size;
mod app;
mod body;
mod confirmations;
mod connections;
mod delivery;
mod documents;
mod export;
mod graphiql;
mod graphql;
mod groups;
mod guard;
mod http;
mod layers;
mod ndjson;
mod occupancy;
mod operation;
mod parameters;
mod request;
mod request_log;
mod service;
mod sse;
mod subscription;
mod telemetry;
mod throttle;
mod ticket;
mod ws;

pub use app::{NOT_MIGRATED, run};
pub use graphql::sdl;
pub use telemetry::tracer_provider;
