//! The suite: what the API promises, asked from outside by HTTP, on SQLite and on PostgreSQL.

mod harness;

mod affected_records;
mod classification;
mod clients;
mod commands;
mod contract;
mod coverage;
mod documents;
mod engines;
mod feed;
mod grouping;
mod guard;
mod house;
mod http;
mod identity;
mod life;
mod limits;
mod lists;
mod live;
mod ndjson;
mod observed;
mod plain;
mod portals;
mod quota;
mod replicas;
mod reports;
mod resync;
mod streams;
mod tenancy;
mod throttle;
mod trend;
mod turns;
mod units;
mod variables;
