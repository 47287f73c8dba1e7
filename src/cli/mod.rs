//! The command line: a file for each command, with its arguments and what it does.

mod backup;
mod classify;
mod database;
mod demo;
mod doctor;
mod export;
mod forget;
mod import;
mod lines;
mod listener;
mod migrate;
mod open_files;
mod restore;
mod secret;
mod serve;
mod terminal;
mod token;

use clap::{Parser, Subcommand};
use sync_health::kernel::panics::Panics;
pub use terminal::text;

use backup::Backup;
use classify::Classify;
use database::DatabaseUrl;
use demo::Demo;
use export::Export;
use forget::Forget;
use restore::Restore;
use serve::Serve;
use token::Token;

/// The state of HubSpot-Salesforce integrations as a GraphQL API.
#[derive(Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Serve the API.
    Serve(Box<Serve>),
    /// Serve a temporary database with two portals and a simulated engine, to look around.
    Demo(Demo),
    /// Bring the tables of the database up to date.
    Migrate(DatabaseUrl),
    /// Print the contract in GraphQL's schema language.
    Schema,
    /// Sign a token.
    Token(Token),
    /// Read failures, one JSON object a line with the keys of SyncFailureInput, and say what each is and what to do.
    Classify(Classify),
    /// Copy a SQLite database into a new file, beside servers that run.
    Backup(Backup),
    /// Put a copy in the place of a SQLite database, or finish what pg_restore did: cursors from before are refused then.
    Restore(Restore),
    /// Check the storage, recount counters and feed against the rows, and say what does not add up.
    Doctor(DatabaseUrl),
    /// Remove a portal with all that belongs to it, or what is known of one record.
    Forget(Forget),
    /// Write what does not sync into a file: CSV, XLSX, or NDJSON that import takes.
    Export(Box<Export>),
    /// Take old failures over from a file: NDJSON, or the CSV of Salesforce's tools.
    Import(Box<import::Arguments>),
}

impl Command {
    /// Where traces go.
    pub fn traces(&self) -> Option<&str> {
        match self {
            Self::Serve(serve) => serve.otlp_endpoint.as_deref(),
            _ => None,
        }
    }

    /// Whether its log is for people.
    pub fn is_for_people(&self) -> bool {
        !matches!(
            self,
            Self::Serve(_) | Self::Schema | Self::Token(_) | Self::Classify(_)
        )
    }

    /// Does it; answers in words what went wrong.
    pub async fn run(self, panics: Panics) -> Result<(), String> {
        match self {
            Self::Serve(options) => serve::run(*options, panics).await,
            Self::Demo(options) => demo::run(options, panics).await,
            Self::Migrate(database) => migrate::run(&database).await,
            Self::Schema => {
                terminal::show(include_str!("../../schema.graphql"));
                Ok(())
            }
            Self::Token(options) => token::run(options),
            Self::Classify(options) => classify::run(options),
            Self::Backup(options) => backup::run(&options).await,
            Self::Restore(options) => restore::run(&options).await,
            Self::Doctor(database) => doctor::run(&database).await,
            Self::Forget(options) => forget::run(&options).await,
            Self::Export(options) => export::run(*options).await,
            Self::Import(options) => import::run(*options).await,
        }
    }
}

/// A language of our own texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Locale {
    /// English.
    En,
    /// German.
    De,
}
