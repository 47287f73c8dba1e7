//! The columns of tables by their names. Never `*`: a later version adds columns while this one runs, and a statement
//! that was prepared before fails when its columns change (PostgreSQL: "cached plan must not change result type").

use sea_orm::{EntityTrait, IdenStatic, Iterable};

/// The columns of a table.
pub fn columns<E: EntityTrait>() -> impl Iterator<Item = E::Column> {
    E::Column::iter()
}

/// The columns of a table, each with the table's name before it.
pub fn columns_of<E: EntityTrait>() -> impl Iterator<Item = (E, E::Column)> {
    E::Column::iter().map(|column| (E::default(), column))
}

/// The same for a statement written by hand, with a name for the table.
pub fn names_of<E: EntityTrait>(table: &str) -> String {
    let name = |column: E::Column| format!("{table}.{}", column.as_str());
    columns::<E>().map(name).collect::<Vec<_>>().join(", ")
}
