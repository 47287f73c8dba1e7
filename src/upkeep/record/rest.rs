//! What is kept of a record besides its own rows: each kind is looked for beside those who write, and taken by its keys.

use minijinja::HtmlEscape;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};
use sea_orm::{Condition, ConnectionTrait, FromQueryResult, Statement, Value};
use uuid::Uuid;

use crate::classify::guide::shortened;
use crate::classify::{System, canonical_object_type, canonical_record_id};
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::portals::Change;
use crate::sync_errors::filter;
use crate::sync_errors::report::{Erased, RecordKey};

/// The keys of rows that tell of a record.
pub(super) struct Rest {
    pub(super) items: Vec<Uuid>,
    /// Ids of messages to engines.
    pub(super) pushes: Vec<Uuid>,
    pub(super) messages: Vec<Uuid>,
    pub(super) views: Vec<Uuid>,
    pub(super) batches: Vec<Uuid>,
}

#[derive(FromQueryResult)]
struct Key {
    id: Uuid,
}

impl Rest {
    pub(super) async fn look(snapshot: &Snapshot, hub_id: i64, erased: &Erased) -> Result<Self> {
        let sides = &erased.sides;
        Ok(Self {
            items: items(snapshot, hub_id, erased).await?,
            pushes: pushes(snapshot, hub_id, sides).await?,
            messages: messages(snapshot, hub_id, erased).await?,
            views: about(snapshot, ("record_views", hub_id), sides).await?,
            batches: about(snapshot, ("resync_batches", hub_id), sides).await?,
        })
    }
}

/// Runs a statement whose first value is the portal.
pub(super) async fn execute(change: &Change, sql: &str, values: &[Value]) -> Result<u64> {
    let transaction = change.transaction();
    let backend = transaction.get_database_backend();
    let values = [change.hub_id().into()]
        .into_iter()
        .chain(values.iter().cloned());
    let statement = Statement::from_sql_and_values(backend, sql, values);
    Ok(transaction.execute_raw(statement).await?.rows_affected())
}

async fn rows<M: FromQueryResult>(snapshot: &Snapshot, sql: &str, hub_id: i64) -> Result<Vec<M>> {
    let statement = Statement::from_sql_and_values(snapshot.backend(), sql, [hub_id.into()]);
    snapshot.all_raw(statement).await
}

/// A row by its key, inside a change.
async fn row<M: FromQueryResult>(change: &Change, sql: &str, id: Uuid) -> Result<Option<M>> {
    let transaction = change.transaction();
    let values = [change.hub_id().into(), id.into()];
    let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
    let found = transaction.query_one_raw(statement).await?;
    Ok(found
        .map(|row| M::from_query_result(&row, ""))
        .transpose()?)
}

/// Items of the record that tell of it.
async fn items(snapshot: &Snapshot, hub_id: i64, erased: &Erased) -> Result<Vec<Uuid>> {
    let ids = Keys::uuids(erased.rows.iter().copied());
    let mut is_theirs = Condition::any().add(ids.hold(snapshot.backend(), Alias::new("record_id")));
    for side in &erased.sides {
        is_theirs = is_theirs.add(is_side(side));
    }
    let select = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new("resync_items"))
        .and_where(Expr::col(Alias::new("hub_id")).eq(hub_id))
        .cond_where(is_theirs)
        .and_where(Expr::cust(
            "(settled_at IS NOT NULL OR hubspot_record_id IS NOT NULL OR salesforce_record_id IS NOT NULL)",
        ))
        .to_owned();
    let keys: Vec<Key> = snapshot.all(&select).await?;
    Ok(keys.into_iter().map(|key| key.id).collect())
}

