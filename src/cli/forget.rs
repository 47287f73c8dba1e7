//! `sync-health forget`.

use clap::Args;
use sync_health::classify::{System, canonical_object_type, canonical_record_id};
use sync_health::sync_errors::report::RecordKey;
use sync_health::upkeep;

use super::database::{DatabaseUrl, open_existing};
use super::terminal::{show, text};

#[derive(Args)]
pub struct Forget {
    /// The Hub ID of the portal.
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    pub portal: i64,
    /// Only this record, for example HUBSPOT:contact:501 or SALESFORCE:Contact:0035e000003GcMxAAK: its rows, and what
    /// only it told of errors, resyncs and messages.
    #[arg(long, value_name = "SYSTEM:TYPE:ID", value_parser = parse_record)]
    pub record: Option<RecordKey>,
    #[command(flatten)]
    pub database: DatabaseUrl,
    /// Do it; without, it only says what would be removed.
    #[arg(long)]
    pub yes: bool,
}

/// Removes a portal or a record, or says what would be removed.
pub async fn run(options: &Forget) -> Result<(), String> {
    let env = open_existing(&options.database).await?;
    let portal = options.portal;
    let removed = match (&options.record, options.yes) {
        (Some(record), true) => upkeep::forget_record(&env, portal, record).await,
        (Some(record), false) => upkeep::count_record(&env, portal, record).await,
        (None, true) => upkeep::forget(&env, portal).await,
        (None, false) => upkeep::count(&env, portal).await,
    };
    let removed = removed.map_err(text)?;
    env.db.close().await.map_err(text)?;
    let removed = removed.ok_or_else(|| format!("there is no portal {portal}"))?;
    for (table, count) in removed.iter().filter(|(_, count)| *count > 0) {
        show(&format!("{count:>10}  {table}\n"));
    }
    show(match options.yes {
        true => "removed\n",
        false => "nothing was removed: add --yes to do it\n",
    });
    Ok(())
}

fn parse_record(text: &str) -> Result<RecordKey, String> {
    let help = "system, object type and id, for example HUBSPOT:contact:501";
    let mut parts = text.splitn(3, ':');
    let mut part = || {
        let part = parts.next().map(str::trim);
        part.filter(|part| !part.is_empty()).ok_or(help)
    };
    let system = match part()?.to_ascii_uppercase().as_str() {
        "HUBSPOT" => System::Hubspot,
        "SALESFORCE" => System::Salesforce,
        _ => return Err(help.to_owned()),
    };
    Ok(RecordKey {
        system,
        object_type: Some(canonical_object_type(system, part()?)),
        id: canonical_record_id(system, part()?),
    })
}
