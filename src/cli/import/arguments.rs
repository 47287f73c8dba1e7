//! The arguments of `import`.

use std::path::PathBuf;

use clap::Args;
use sync_health::kernel::limits;

use crate::cli::database::DatabaseUrl;

#[derive(Args)]
pub struct Arguments {
    /// NDJSON with the keys of SyncFailureInput, or a .csv: failed results of the Bulk API, errors of Data Loader, or any other with --map.
    pub file: PathBuf,
    /// The Hub ID of the portal.
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    pub portal: i64,
    #[command(flatten)]
    pub database: DatabaseUrl,
    /// Errors that the portal keeps, resolved ones too: failures that would open more are refused with PORTAL_FULL.
    #[arg(long, env = "SYNC_HEALTH_PORTAL_ERRORS", default_value_t = limits::PORTAL_ERRORS.value)]
    pub portal_errors: usize,
    /// Send the failures to this server instead, for example http://127.0.0.1:8080.
    #[arg(long)]
    pub url: Option<String>,
    /// A token for that server, with the scope sync-health:report.
    #[arg(long, env = "SYNC_HEALTH_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// When the failures of rows that do not say happened (RFC 3339). The time of the file when left out: a copy with a
    /// new date counts as new failures.
    #[arg(long, value_name = "INSTANT")]
    pub occurred_at: Option<chrono::DateTime<chrono::Utc>>,
    /// What separates the columns of a CSV; found out by its first line when left out.
    #[arg(long, value_parser = parse_delimiter)]
    pub delimiter: Option<char>,
    /// What a column of a CSV is, for example Problem=message; may be given several times.
    #[arg(long, value_name = "COLUMN=KEY")]
    pub map: Vec<String>,
    /// The column of a CSV that holds the HubSpot record's id: inserts that failed have no id of Salesforce.
    #[arg(long, value_name = "COLUMN")]
    pub record_id_column: Option<String>,
    /// The Salesforce object of rows that do not say, for example Contact.
    #[arg(long)]
    pub object: Option<String>,
    /// The HubSpot object of rows that do not say, for example contact.
    #[arg(long)]
    pub hubspot_object: Option<String>,
    /// Which way the changes of rows that do not say were to go.
    #[arg(long, value_enum, default_value_t = Direction::HubspotToSalesforce)]
    pub direction: Direction,
    /// Show which errors the failures would become, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Which way a change was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Direction {
    /// To Salesforce.
    HubspotToSalesforce,
    /// To HubSpot.
    SalesforceToHubspot,
}

impl Direction {
    /// As the contract writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::HubspotToSalesforce => "HUBSPOT_TO_SALESFORCE",
            Self::SalesforceToHubspot => "SALESFORCE_TO_HUBSPOT",
        }
    }
}

fn parse_delimiter(text: &str) -> Result<char, String> {
    let text = if text == "\\t" { "\t" } else { text };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None) if one.is_ascii() && one != '"' => Ok(one),
        _ => Err("one character is needed, for example ; or \\t".to_owned()),
    }
}
