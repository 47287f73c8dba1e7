//! Odd shapes of failures: each is taken or refused by itself, with a reason, and what was taken can be read.

use serde_json::{Value, json};

use crate::harness::{both, engine};

/// A line of a contact with more keys.
fn line(keys: &str) -> Vec<u8> {
    let record = r#""direction":"HUBSPOT_TO_SALESFORCE","hubspotRecord":{"objectType":"contact","recordId":"1"}"#;
    format!("{{{record},{keys}}}").into_bytes()
}

/// A line, and why it is refused; taken when nothing is said.
fn shapes() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let deep = "[".repeat(20_000);
    let nested = r#""message":"RecordTrigger: execution of AfterUpdate caused by: System.DmlException: Update failed. First exception on row 0 with id 0015e000005XyzAAAS; first error: CANNOT_EXECUTE_FLOW_TRIGGER, We can't save this record because the \"Lead routing\" process failed. FIELD_CUSTOM_VALIDATION_EXCEPTION: Phone needs a country code: [Phone]: Trigger.RecordTrigger: line 12, column 1""#;
    vec![
        ("nested three deep", line(nested), None),
        ("JSON that is cut off", line(r#""raw":"[{\"message\":\"Title: data value too lar""#), None),
        ("JSON inside JSON inside JSON", line(r#""raw":"{\"body\":\"[{\\\"errorCode\\\":\\\"STRING_TOO_LONG\\\",\\\"message\\\":\\\"x\\\"}]\"}""#), None),
        ("HTML", line(r#""message":"<p>STRING_TOO_LONG: <b>Title</b>: data value too large &#40;max length=40&#41;</p>""#), None),
        ("HTML without an end", line(r#""message":"<div <div <div &amp;&amp &#x; &#99999999;""#), None),
        ("right to left", line(r#""message":"\u202eשדה חובה חסר\u202c: [שם]","fields":["שם"]"#), None),
        ("marks upon marks", line(&format!(r#""message":"Z{}""#, "\u{0301}".repeat(5_000))), None),
        ("NUL", line(r#""message":"a\u0000b","value":"\u0000""#), None),
        ("brackets in a text", line(&format!(r#""message":"{}""#, &deep[..15_000])), None),
        ("brackets in raw", line(&format!(r#""raw":"{deep}""#)), None),
        ("a long raw", line(&format!(r#""raw":"{}""#, "x".repeat(60_000))), None),
        ("only a code", line(r#""code":"STRING_TOO_LONG""#), None),
        ("many causes", line(&format!(r#""raw":"[{}]""#, vec![r#"{\"errorCode\":\"A_CODE\",\"message\":\"x\"}"#; 500].join(","))), None),
        ("nothing said", line(r#""fields":[]"#), None),
        ("half a character", line(r#""message":"\ud800""#), Some("")),
        ("the other half", line(r#""message":"\udc00 x""#), Some("")),
        ("no UTF-8", [&line(r#""message":""#)[..100], &[0xff, 0xfe], b"\"}"].concat(), Some("")),
        ("a message that is too long", line(&format!(r#""message":"{}""#, "x".repeat(16_001))), Some("message")),
        ("a raw that is too long", line(&format!(r#""raw":"{}""#, "x".repeat(60_001))), Some("raw")),
        ("a line that is too long", line(&format!(r#""raw":"{}""#, "x".repeat(600_000))), Some("")),
        ("brackets without an end", deep.clone().into_bytes(), Some("")),
        ("objects without an end", r#"{"a":"#.repeat(10_000).into_bytes(), Some("")),
        ("a list", b"[]".to_vec(), Some("")),
        ("a number", b"1e999".to_vec(), Some("")),
        ("an unknown key", line(r#""mesage":"x""#), Some("")),
        ("a key twice", line(r#""message":"x","message":"y""#), Some("")),
        ("a number as an id", br#"{"direction":"HUBSPOT_TO_SALESFORCE","code":"STRING_TOO_LONG","hubspotRecord":{"recordId":9007199254740993}}"#.to_vec(), None),
    ]
}

both! {
    async fn odd_shapes(server) {
        let shapes = shapes();
        let body: Vec<u8> = shapes.iter().flat_map(|(_, line, _)| line.iter().copied().chain([b'\n'])).collect();
        let sent = server.http.post(format!("{}/v1/sync-failures?hubId=1001", server.url)).bearer_auth(engine()).body(body).send();
        let told: Value = sent.await.expect("an answer").json().await.expect("JSON");
        let errors = told["userErrors"].as_array().expect("errors");
        for (number, (name, _, refused)) in (1..).zip(&shapes) {
            let error = errors.iter().find(|error| error["line"] == number);
            assert_eq!(error.is_some(), refused.is_some(), "{name}: {error:?}");
            let field = error.and_then(|error| error["field"][0].as_str()).unwrap_or_default();
            assert_eq!(field, refused.unwrap_or_default(), "{name}: {error:?}");
        }
        let query = "{ portal { syncErrors(first: 100) { totalCount nodes { title type code causeCode message sampleValues guide { explanation } latestFailure { message raw fields value } affectedRecords { nodes { message } } } } } }";
        let data = server.read(query, json!({})).await;
        assert!(data["portal"]["syncErrors"]["totalCount"].as_u64() > Some(8), "{data:#}");
    }
}
