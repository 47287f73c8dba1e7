//! What no GraphQL server can be faster than: an axum handler that checks the same token, sends the same SQL and
//! writes the same bytes, knowing the one page that it is asked for.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use sea_orm::sea_query::{ArrayType, Value};
use sea_orm::{DbBackend, FromQueryResult, Statement};
use serde::Serialize;
use sync_health::classify::{SyncErrorCategory, SyncErrorType};
use sync_health::kernel::auth::{Verifier, VerifierConfig};
use sync_health::kernel::config::Config;
use sync_health::kernel::db::{Db, Snapshot};
use sync_health::kernel::global_id::{GlobalId, Kind};
use sync_health::kernel::scalars::{Instant, enum_name};
use uuid::Uuid;

struct Raw {
    db: Db,
    verifier: Verifier,
}

/// Serves until it is ended.
pub async fn serve(database_url: &str, listen: &str, secret: &str) {
    let auth = VerifierConfig::of_secret(secret.as_bytes().to_vec());
    let verifier = Verifier::new(&auth).await;
    let config = Config::new(database_url.to_owned(), auth);
    let raw = Raw {
        db: Db::connect(&config).await.expect("the database"),
        verifier: verifier.unwrap_or_else(|_| panic!("a verifier")),
    };
    let listener = tokio::net::TcpListener::bind(listen).await.expect("a port");
    let router = Router::new()
        .route("/graphql", post(page))
        .with_state(Arc::new(raw));
    axum::serve(listener, router).await.expect("a server");
}

async fn page(State(raw): State<Arc<Raw>>, headers: HeaderMap, _: axum::body::Bytes) -> Response {
    let token = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes());
    let viewer = raw
        .verifier
        .verify_header(token)
        .await
        .expect("a good token");
    let snapshot = raw.db.snapshot();
    let errors = errors(&snapshot).await;
    let ids = errors.iter().map(|error| error.id);
    let mut records: HashMap<Uuid, Vec<RecordRow>> = HashMap::new();
    for row in records_of(&snapshot, ids).await {
        records.entry(row.error_id).or_default().push(row);
    }
    let nodes = errors.into_iter().take(50).map(|row| {
        let mut records = records.remove(&row.id).unwrap_or_default();
        records.sort_unstable_by_key(|record| record.id);
        error(row, records)
    });
    let body = Body {
        data: Data {
            portal: Portal {
                sync_errors: Nodes {
                    nodes: nodes.collect(),
                },
            },
        },
        extensions: cost(viewer.subject()),
    };
    let body = serde_json::to_vec(&body).expect("JSON");
    (
        [(header::CONTENT_TYPE, "application/json; charset=utf-8")],
        body,
    )
        .into_response()
}

/// As many bytes as the server tells of cost.
fn cost(_: &str) -> serde_json::Value {
    serde_json::json!({ "cost": { "requestedQueryCost": 802, "throttleStatus":
        { "currentlyAvailable": 1_999_999_000_u64, "maximumAvailable": 2_000_000_000, "restoreRate": 1_000_000_000 } } })
}

#[derive(FromQueryResult)]
struct ErrorRow {
    id: Uuid,
    category: SyncErrorCategory,
    error_type: SyncErrorType,
    code: Option<String>,
    message: String,
    transient: bool,
    first_seen_at: i64,
    last_seen_at: i64,
    occurrence_count: i32,
    affected_record_count: i32,
    hubspot_object_type: Option<String>,
    salesforce_object_type: Option<String>,
}

#[derive(FromQueryResult)]
struct RecordRow {
    error_id: Uuid,
    id: Uuid,
    message: String,
    hubspot_record_id: Option<String>,
    hubspot_name: Option<String>,
    salesforce_record_id: Option<String>,
    salesforce_name: Option<String>,
    first_seen_at: i64,
    last_seen_at: i64,
    attempt_count: i32,
}

#[derive(FromQueryResult)]
struct PortalRow {
    #[expect(
        dead_code,
        reason = "the same statement as the server's; the page shows nothing of it"
    )]
    hub_id: i64,
}

const PORTAL: &str = "SELECT portals.*, feed_heads.epoch, feed_heads.sequence, category_counters.category, \
    category_counters.open_error_count AS card_open, category_counters.resolved_error_count AS card_resolved, \
    category_counters.affected_record_count AS card_affected FROM portals \
    INNER JOIN feed_heads ON portals.hub_id = feed_heads.hub_id \
    LEFT JOIN category_counters ON portals.hub_id = category_counters.hub_id \
    WHERE portals.hub_id = $1 ORDER BY portals.hub_id";
const ERRORS: &str = "SELECT hub_id, id, signature, signature_version, category, error_type, rule, overridden, system, \
    direction, hubspot_object_type, salesforce_object_type, fields, details, status, code, message, cause_code, \
    cause_message, transient, sample_values, first_seen_at, last_seen_at, resolved_at, occurrence_count, \
    affected_record_count, '' AS search_text, opened_at FROM sync_errors WHERE hub_id = $1 AND (status < 2) \
    ORDER BY last_seen_at DESC, id DESC LIMIT 51";
