//! A subscription as async-graphql-axum serves it out of the box: what an event says lies ready in memory.

use std::process::{Child, Command};

use async_graphql::{EmptyMutation, Object, Schema, SimpleObject, Subscription};
use async_graphql_axum::GraphQLSubscription;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use chrono::{SecondsFormat, Utc};
use futures_util::{Stream, stream};
use tokio::sync::broadcast;

use crate::server::free_address;

/// The same fields as of the other server.
pub const EVENTS: &str = "subscription { syncErrorEvents { at cursor kind syncError { id category type title status system direction \
    hubspotObjectType salesforceObjectType code message transient firstSeenAt lastSeenAt occurrenceCount \
    affectedRecordCount sampleValues } } }";

#[derive(SimpleObject, Clone)]
struct Event {
    at: String,
    cursor: String,
    kind: String,
    sync_error: SyncError,
}

#[derive(SimpleObject, Clone)]
struct SyncError {
    id: String,
    category: String,
    r#type: String,
    title: String,
    status: String,
    system: String,
    direction: String,
    hubspot_object_type: String,
    salesforce_object_type: String,
    code: String,
    message: String,
    transient: bool,
    first_seen_at: String,
    last_seen_at: String,
    occurrence_count: i32,
    affected_record_count: i32,
    sample_values: Vec<String>,
}

type Events = broadcast::Sender<Event>;

struct Query;

#[Object]
impl Query {
    async fn version(&self) -> i32 {
        1
    }
}

struct Live(Events);

#[Subscription]
impl Live {
    async fn sync_error_events(&self) -> impl Stream<Item = Event> {
        stream::unfold(self.0.subscribe(), |mut events| async move {
            Some((events.recv().await.ok()?, events))
        })
    }
}

/// Serves until it is ended; `POST /` makes an event.
pub async fn serve(listen: &str) {
    let events: Events = broadcast::channel(64).0;
    let schema = Schema::build(Query, EmptyMutation, Live(events.clone())).finish();
    let router = Router::new()
        .route_service("/graphql", GraphQLSubscription::new(schema))
        .route("/", post(make))
        .with_state(events);
    let listener = tokio::net::TcpListener::bind(listen).await.expect("a port");
    axum::serve(listener, router).await.expect("a server");
}

async fn make(State(events): State<Events>) {
    let at = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
    let text = |text: &str| text.to_owned();
    let sync_error = SyncError {
        id: text("AQMAAAAAAAAAAQGajH6h1nGAkMZ4zV3o5w0"),
        category: text("PROPERTY_VALUES"),
        r#type: text("VALUE_TOO_LONG"),
        title: text("Value too long (Contact: Metric_813456__c)"),
        status: text("OPEN"),
        system: text("SALESFORCE"),
        direction: text("HUBSPOT_TO_SALESFORCE"),
        hubspot_object_type: text("contact"),
        salesforce_object_type: text("Contact"),
        code: text("STRING_TOO_LONG"),
        message: text("Metric 813456: data value too large: value number 17 (max length=40)"),
        transient: false,
        first_seen_at: at.clone(),
        last_seen_at: at.clone(),
        occurrence_count: 1,
        affected_record_count: 1,
        sample_values: Vec::new(),
    };
    // Nobody may listen.
    let _ = events.send(Event {
        at,
        cursor: text("AQAAAAAAAAABAAAAAAAAAAE"),
        kind: text("OPENED"),
        sync_error,
    });
}

/// Starts this program again as such a server; answers its address too.
pub fn start() -> (Peer, String) {
    let address = free_address();
    let program = std::env::current_exe().expect("this program");
    let child = Command::new(program).args(["stock", &address]).spawn();
    let peer = Peer(child.expect("a server"));
    for _ in 0..200 {
        if std::net::TcpStream::connect(&address).is_ok() {
            return (peer, address);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("the server does not listen");
}

/// A process that is ended with its owner.
pub struct Peer(Child);

impl Peer {
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes an event.
pub async fn publish(address: &str) {
    let sent = reqwest::Client::new()
        .post(format!("http://{address}/"))
        .send();
    assert!(sent.await.expect("an answer").status().is_success());
}
