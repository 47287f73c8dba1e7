//! Many keys looked up at once, as one parameter: the text of a statement does not depend on their number.

use sea_orm::DbBackend;
use sea_orm::sea_query::extension::postgres::PgFunc;
use sea_orm::sea_query::{
    ArrayType, Expr, ExprTrait, Func, IntoColumnRef, Query, SelectStatement, Value,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A text of any length as a key of 16 bytes.
pub fn key_of(text: &str) -> Uuid {
    let hash: [u8; 32] = Sha256::digest(text).into();
    let mut key = [0; 16];
    key.copy_from_slice(&hash[..16]);
    Uuid::from_bytes(key)
}

/// Keys of one type: an array on PostgreSQL, a list in JSON on SQLite.
#[derive(Debug, Clone)]
pub struct Keys {
    array: ArrayType,
    values: Vec<Value>,
}

impl Keys {
    /// 16-byte keys.
    pub fn uuids(keys: impl IntoIterator<Item = Uuid>) -> Self {
        Self {
            array: ArrayType::Uuid,
            values: keys.into_iter().map(Value::from).collect(),
        }
    }

    /// Texts.
    pub fn texts<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            array: ArrayType::String,
            values: keys.into_iter().map(Value::from).collect(),
        }
    }

    /// Numbers.
    pub fn numbers(keys: impl IntoIterator<Item = i64>) -> Self {
        Self {
            array: ArrayType::BigInt,
            values: keys.into_iter().map(Value::from).collect(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// `column IN (…)`.
    pub fn hold(&self, backend: DbBackend, column: impl IntoColumnRef) -> Expr {
        match backend {
            DbBackend::Postgres => Expr::col(column).eq(PgFunc::any(Expr::val(self.in_array()))),
            _ => Expr::col(column).in_subquery(self.in_json()),
        }
    }

    /// `hub_id = … AND column IN (…)`.
    ///
    /// On PostgreSQL a join with the keys: as two conditions they would let the planner read all of a portal where
    /// its statistics are old and the portal seems small, and it never is when it matters.
    pub fn hold_in_portal(
        &self,
        backend: DbBackend,
        hub_id: (impl IntoColumnRef, i64),
        column: impl IntoColumnRef,
    ) -> Expr {
        let (hub_column, hub_id) = hub_id;
        if backend != DbBackend::Postgres {
            return Expr::col(hub_column)
                .eq(hub_id)
                .and(self.hold(backend, column));
        }
        let keys = Query::select()
            .expr(Expr::val(hub_id))
            .expr(Func::cust("unnest").arg(self.in_array()))
            .to_owned();
        Expr::tuple([Expr::col(hub_column), Expr::col(column)]).in_subquery(keys)
    }

    fn in_array(&self) -> Value {
        Value::Array(self.array.clone(), Some(Box::new(self.values.clone())))
    }

    fn in_json(&self) -> SelectStatement {
        let item = match self.array {
            ArrayType::Uuid => "unhex(value)",
            _ => "value",
        };
        let list: serde_json::Value = self.values.iter().map(json).collect();
        Query::select()
            .expr(Expr::cust(item))
            .from_function(Func::cust("json_each").arg(list.to_string()), "list")
            .to_owned()
    }
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::BigInt(Some(number)) => (*number).into(),
        Value::String(Some(text)) => text.as_str().into(),
        Value::Uuid(Some(id)) => id.simple().to_string().into(),
        _ => serde_json::Value::Null,
    }
}
