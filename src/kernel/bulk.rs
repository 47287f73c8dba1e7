//! Bulk statements: rows of an entity in one round trip, whatever their number.
//!
//! PostgreSQL gets one array per column (`UNNEST`), SQLite lists of values.

use sea_orm::sea_query::{ArrayType, Value};
use sea_orm::{
    ColumnTrait, ColumnType, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait,
    FromQueryResult, IdenStatic, Iterable, ModelTrait, PrimaryKeyToColumn, Statement,
};

use crate::kernel::error::{Error, Result};

/// SQLite's default limit of parameters in a statement.
const SQLITE_PARAMETERS: usize = 32_766;

/// Writes rows: inserts the new, replaces those whose primary key exists.
///
/// PostgreSQL gets one array per column (`UNNEST`), SQLite lists of values: each one statement for up to about
/// a thousand rows.
pub async fn upsert<E>(transaction: &DatabaseTransaction, rows: &[E::Model]) -> Result<()>
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E> + Sync,
{
    if rows.is_empty() {
        return Ok(());
    }
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
pub async fn insert<E>(
    transaction: &DatabaseTransaction,
    rows: &[E::Model],
    conflict: &str,
) -> Result<()>
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E> + Sync,
{
    for statement in statements::<E>(transaction.get_database_backend(), rows, conflict)? {
        transaction.execute_raw(statement).await?;
    }
    Ok(())
}

/// Inserts rows with a clause `ON CONFLICT … RETURNING …`; answers what that returns.
pub async fn insert_returning<E, M>(
    transaction: &DatabaseTransaction,
    rows: &[E::Model],
    clause: &str,
) -> Result<Vec<M>>
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E> + Sync,
    M: FromQueryResult,
{
    let mut returned = Vec::new();
    for statement in statements::<E>(transaction.get_database_backend(), rows, clause)? {
        for row in transaction.query_all_raw(statement).await? {
            returned.push(M::from_query_result(&row, "")?);
        }
    }
    Ok(returned)
}

fn statements<E>(backend: DbBackend, rows: &[E::Model], conflict: &str) -> Result<Vec<Statement>>
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E>,
{
    let columns = E::Column::iter().count();
    rows.chunks(SQLITE_PARAMETERS / columns)
        .map(|rows| match backend {
            DbBackend::Postgres => unnest::<E>(rows, conflict),
            _ => Ok(values::<E>(rows, conflict)),
        })
        .collect()
}

fn column_list<E: EntityTrait>() -> String {
    E::Column::iter()
        .map(|c| c.as_str().to_owned())
        .collect::<Vec<_>>()
        .join(", ")
}

fn values<E>(rows: &[E::Model], conflict: &str) -> Statement
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
fn unnest<E>(rows: &[E::Model], conflict: &str) -> Result<Statement>
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
                "",
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
