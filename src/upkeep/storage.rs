//! Whether the database's own storage is sound: pages, and indexes against their tables.

use sea_orm::{DbBackend, FromQueryResult, Statement};

use crate::kernel::db::{Db, Snapshot};
use crate::kernel::error::{Error, Result};

/// What is wrong with a storage.
#[derive(Debug, Default)]
pub struct Damage {
    /// In the words of the database.
    pub found: Vec<String>,
    /// Why it was not looked at.
    pub unchecked: Option<String>,
}

#[derive(FromQueryResult)]
struct Text {
    text: String,
}

/// Looks through the whole storage, beside servers that run: on SQLite by `integrity_check`, which compares indexes with
/// their tables as `quick_check` does not; on PostgreSQL by the extension amcheck, where there is one.
pub async fn examine_storage(db: &Db) -> Result<Damage> {
    let snapshot = db.moving();
    match snapshot.backend() {
        DbBackend::Postgres => examine_postgres(&snapshot).await,
        _ => Ok(examine_sqlite(&snapshot).await),
    }
}

async fn examine_sqlite(snapshot: &Snapshot) -> Damage {
    let found = match texts(
        snapshot,
        "SELECT integrity_check AS text FROM pragma_integrity_check LIMIT 100",
    )
    .await
    {
        Ok(found) => found,
        Err(error) => vec![words(error)],
    };
    Damage {
        found: found.into_iter().filter(|text| text != "ok").collect(),
        unchecked: None,
    }
}

const AMCHECK: &str = "SELECT quote_ident(n.nspname) AS text FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'";
const INDEXES: &str = "SELECT c.oid::text AS text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid \
    JOIN pg_am AS a ON a.oid = c.relam WHERE a.amname = 'btree' AND i.indisready AND i.indisvalid AND c.relpersistence = 'p' \
    AND c.relnamespace = current_schema()::regnamespace ORDER BY c.oid";
const TABLES: &str = "SELECT c.oid::text AS text FROM pg_class AS c WHERE c.relkind = 'r' AND c.relpersistence = 'p' \
    AND c.relnamespace = current_schema()::regnamespace ORDER BY c.oid";

async fn examine_postgres(snapshot: &Snapshot) -> Result<Damage> {
    let Some(schema) = texts(snapshot, AMCHECK).await?.pop() else {
        return Ok(Damage {
            found: Vec::new(),
            unchecked: Some(
                "the storage was not checked: CREATE EXTENSION amcheck lets it be".into(),
            ),
        });
    };
    let mut damage = Damage::default();
    for index in texts(snapshot, INDEXES).await? {
        let sql = format!("SELECT {schema}.bt_index_check({index}::regclass, true)::text AS text");
        damage.note(texts(snapshot, &sql).await.map(|_| Vec::new()));
    }
    for table in texts(snapshot, TABLES).await? {
        let sql = format!(
            "SELECT {table}::regclass::text || ', block ' || blkno || ': ' || msg AS text FROM {schema}.verify_heapam({table}::regclass)"
        );
        damage.note(texts(snapshot, &sql).await);
    }
    Ok(damage)
}

impl Damage {
    fn note(&mut self, checked: Result<Vec<String>>) {
        match checked.map_err(words) {
            Ok(found) => self.found.extend(found),
            Err(why) if why.contains("permission denied") || why.contains("does not exist") => {
                self.unchecked = Some(format!("the storage was not checked by amcheck: {why}"));
            }
            Err(why) => self.found.push(why),
        }
    }
}

async fn texts(snapshot: &Snapshot, sql: &str) -> Result<Vec<String>> {
    let statement = Statement::from_string(snapshot.backend(), sql);
    let found: Vec<Text> = snapshot.all_raw(statement).await?;
    Ok(found.into_iter().map(|row| row.text).collect())
}

/// For the operator alone.
fn words(error: Error) -> String {
    match error {
        Error::Database(error) => error.to_string(),
        other => other.answer().message,
    }
}