const RECORD: &str = "records.hub_id, records.error_id, records.id, records.hubspot_object_type, \
    records.hubspot_record_id, records.hubspot_name, records.salesforce_object_type, records.salesforce_record_id, \
    records.salesforce_name, records.existing_record, records.rejected_value, records.message, records.first_seen_at, \
    records.last_seen_at, records.attempt_count, records.cleared_at, '' AS search_text";

async fn errors(snapshot: &Snapshot) -> Vec<ErrorRow> {
    let statement =
        |sql: &str| Statement::from_sql_and_values(snapshot.backend(), sql, [1_i64.into()]);
    let _: Vec<PortalRow> = snapshot.all_raw(statement(PORTAL)).await.expect("a portal");
    snapshot.all_raw(statement(ERRORS)).await.expect("errors")
}

async fn records_of(snapshot: &Snapshot, errors: impl Iterator<Item = Uuid>) -> Vec<RecordRow> {
    let keys: Vec<Value> = errors.map(Value::from).collect();
    let backend = snapshot.backend();
    let statement = match backend {
        DbBackend::Postgres => {
            let sql = format!(
                "SELECT records.* FROM UNNEST($1::uuid[]) AS errors (id) CROSS JOIN LATERAL (SELECT {RECORD} \
                FROM affected_records AS records WHERE hub_id = $2 AND error_id = errors.id AND cleared_at IS NULL \
                ORDER BY records.id LIMIT 6) AS records"
            );
            let keys = Value::Array(ArrayType::Uuid, Some(Box::new(keys)));
            Statement::from_sql_and_values(backend, sql, [keys, 1_i64.into()])
        }
        _ => {
            let marks = vec!["(?)"; keys.len()].join(",");
            let sql = format!(
                "WITH errors (id) AS (VALUES {marks}) SELECT {RECORD} FROM errors CROSS JOIN affected_records AS records \
                WHERE records.hub_id = 1 AND records.error_id = errors.id AND records.id IN \
                (SELECT id FROM affected_records WHERE hub_id = 1 AND error_id = errors.id AND cleared_at IS NULL \
                ORDER BY id LIMIT 6)"
            );
            Statement::from_sql_and_values(backend, sql, keys)
        }
    };
    snapshot.all_raw(statement).await.expect("records")
}

#[derive(Serialize)]
struct Body {
    data: Data,
    extensions: serde_json::Value,
}

#[derive(Serialize)]
struct Data {
    portal: Portal,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Portal {
    sync_errors: Nodes<Error>,
}

#[derive(Serialize)]
struct Nodes<T> {
    nodes: Vec<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Error {
    id: String,
    category: &'static str,
    r#type: &'static str,
    status: &'static str,
    code: Option<String>,
    message: String,
    transient: bool,
    first_seen_at: String,
    last_seen_at: String,
    occurrence_count: i32,
    affected_record_count: i32,
    hubspot_object_type: Option<String>,
    salesforce_object_type: Option<String>,
    affected_records: Nodes<Record>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    id: String,
    message: String,
    hubspot_record: Option<Side>,
    salesforce_record: Option<Side>,
    first_seen_at: String,
    last_seen_at: String,
    attempt_count: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Side {
    record_id: String,
    name: Option<String>,
}

fn error(row: ErrorRow, records: Vec<RecordRow>) -> Error {
    Error {
        id: GlobalId::encode(Kind::SyncError, 1, row.id.as_bytes()).0,
        category: enum_name(row.category),
        r#type: enum_name(row.error_type),
        status: "OPEN",
        code: row.code,
        message: row.message,
        transient: row.transient,
        first_seen_at: Instant(row.first_seen_at).to_string(),
        last_seen_at: Instant(row.last_seen_at).to_string(),
        occurrence_count: row.occurrence_count,
        affected_record_count: row.affected_record_count,
        hubspot_object_type: row.hubspot_object_type,
        salesforce_object_type: row.salesforce_object_type,
        affected_records: Nodes {
            nodes: records.into_iter().take(5).map(record).collect(),
        },
    }
}

fn record(row: RecordRow) -> Record {
    let key = [row.error_id.into_bytes(), row.id.into_bytes()].concat();
    let side = |id: Option<String>, name| id.map(|record_id| Side { record_id, name });
    Record {
        id: GlobalId::encode(Kind::AffectedRecord, 1, &key).0,
        message: row.message,
        hubspot_record: side(row.hubspot_record_id, row.hubspot_name),
        salesforce_record: side(row.salesforce_record_id, row.salesforce_name),
        first_seen_at: Instant(row.first_seen_at).to_string(),
        last_seen_at: Instant(row.last_seen_at).to_string(),
        attempt_count: row.attempt_count,
    }
}
