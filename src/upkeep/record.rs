//! Erasure: one record, wherever something of it is kept.

use minijinja::HtmlEscape;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value};
use uuid::Uuid;

use crate::classify::guide::shortened;
use crate::classify::{System, canonical_object_type, canonical_record_id};
use crate::kernel::auth::{Report, Scope};
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::portals::Change;
use crate::sync_errors::filter;
use crate::sync_errors::report::{Erased, RecordKey, erase};

/// Removes what is known of a record of a portal in one change: its rows and what only it told of errors, what waits to be
/// tried again or told, and views of it alone. Answers how much of what, or `None` when there is no such portal. Unless
/// it `is_meant`, nothing is removed after all.
pub async fn forget_record(
    env: &Env,
    hub_id: i64,
    key: &RecordKey,
    is_meant: bool,
) -> Result<Option<Vec<(&'static str, u64)>>> {
    let scope = Scope::<Report>::of_server(hub_id);
    let Some(mut change) = Change::begin(env, &scope).await? else {
        return Ok(None);
    };
    // First: who tells news holds its row.
    let lock = "UPDATE notification_settings SET version = version WHERE hub_id = $1";
    execute(&change, lock, &[]).await?;
    let erased = erase(&mut change, key).await?;
    let removed = vec![
        ("rows of affected records", erased.rows.len() as u64),
        ("errors that showed something of it", erased.errors),
        ("other records that named it", erased.mentions),
        ("items of resyncs", forget_items(&change, &erased).await?),
        (
            "calls to engines under way",
            forget_pushes(&change, &erased.sides).await?,
        ),
        ("messages that wait", forget_texts(&change, &erased).await?),
        ("views of it", forget_views(&change, &erased.sides).await?),
        (
            "resyncs of it",
            forget_filters(&change, &erased.sides).await?,
        ),
    ];
    if is_meant {
        change.ring();
        change.commit().await?;
    }
    Ok(Some(removed))
}

/// Runs a statement whose first value is the portal.
async fn execute(change: &Change, sql: &str, values: &[Value]) -> Result<u64> {
    let statement = of_portal(change, sql, values);
    Ok(change
        .transaction()
        .execute_raw(statement)
        .await?
        .rows_affected())
}

fn of_portal(change: &Change, sql: &str, values: &[Value]) -> Statement {
    let all = [change.hub_id().into()]
        .into_iter()
        .chain(values.iter().cloned());
    Statement::from_sql_and_values(change.transaction().get_database_backend(), sql, all)
}

async fn rows<M: FromQueryResult>(change: &Change, sql: &str) -> Result<Vec<M>> {
    let found = change
        .transaction()
        .query_all_raw(of_portal(change, sql, &[]))
        .await?;
    let row = |row| M::from_query_result(row, "");
    Ok(found
        .iter()
        .map(row)
        .collect::<std::result::Result<_, _>>()?)
}

/// Items that are settled go; those that are not are counted by their batches, and forget which records they are about.
async fn forget_items(change: &Change, erased: &Erased) -> Result<u64> {
    let ids = Keys::uuids(erased.rows.iter().copied());
    let mut count = 0;
    let backend = change.transaction().get_database_backend();
    let mut conditions = vec![ids.hold(backend, Alias::new("record_id"))];
    for side in &erased.sides {
        conditions.push(is_side(side));
    }
    for condition in conditions {
        let of_portal = Expr::col(Alias::new("hub_id")).eq(change.hub_id());
        let settled = Query::delete()
            .from_table(Alias::new("resync_items"))
            .and_where(of_portal.clone())
            .and_where(condition.clone())
            .and_where(Expr::col(Alias::new("settled_at")).is_not_null())
            .to_owned();
        let others = Query::update()
            .table(Alias::new("resync_items"))
            .value(Alias::new("hubspot_record_id"), None::<String>)
            .value(Alias::new("salesforce_record_id"), None::<String>)
            .and_where(of_portal)
            .and_where(condition)
            .and_where(Expr::cust(
                "(hubspot_record_id IS NOT NULL OR salesforce_record_id IS NOT NULL)",
            ))
            .to_owned();
        count += change
            .transaction()
            .execute(&settled)
            .await?
            .rows_affected();
        count += change.transaction().execute(&others).await?.rows_affected();
    }
    Ok(count)
}

/// The same as [`RecordKey::is`] says of a record.
fn is_side(side: &RecordKey) -> Expr {
    let (id, object_type) = match side.system {
        System::Hubspot => ("hubspot_record_id", "hubspot_object_type"),
        System::Salesforce => ("salesforce_record_id", "salesforce_object_type"),
    };
    let is_id = Expr::col(Alias::new(id)).eq(side.id.as_str());
    let object_type = Expr::col(Alias::new(object_type));
    match (side.system, &side.object_type) {
        (System::Hubspot, Some(told)) => is_id.and(
            object_type
                .clone()
                .is_null()
                .or(object_type.eq(told.as_str())),
        ),
        _ => is_id,
    }
}

