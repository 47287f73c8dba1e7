//! Bulk statements: rows of an entity in one round trip, whatever their number.
//!
//! PostgreSQL gets one array per column (`UNNEST`), SQLite lists of values of a few fixed lengths, so that it
//! prepares few statements and keeps them.

use sea_orm::sea_query::{ArrayType, Value};
use sea_orm::{
    ColumnTrait, ColumnType, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, IdenStatic,
    Iterable, ModelTrait, PrimaryKeyToColumn, Statement,
};

use crate::kernel::db::Transaction;
use crate::kernel::error::{Error, Result};

/// Rows in one statement on SQLite: as many as fit of the largest, then of the next.
const SQLITE_ROWS: [usize; 3] = [100, 10, 1];
/// Rows in one statement on PostgreSQL.
const POSTGRES_ROWS: usize = 2_000;

/// Writes rows: inserts the new, replaces those whose primary key exists.
pub async fn upsert<'a, E>(
    transaction: &Transaction,
    rows: impl IntoIterator<Item = &'a E::Model>,
) -> Result<()>
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E> + Sync + 'a,
{
    let keys: Vec<&str> = E::PrimaryKey::iter()
        .map(|key| key.into_column().as_str())
        .collect();
    let set: Vec<String> = E::Column::iter()
        .map(|column| column.as_str())
        .filter(|name| !keys.contains(name))
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    let conflict = format!(
        "ON CONFLICT ({}) DO UPDATE SET {}",
        keys.join(", "),
        set.join(", ")
    );
    insert::<E>(transaction, rows, &conflict).await
}

/// Inserts rows with a clause `ON CONFLICT …` (or nothing).
pub async fn insert<'a, E>(
    transaction: &Transaction,
    rows: impl IntoIterator<Item = &'a E::Model>,
    conflict: &str,
) -> Result<()>
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E> + Sync + 'a,
{
    let rows: Vec<_> = rows.into_iter().collect();
    for statement in statements::<E>(transaction.get_database_backend(), &rows, conflict)? {
        transaction.execute_raw(statement).await?;
    }
    Ok(())
}

/// Inserts rows with a clause `ON CONFLICT … RETURNING …`; answers what that returns.
pub async fn insert_returning<'a, E, M>(
    transaction: &Transaction,
    rows: impl IntoIterator<Item = &'a E::Model>,
    clause: &str,
) -> Result<Vec<M>>
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E> + Sync + 'a,
    M: FromQueryResult,
{
    let mut returned = Vec::new();
    let rows: Vec<_> = rows.into_iter().collect();
    for statement in statements::<E>(transaction.get_database_backend(), &rows, clause)? {
        for row in transaction.query_all_raw(statement).await? {
            returned.push(M::from_query_result(&row, "")?);
        }
    }
    Ok(returned)
}

fn statements<E>(backend: DbBackend, rows: &[&E::Model], conflict: &str) -> Result<Vec<Statement>>
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E>,
{
    match backend {
        DbBackend::Postgres => rows
            .chunks(POSTGRES_ROWS)
            .map(|rows| unnest::<E>(rows, conflict))
            .collect(),
        _ => Ok(sqlite_chunks(rows)
            .map(|rows| values::<E>(rows, conflict))
            .collect()),
    }
}

fn sqlite_chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = SQLITE_ROWS
            .into_iter()
            .find(|length| *length <= rows.len())?;
        let (chunk, rest) = rows.split_at(length);
        rows = rest;
        Some(chunk)
    })
}

fn column_list<E: EntityTrait>() -> String {
    E::Column::iter()
        .map(|c| c.as_str().to_owned())
        .collect::<Vec<_>>()
        .join(", ")
}

fn values<E>(rows: &[&E::Model], conflict: &str) -> Statement
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E>,
{
    let row = format!("({})", vec!["?"; E::Column::iter().count()].join(","));
    let table = E::default().table_name().to_owned();
    let sql = format!(
        "INSERT INTO {table} ({}) VALUES {} {conflict}",
        column_list::<E>(),
        vec![row; rows.len()].join(",")
    );
    let values = rows
        .iter()
        .flat_map(|row| E::Column::iter().map(|column| row.get(column)));
    Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)
}

/// Arrays hold no null here (the driver's binding has none), so an absent value travels as one that no column
/// holds and `NULLIF` turns it back.
fn unnest<E>(rows: &[&E::Model], conflict: &str) -> Result<Statement>
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E>,
{
    let mut select = Vec::new();
    let mut arrays = Vec::new();
    let mut bound = Vec::new();
    for (position, column) in E::Column::iter().enumerate() {
        let definition = column.def();
        let (array, sql_type, absent, literal) = match definition.get_column_type() {
            ColumnType::SmallInteger => (
                ArrayType::SmallInt,
                "smallint",
                Value::SmallInt(Some(i16::MIN)),
                "'-32768'",
            ),
            ColumnType::Integer => (
                ArrayType::Int,
                "integer",
                Value::Int(Some(i32::MIN)),
                "'-2147483648'",
            ),
            ColumnType::BigInteger => (
                ArrayType::BigInt,
                "bigint",
                Value::BigInt(Some(i64::MIN)),
                "'-9223372036854775808'",
            ),
            ColumnType::Boolean => (ArrayType::Bool, "boolean", Value::Bool(Some(false)), ""),
            ColumnType::Text | ColumnType::String(_) => (
                ArrayType::String,
                "text",
                Value::String(Some(String::new())),
                "''",
            ),
            ColumnType::Uuid => (
                ArrayType::Uuid,
                "uuid",
                Value::Uuid(Some(uuid::Uuid::nil())),
                "'00000000-0000-0000-0000-000000000000'",
            ),
            other => {
                return Err(Error::Internal(format!(
                    "no array for a column of type {other:?}"
                )));
            }
        };
        let values = rows.iter().map(|row| row.get(column)).map(|value| {
            if value == value.as_null() {
                absent.clone()
            } else {
                value
            }
        });
        bound.push(Value::Array(array, Some(Box::new(values.collect()))));
        arrays.push(format!("${}::{sql_type}[]", position + 1));
        let nullable = definition.is_null() && !literal.is_empty();
        select.push(if nullable {
            format!("NULLIF(c{position}, {literal})")
        } else {
            format!("c{position}")
        });
    }
    let aliases: Vec<String> = (0..select.len())
        .map(|position| format!("c{position}"))
        .collect();
    let sql = format!(
        "INSERT INTO {} ({}) SELECT {} FROM UNNEST({}) AS rows ({}) {conflict}",
        E::default().table_name(),
        column_list::<E>(),
        select.join(", "),
        arrays.join(", "),
        aliases.join(", ")
    );
    Ok(Statement::from_sql_and_values(
        DbBackend::Postgres,
        sql,
        bound,
    ))
}
