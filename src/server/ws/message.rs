//! The messages of graphql-transport-ws.

use axum::extract::ws::Utf8Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::server::request::GraphQlRequest;

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Incoming {
    ConnectionInit { payload: Option<Map<String, Value>> },
    Ping { payload: Option<Value> },
    Pong {},
    Subscribe { id: String, payload: GraphQlRequest },
    Complete { id: String },
}

pub(super) const PING: &str = "{\"type\":\"ping\"}";
pub(super) const ACKNOWLEDGED: &str = "{\"type\":\"connection_ack\"}";

pub(super) fn pong(payload: Option<Value>) -> Utf8Bytes {
    match payload {
        Some(payload) => format!("{{\"type\":\"pong\",\"payload\":{payload}}}").into(),
        None => "{\"type\":\"pong\"}".into(),
    }
}

/// A message around what was written before.
pub(super) fn next(id: &str, payload: &[u8]) -> Utf8Bytes {
    let id = Value::from(id);
    let mut message = format!("{{\"id\":{id},\"type\":\"next\",\"payload\":");
    message.push_str(&String::from_utf8_lossy(payload));
    message.push('}');
    message.into()
}

pub(super) fn complete(id: &str) -> Utf8Bytes {
    json!({ "id": id, "type": "complete" }).to_string().into()
}

pub(super) fn error(id: &str, errors: &Value) -> Utf8Bytes {
    let message = json!({ "id": id, "type": "error", "payload": errors });
    message.to_string().into()
}