/// Items that are settled go; those that are not are counted by their batches, and forget which records they are about.
pub(super) async fn forget_items(change: &Change, ids: &[Uuid]) -> Result<()> {
    let transaction = change.transaction();
    let keys = Keys::uuids(ids.iter().copied());
    let are_these = keys.hold_in_portal(
        transaction.get_database_backend(),
        (Alias::new("hub_id"), change.hub_id()),
        Alias::new("id"),
    );
    let settled = Query::delete()
        .from_table(Alias::new("resync_items"))
        .and_where(are_these.clone())
        .and_where(Expr::col(Alias::new("settled_at")).is_not_null())
        .to_owned();
    let others = Query::update()
        .table(Alias::new("resync_items"))
        .value(Alias::new("hubspot_record_id"), None::<String>)
        .value(Alias::new("salesforce_record_id"), None::<String>)
        .and_where(are_these)
        .to_owned();
    transaction.execute(&settled).await?;
    transaction.execute(&others).await?;
    Ok(())
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

#[derive(FromQueryResult)]
struct Push {
    message_id: Option<Uuid>,
    body: String,
}

/// Calls that name the record.
async fn pushes(snapshot: &Snapshot, hub_id: i64, sides: &[RecordKey]) -> Result<Vec<Uuid>> {
    let sql = "SELECT message_id, body FROM resync_pushes WHERE hub_id = $1 AND body IS NOT NULL";
    let pushes: Vec<Push> = rows(snapshot, sql, hub_id).await?;
    let names = |push: &Push| {
        let mut ids = sides.iter().map(|side| format!("\"{}\"", side.id));
        ids.any(|id| push.body.contains(&id))
    };
    let found = pushes.into_iter().filter(names);
    Ok(found.filter_map(|push| push.message_id).collect())
}

/// A call that names the record is not repeated; its items go back when their lease ends.
pub(super) async fn forget_pushes(change: &Change, ids: &[Uuid]) -> Result<()> {
    let sql = "UPDATE resync_pushes SET message_id = NULL, body = NULL, item_ids = NULL, attempt_count = 0 WHERE hub_id = $1 AND message_id = $2";
    for id in ids {
        execute(change, sql, &[(*id).into()]).await?;
    }
    Ok(())
}

#[derive(FromQueryResult)]
struct Message {
    id: Uuid,
    mail_text: Option<String>,
    mail_html: Option<String>,
    webhook_body: Option<String>,
}

impl Message {
    /// Its texts without the record; `None` where they do not tell of it.
    fn scrubbed(&self, forms: &[(String, String)]) -> Option<[Option<String>; 3]> {
        let texts = [&self.mail_text, &self.mail_html, &self.webhook_body];
        let scrubbed = texts.map(|text| {
            let scrub =
                |text: String, (form, instead): &(String, String)| text.replace(form, instead);
            let text = text.clone()?;
            Some(forms.iter().fold(text, scrub))
        });
        scrubbed.iter().ne(texts).then_some(scrubbed)
    }
}

/// Messages that are not delivered yet and tell of the record: guides name it and quote its values, nothing else does.
pub(super) async fn messages(
    snapshot: &Snapshot,
    hub_id: i64,
    erased: &Erased,
) -> Result<Vec<Uuid>> {
    let sql = "SELECT id, mail_text, mail_html, webhook_body FROM notifications \
        WHERE hub_id = $1 AND (mail_text IS NOT NULL OR webhook_body IS NOT NULL)";
    let forms = forms(erased);
    let messages: Vec<Message> = rows(snapshot, sql, hub_id).await?;
    let theirs = messages
        .iter()
        .filter(|message| message.scrubbed(&forms).is_some());
    Ok(theirs.map(|message| message.id).collect())
}

/// They do not tell of it any more.
pub(super) async fn forget_texts(change: &Change, erased: &Erased, ids: &[Uuid]) -> Result<()> {
    let forms = forms(erased);
    let read = "SELECT id, mail_text, mail_html, webhook_body FROM notifications WHERE hub_id = $1 AND id = $2";
    let write = "UPDATE notifications SET mail_text = $3, mail_html = $4, webhook_body = $5 WHERE hub_id = $1 AND id = $2";
    for id in ids {
        let message: Option<Message> = row(change, read, *id).await?;
        if let Some(texts) = message.and_then(|message| message.scrubbed(&forms)) {
            let mut values = vec![(*id).into()];
            values.extend(texts.into_iter().map(Value::from));
            execute(change, write, &values).await?;
        }
    }
    Ok(())
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

impl Filtered {
    /// Whether it asks for what affects the record.
    fn is_about(&self, sides: &[RecordKey]) -> Result<bool> {
        let affecting = filter::read(&self.filter)?.affecting;
        Ok(affecting.is_some_and(|affecting| {
            let system = affecting.system;
            let id = canonical_record_id(system, affecting.record_id.as_str());
            let object_type = affecting.object_type;
            let object_type = object_type.map(|name| canonical_object_type(system, &name));
            let mut sides = sides.iter();
            sides.any(|side| side.is(system, object_type.as_deref(), Some(&id)))
        }))
    }
}

/// The rows of a table whose filter asks for what affects the record.
async fn about(
    snapshot: &Snapshot,
    (table, hub_id): (&str, i64),
    sides: &[RecordKey],
) -> Result<Vec<Uuid>> {
    let sql = format!("SELECT id, filter FROM {table} WHERE hub_id = $1 AND filter IS NOT NULL");
    let mut about = Vec::new();
    for row in rows::<Filtered>(snapshot, &sql, hub_id).await? {
        if row.is_about(sides)? {
            about.push(row.id);
        }
    }
    Ok(about)
}

/// A view of what affects the record alone shows nothing any more.
pub(super) async fn forget_views(change: &Change, ids: &[Uuid]) -> Result<()> {
    let sql = "DELETE FROM record_views WHERE hub_id = $1 AND id = $2";
    for id in ids {
        execute(change, sql, &[(*id).into()]).await?;
    }
    Ok(())
}

/// A resync of what affects the record reaches nothing more: its filter names no record that there is.
pub(super) async fn forget_filters(
    change: &Change,
    sides: &[RecordKey],
    ids: &[Uuid],
) -> Result<()> {
    let read = "SELECT id, filter FROM resync_batches WHERE hub_id = $1 AND id = $2 AND filter IS NOT NULL";
    let write = "UPDATE resync_batches SET filter = $3 WHERE hub_id = $1 AND id = $2";
    for id in ids {
        let Some(batch) = row::<Filtered>(change, read, *id).await? else {
            continue;
        };
        if !batch.is_about(sides)? {
            continue;
        }
        let mut filter = filter::read(&batch.filter)?;
        if let Some(affecting) = &mut filter.affecting {
            affecting.record_id = "…".into();
        }
        let values = [(*id).into(), filter::kept(&filter)?.into()];
        execute(change, write, &values).await?;
    }
    Ok(())
}
