//! `sync-health import`: old failures come in from files, twice without harm.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::commands::{command, ran, text};
use crate::harness::{Backend, Server, both, engine, postgres};

/// Runs the command with a file of these lines.
pub async fn import(folder: &Path, name: &str, lines: &[&str], arguments: &[&str]) -> Output {
    let path = folder.join(name);
    if !path.exists() {
        std::fs::write(&path, lines.join("\n")).expect("a file");
    }
    let mut run = command(&["import", "--portal", "1001"]);
    run.arg(path).args(arguments);
    tokio::task::spawn_blocking(move || ran(&mut run))
        .await
        .expect("a run")
}

/// What a database holds of portal 1001, asked through a server.
async fn errors_of(database_url: &str) -> Value {
    let url = database_url.to_owned();
    let server = Server::start_with(Backend::Sqlite, |config| config.database_url = url).await;
    let query = "{ portal { syncErrors(orderBy: { field: AFFECTED_RECORD_COUNT }) { nodes { type affectedRecordCount occurrenceCount salesforceObjectType latestFailure { occurredAt reportedBy } affectedRecords { nodes { hubspotRecord { recordId } salesforceRecord { recordId } } } } } } }";
    let mut data = server.read(query, json!({})).await;
    server.stop().await;
    data["portal"]["syncErrors"]["nodes"].take()
}

const NDJSON: &[&str] = &[
    r#"{"code":"STRING_TOO_LONG","message":"Title: data value too large: x (max length=40)","fields":["Title"],"hubspotRecord":{"recordId":"1"}}"#,
    r#"{"code":"STRING_TOO_LONG","message":"Title: data value too large: y (max length=40)","fields":["Title"],"hubspotRecord":{"recordId":"2"}}"#,
    "",
    "nonsense",
    r#"{"code":"STRING_TOO_LONG","message":"no record"}"#,
];

