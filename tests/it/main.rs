//! The suite: what the API promises, asked from outside by HTTP, on SQLite and on PostgreSQL.

mod harness;

mod affected_records;
mod classification;
mod commands;
mod contract;
mod coverage;
mod feed;
mod grouping;
mod guard;
mod house;
mod http;
mod life;
mod limits;
mod lists;
mod ndjson;
mod portals;
mod reports;
mod tenancy;
mod trend;
mod units;
