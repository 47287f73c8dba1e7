//! A panic is never normal: it is logged, counted and answered, ends nothing else, and fails the test that it happens in.

use std::process::Command;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use serde_json::{Value, json};
use sync_health::kernel::error::Error;

use crate::commands::Running;
use crate::harness::{
    Backend, Server, both, engine, failure, logs, metric, take_error_logs, take_panics,
};

const PANICS: &str = "sync_health_panics_total";

/// An instant that nothing can be added to.
const END_OF_TIME: i64 = i64::MAX;

both! {
    /// At the end of time every sum overflows: who asks is answered, the log names the place, and all goes on afterwards.
    async fn told_counted_and_survived(server) {
        server.record(json!([failure("1", 0, json!({ "value": "a value that no log may hold" }))])).await;
        assert_eq!(metric(server, PANICS).await, Some(0.0));
        let now = server.clock().swap(END_OF_TIME, Ordering::SeqCst);
        let report = json!([failure("2", 1, json!({ "value": "a value that no log may hold" }))]);
        let input = json!({ "input": { "failures": report } });
        let response = server.post(&engine(), crate::harness::REPORT_FAILURES, input).await;
        assert_eq!(response.status(), 500);
        let reference = response.headers()["x-request-id"].to_str().expect("a text").to_owned();
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "INTERNAL_SERVER_ERROR");
        assert!(answer["errors"][0]["message"].as_str().is_some_and(|text| text.contains("reference")), "{answer:#}");
        // By the stream of NDJSON, in a task of its own, too.
        let lines = server.http.post(format!("{}/v1/sync-failures", server.url)).bearer_auth(engine()).body(report[0].to_string());
        assert_eq!(lines.send().await.expect("an answer").status(), 500);
        server.clock().store(now, Ordering::SeqCst);
        assert!(metric(server, PANICS).await >= Some(2.0));
        let lines = logs();
        let told = lines.iter().find(|line| line.contains("\"panicked\"") && line.contains(&reference)).expect("a line");
        let told: Value = serde_json::from_str(told).expect("JSON");
        assert!(told["level"] == "ERROR" && told["fields"]["place"].as_str().is_some_and(|place| place.starts_with("src/")), "{told:#}");
        assert_eq!(told["fields"]["words"], "attempt to add with overflow");
        assert!(!lines.join("\n").contains("a value that no log may hold"));
        // What runs behind the requests begins again.
        server.record(json!([failure("3", 2, json!({}))])).await;
        assert_eq!(server.read("{ portal { syncErrors { totalCount } } }", json!({})).await["portal"]["syncErrors"]["totalCount"], 1);
        assert!(!take_panics().is_empty() && !take_error_logs().is_empty());
    }
}

/// What a panic says is logged only where it stands in the code.
#[tokio::test]
async fn words_may_hold_data() {
    let server = Server::start(Backend::Sqlite).await;
    let name = "Ada Lovelace".to_owned();
    let ended = tokio::spawn(async move { panic!("{name} is not what was expected") }).await;
    let answer = Error::from(ended.expect_err("a panic")).answer();
    let lines = take_error_logs();
    assert_eq!((lines.len(), take_panics().len()), (2, 1), "{lines:#?}");
    assert!(lines[0].contains("withheld"), "{lines:#?}");
    assert!(!lines.join("\n").contains("Ada Lovelace"), "{lines:#?}");
    assert!(!answer.message.contains("Ada Lovelace"), "{answer:?}");
    server.finish().await;
}

/// Whether a test would fail.
async fn fails(test: impl Future<Output = ()>) -> bool {
    let ended = std::panic::AssertUnwindSafe(test).catch_unwind().await;
    take_panics();
    take_error_logs();
    ended.is_err()
}

/// A panic anywhere in the process, or in a server that is a process of its own, fails its test, whatever the test asserts.
#[tokio::test]
async fn fails_its_test() {
    for panics in [false, true] {
        let server = Server::start(Backend::Sqlite).await;
        if panics {
            let task = tokio::spawn(async { panic!("somewhere in a server") });
            assert!(task.await.is_err());
            // Also where the test expects errors in the log.
            take_error_logs();
        }
        assert_eq!(fails(server.finish()).await, panics);
    }
    for (said, fails_its_test) in [
        ("all is well", false),
        ("thread 'main' panicked at src/main.rs:1:1", true),
    ] {
        let test = async {
            let mut running =
                Running::start(Command::new("sh").args(["-c", "echo \"$0\" >&2", said]));
            running.ended().await;
        };
        assert_eq!(fails(test).await, fails_its_test, "{said}");
    }
}