async fn ndjson_twice(database_url: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--database-url", database_url, "--object", "Contact"];
    let dry = import(
        folder.path(),
        "old.ndjson",
        NDJSON,
        &[&arguments[..], &["--dry-run"]].concat(),
    )
    .await;
    let told = text(&dry.stdout);
    assert!(
        told.contains(
            "2  Value too long (Contact: Title): VALUE_TOO_LONG, by the rule salesforce.too-long"
        ) && told.contains("nothing was written; 2 lines would be refused"),
        "{told}"
    );
    let first = import(folder.path(), "old.ndjson", NDJSON, &arguments).await;
    let (told, refused) = (text(&first.stdout), text(&first.stderr));
    assert!(
        !first.status.success() && told.contains("2 recorded, 0 known before, 2 lines refused"),
        "{told}{refused}"
    );
    assert!(
        refused.contains("line 4: not JSON: expected ident")
            && refused.contains("sync-health: 2 lines were refused")
            && refused.contains("line 5: hubspotRecord.recordId: "),
        "{refused}"
    );
    let second = import(folder.path(), "old.ndjson", NDJSON, &arguments).await;
    assert!(
        text(&second.stdout).contains("0 recorded, 2 known before"),
        "{}",
        text(&second.stdout)
    );
    let errors = errors_of(database_url).await;
    assert_eq!(
        (
            &errors[0]["affectedRecordCount"],
            &errors[0]["occurrenceCount"],
            &errors[0]["salesforceObjectType"],
            &errors[0]["latestFailure"]["reportedBy"]
        ),
        (&json!(2), &json!(2), &json!("Contact"), &json!("import"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ndjson_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    ndjson_twice(&format!(
        "sqlite://{}",
        folder.path().join("s.db").display()
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ndjson_on_postgres() {
    ndjson_twice(&postgres::new_database().await).await;
}

both! {
    configure = |config| config.clock = sync_health::kernel::clock::Clock::System;
    /// The files that Salesforce's tools leave behind, and any other CSV; to a server, by a token.
    async fn csv_to_a_server(server) {
        let folder = tempfile::tempdir().expect("a folder");
        let token = engine();
        let arguments = [
            "--url",
            server.url.as_str(),
            "--token",
            token.as_str(),
            "--object",
            "Contact",
        ];
        let with = |more: &'static [&'static str]| [&arguments[..], more].concat();
        let bulk = [
            "\"sf__Id\",\"sf__Error\",Title,HubSpot_Id__c",
            "\"0035e000003GcMxAAK\",\"STRING_TOO_LONG:Title: data value too large: a very long title (max length=40):Title --\",\"a very long title\",11",
            "\"\",\"REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --\",\"x\",12",
        ];
        let told = import(
            folder.path(),
            "bulk.csv",
            &bulk,
            &with(&["--record-id-column", "HubSpot_Id__c"]),
        )
        .await;
        assert!(
            text(&told.stdout).contains("2 recorded, 0 known before, 0 lines refused"),
            "{told:?}"
        );
        let loader = [
            "ID,TITLE,ERROR",
            "0035e000003GcMyAAK,x,\"unable to obtain exclusive access to this record or 1 records: 0035e000003GcMyAAK\"",
        ];
        let told = import(folder.path(), "error042.csv", &loader, &with(&[])).await;
        assert!(text(&told.stdout).contains("1 recorded"), "{told:?}");
        let own = [
            "Record;Ignored,Problem,Code",
            "21,INVALID_EMAIL_ADDRESS,\"Email: invalid email address: nobody\"",
        ];
        let told = import(
            folder.path(),
            "own.csv",
            &own,
            &with(&[
                "--map",
                "Record;Ignored=hubspotRecord.recordId",
                "--map",
                "Problem=code",
                "--map",
                "Code=message",
            ]),
        )
        .await;
        assert!(text(&told.stdout).contains("1  INVALID_EMAIL"), "{told:?}");
        let data = server.read("{ portal { syncErrors(orderBy: { field: FIRST_SEEN_AT, direction: ASC }) { nodes { type affectedRecords { nodes { hubspotRecord { recordId } salesforceRecord { recordId } } } } } } }", json!({})).await;
        let errors = data["portal"]["syncErrors"]["nodes"]
            .as_array()
            .expect("errors")
            .clone();
        let of = |error_type: &str| {
            errors
                .iter()
                .find(|error| error["type"] == error_type)
                .expect("an error")["affectedRecords"]["nodes"][0]
                .clone()
        };
        assert_eq!(
            of("VALUE_TOO_LONG"),
            json!({ "hubspotRecord": { "recordId": "11" }, "salesforceRecord": { "recordId": "0035e000003GcMxAAK" } })
        );
        assert_eq!(
            of("REQUIRED_VALUE_MISSING"),
            json!({ "hubspotRecord": { "recordId": "12" }, "salesforceRecord": null })
        );
        assert_eq!(
            of("ROW_LOCKED")["salesforceRecord"]["recordId"],
            "0035e000003GcMyAAK"
        );
        for (name, lines, more, why) in [
            (
                "a.csv",
                &["x,y", "1,2"][..],
                &[][..],
                "say which does by --map COLUMN=message",
            ),
            (
                "b.csv",
                &["x,y", "1,2"],
                &["--map", "z=message"],
                "the file has no column z",
            ),
            (
                "c.csv",
                &["x,y", "1,2"],
                &["--map", "x=nonsense"],
                "nonsense is none of the keys",
            ),
        ] {
            let refused = import(folder.path(), name, lines, &with(more)).await;
            assert!(
                !refused.status.success() && text(&refused.stderr).contains(why),
                "{refused:?}"
            );
        }
    }
}

both! {
    /// What the server refuses is told by the line too: its clock is months behind the file.
    async fn refused_by_a_server(server) {
        let folder = tempfile::tempdir().expect("a folder");
        let loader = ["ID,ERROR", "0035e000003GcMyAAK,unable to obtain exclusive access to this record"];
        let to = ["--url", server.url.as_str(), "--token", &engine(), "--object", "Contact"];
        let told = import(folder.path(), "error042.csv", &loader, &to).await;
        assert!(
            text(&told.stderr).contains("line 2: Between 2000-01-01")
                && text(&told.stdout).contains("0 recorded, 0 known before, 1 line refused"),
            "{told:?}"
        );
    }
}

/// A copy of a file has another date: who says when it happened imports it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    let path = folder.path().join("old.ndjson");
    std::fs::write(&path, NDJSON[..2].join("\n")).expect("a file");
    let dated = |at: &str| {
        let at: chrono::DateTime<chrono::Utc> = at.parse().expect("an instant");
        let file = std::fs::File::options()
            .write(true)
            .open(&path)
            .expect("the file");
        file.set_modified(at.into()).expect("a date");
    };
    let arguments = [
        "--database-url",
        &url,
        "--occurred-at",
        "2026-03-01T09:00:00Z",
    ];
    for (at, expected) in [
        ("2026-03-02T00:00:00Z", "2 recorded"),
        ("2026-03-03T00:00:00Z", "0 recorded, 2 known before"),
    ] {
        dated(at);
        let told = import(folder.path(), "old.ndjson", &[], &arguments).await;
        assert!(
            told.status.success() && text(&told.stdout).contains(expected),
            "{told:?}"
        );
    }
    dated("1980-01-01T00:00:00Z");
    let told = import(folder.path(), "old.ndjson", &[], &arguments[..2]).await;
    assert!(
        text(&told.stderr).contains("the file is of 1980-01-01: say by --occurred-at"),
        "{told:?}"
    );
    let first = import(
        folder.path(),
        "old.ndjson",
        &[],
        &["--portal", "7", "--database-url", &url],
    )
    .await;
    assert!(!first.status.success(), "a portal is named once");
}