/// A call that names the record is not repeated; its items go back when their lease ends.
async fn forget_pushes(change: &Change, sides: &[RecordKey]) -> Result<u64> {
    let sql = "UPDATE resync_pushes SET message_id = NULL, body = NULL, item_ids = NULL, attempt_count = 0 WHERE hub_id = $1 AND body LIKE $2";
    let mut count = 0;
    for side in sides {
        count += execute(change, sql, &[format!("%\"{}\"%", side.id).into()]).await?;
    }
    Ok(count)
}

#[derive(FromQueryResult)]
struct Message {
    id: Uuid,
    mail_text: Option<String>,
    mail_html: Option<String>,
    webhook_body: Option<String>,
}

/// Messages that are not delivered yet do not tell of the record any more: guides name it and quote its values, nothing
/// else does.
async fn forget_texts(change: &Change, erased: &Erased) -> Result<u64> {
    let forms = forms(erased);
    let sql = "SELECT id, mail_text, mail_html, webhook_body FROM notifications \
        WHERE hub_id = $1 AND (mail_text IS NOT NULL OR webhook_body IS NOT NULL)";
    let mut count = 0;
    for message in rows::<Message>(change, sql).await? {
        let texts = [
            &message.mail_text,
            &message.mail_html,
            &message.webhook_body,
        ];
        let scrubbed = texts.map(|text| {
            let scrub =
                |text: String, (form, instead): &(String, String)| text.replace(form, instead);
            let text = text.clone()?;
            Some(forms.iter().fold(text, scrub))
        });
        if scrubbed.iter().ne(texts) {
            let sql = "UPDATE notifications SET mail_text = $3, mail_html = $4, webhook_body = $5 WHERE hub_id = $1 AND id = $2";
            let mut values = vec![message.id.into()];
            values.extend(scrubbed.into_iter().map(Value::from));
            count += execute(change, sql, &values).await?;
        }
    }
    Ok(count)
}

/// Values and names as texts have them, plain, in HTML and in JSON, and what stands instead.
fn forms(erased: &Erased) -> Vec<(String, String)> {
    const BETWEEN_WORDS: usize = 4;
    const QUOTES: [(&str, &str); 2] = [("\"", "\""), ("„", "“")];
    let values = erased.values.iter();
    let mut told: Vec<(&str, String, &str)> = Vec::new();
    for value in values.flat_map(|value| [value.clone(), shortened(value)]) {
        told.extend(QUOTES.map(|(open, close)| (open, value.clone(), close)));
    }
    for name in &erased.names {
        told.push(("(", name.clone(), ")"));
        // A name stands alone between words; what is shorter may be anything.
        if name.chars().count() >= BETWEEN_WORDS {
            let closes = [" ", ")", ".", ",", ":"].into_iter();
            told.extend(closes.map(|close| (" ", name.clone(), close)));
        }
    }
    let in_html = |text: &str| HtmlEscape(text).to_string();
    let in_json = |text: &str| {
        let json = serde_json::Value::from(text).to_string();
        json[1..json.len() - 1].to_owned()
    };
    let mut forms = Vec::new();
    for (open, text, close) in told {
        let (form, instead) = (format!("{open}{text}{close}"), format!("{open}…{close}"));
        forms.push((in_html(&form), in_html(&instead)));
        forms.push((in_json(&form), in_json(&instead)));
        forms.push((form, instead));
    }
    forms
}

#[derive(FromQueryResult)]
struct Filtered {
    id: Uuid,
    filter: String,
}

/// A view of what affects the record alone shows nothing any more.
async fn forget_views(change: &Change, sides: &[RecordKey]) -> Result<u64> {
    let mut count = 0;
    for view in about(change, "record_views", sides).await? {
        let sql = "DELETE FROM record_views WHERE hub_id = $1 AND id = $2";
        count += execute(change, sql, &[view.id.into()]).await?;
    }
    Ok(count)
}

/// A resync of what affects the record reaches nothing more: its filter names no record that there is.
async fn forget_filters(change: &Change, sides: &[RecordKey]) -> Result<u64> {
    let mut count = 0;
    for batch in about(change, "resync_batches", sides).await? {
        let mut filter = filter::read(&batch.filter)?;
        if let Some(affecting) = &mut filter.affecting {
            affecting.record_id = "…".into();
        }
        let sql = "UPDATE resync_batches SET filter = $3 WHERE hub_id = $1 AND id = $2";
        let values = [batch.id.into(), filter::kept(&filter)?.into()];
        count += execute(change, sql, &values).await?;
    }
    Ok(count)
}

/// The rows of a table whose filter asks for what affects the record.
async fn about(change: &Change, table: &str, sides: &[RecordKey]) -> Result<Vec<Filtered>> {
    let sql = format!("SELECT id, filter FROM {table} WHERE hub_id = $1 AND filter IS NOT NULL");
    let mut about = Vec::new();
    for row in rows::<Filtered>(change, &sql).await? {
        let affecting = filter::read(&row.filter)?.affecting;
        let is_about = affecting.is_some_and(|affecting| {
            let system = affecting.system;
            let id = canonical_record_id(system, affecting.record_id.as_str());
            let object_type = affecting.object_type;
            let object_type = object_type.map(|name| canonical_object_type(system, &name));
            let mut sides = sides.iter();
            sides.any(|side| side.is(system, object_type.as_deref(), Some(&id)))
        });
        if is_about {
            about.push(row);
        }
    }
    Ok(about)
}
