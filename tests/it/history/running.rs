//! Streams and servers that run while the history is exchanged under them.

use serde_json::{Value, json};

use super::{EVENTS, feed, grow, regrow};
use crate::harness::copies::Place;
use crate::harness::live::{EventStream, Socket};
use crate::harness::{Backend, reader, take_error_logs};

/// Streams that wait and that follow others, by both transports, end with CURSOR_EXPIRED: also when
/// the other history has as many events as theirs, or more.
async fn exchanged_under_streams(backend: Backend, regrown: usize) {
    let place = Place::new(backend).await;
    let server = place.serve(|_| {}).await;
    grow(&server, "common", 5).await;
    let copy = place.copy().await;
    regrow(&copy, regrown).await;
    let start = feed(&server, &Value::Null).await["eventCursor"].take();
    let mut sockets = Vec::new();
    let mut streams = Vec::new();
    let variables = json!({ "after": start, "kinds": [] });
    for _ in 0..2 {
        let mut socket = Socket::connect(&server, &reader()).await;
        socket.subscribe("1", EVENTS, variables.clone()).await;
        sockets.push(socket);
        let stream = EventStream::open(&server, &reader(), EVENTS, variables.clone(), None).await;
        streams.push(stream);
    }
    grow(&server, "lost", 5).await;
    for expected in 6..=10 {
        for socket in &mut sockets {
            assert_eq!(
                socket.data().await["syncErrorEvents"]["affectedRecordCount"],
                expected
            );
        }
        for stream in &mut streams {
            assert_eq!(
                stream.data().await["syncErrorEvents"]["affectedRecordCount"],
                expected
            );
        }
    }
    place.exchange(&copy).await;
    for socket in &mut sockets {
        let message = socket.next().await;
        let code = &message["payload"][0]["extensions"]["code"];
        assert_eq!(
            (&message["type"], code),
            (&json!("error"), &json!("CURSOR_EXPIRED"))
        );
    }
    for stream in &mut streams {
        let event = stream.next().await.expect("an end");
        assert_eq!(
            event.data["errors"][0]["extensions"]["code"], "CURSOR_EXPIRED",
            "{event:?}"
        );
        assert_eq!(
            stream.next().await.map(|event| event.name),
            Some("complete".into())
        );
    }
    // Who begins anew, on the server that ran on, hears the new history.
    let after = feed(&server, &Value::Null).await["eventCursor"].take();
    let mut socket = Socket::connect(&server, &reader()).await;
    socket
        .subscribe("1", EVENTS, json!({ "after": after }))
        .await;
    grow(&server, "next", 1).await;
    assert_eq!(
        socket.data().await["syncErrorEvents"]["affectedRecordCount"],
        6 + regrown
    );
    // Connections that were ended under it.
    take_error_logs();
    server.finish().await;
}

macro_rules! exchanged {
    ($($name:ident: $backend:ident, $regrown:literal;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            exchanged_under_streams(Backend::$backend, $regrown).await;
        })*
    };
}

exchanged! {
    behind_on_sqlite: Sqlite, 0;
    equally_far_on_sqlite: Sqlite, 5;
    ahead_on_sqlite: Sqlite, 8;
    behind_on_postgres: Postgres, 0;
    equally_far_on_postgres: Postgres, 5;
    ahead_on_postgres: Postgres, 8;
}
