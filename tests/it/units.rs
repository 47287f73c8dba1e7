//! Properties of pure code: no input makes it panic, and what is equal stays equal.

use proptest::prelude::*;
use sync_health::classify::{Failure, Record, SyncDirection, System, classify, salesforce_id_18};
use sync_health::kernel::global_id::{GlobalId, Kind};
use sync_health::kernel::page::{Cursor, Page};
use sync_health::kernel::progress::Position;
use sync_health::kernel::text;

fn failure(
    system: System,
    code: Option<String>,
    message: String,
    fields: Vec<String>,
    raw: Option<String>,
) -> Failure {
    Failure {
        direction: SyncDirection::HubspotToSalesforce,
        system,
        code,
        message,
        fields,
        raw,
        hubspot_record: Some(Record {
            object_type: Some("contact".into()),
            record_id: Some("1".into()),
            name: Some("Ada".into()),
        }),
        salesforce_record: None,
        blocking_record: None,
        existing_record: None,
        hubspot_property: None,
        salesforce_field: None,
        value: Some("x".into()),
        category: None,
    }
}

/// Texts that are nearly what providers write: pieces of it in any order, cut anywhere.
fn provider_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("first error: "),
        Just("FIELD_CUSTOM_VALIDATION_EXCEPTION"),
        Just(", "),
        Just(": "),
        Just("[{\"message\":\""),
        Just("\"}]"),
        Just("{\"errors\":["),
        Just("caused by: System.DmlException"),
        Just(" --"),
        Just("INVALID_FIELD:"),
        Just("<br>"),
        Just("&quot;"),
        Just("\u{202E}"),
        Just("ß„“”"),
        Just("\0"),
        Just("on record with id: "),
        Just(" was not one of the allowed options"),
        Just("max length="),
        Just("'"),
        Just("\""),
        Just("[["),
        Just("}}"),
        Just("\\\""),
    ];
    (
        prop::collection::vec(prop_oneof![piece.prop_map(str::to_owned), ".{0,12}"], 0..30),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(pieces, cut)| {
            let text = pieces.concat();
            let end = text.floor_char_boundary(cut.index(text.len() + 1));
            text[..end].to_owned()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever arrives becomes 1 to 10 causes, the same ones each time.
    #[test]
    fn classify_takes_anything(message in provider_text(), raw in prop::option::of(provider_text()), code in prop::option::of("[A-Za-z_:. ]{0,30}"), fields in prop::collection::vec(".{0,10}", 0..4), salesforce in any::<bool>()) {
        let system = if salesforce { System::Salesforce } else { System::Hubspot };
        let failure = failure(system, code, message, fields, raw);
        let causes = classify(&failure);
        prop_assert!((1..=10).contains(&causes.len()));
        prop_assert_eq!(causes, classify(&failure));
    }

    /// Record ids, names, e-mails, numbers and dates of a text do not part its failures.
    #[test]
    fn signatures_fold_what_varies(a in 1u32..9_999_999, b in 1u32..9_999_999, word in "[a-z]{3,9}") {
        let text = |n: u32| format!("The {word} rule refused record {n} (0035e{n:010}) of m{n}@example.com on 2026-01-0{}: \"{n} x\"", n % 9 + 1);
        let signature = |n| classify(&failure(System::Salesforce, Some("FIELD_CUSTOM_VALIDATION_EXCEPTION".into()), text(n), Vec::new(), None))[0].signature;
        prop_assert_eq!(signature(a), signature(b));
    }

    /// 15 and 18 characters, and 18 without their case, are one id.
    #[test]
    fn salesforce_ids(id in "[a-zA-Z0-9]{15}") {
        let long = salesforce_id_18(&id).expect("an id");
        prop_assert_eq!(&long[..15], &id);
        prop_assert_eq!(salesforce_id_18(&long), Some(long.clone()));
        prop_assert_eq!(salesforce_id_18(&long.to_uppercase()), Some(long));
    }

    /// A global id decodes to what it was made of; any other text to nothing or to something, never to a panic.
    #[test]
    fn global_ids(hub_id in 1i64.., key in prop::collection::vec(any::<u8>(), 0..32), text in ".{0,80}") {
        let id = GlobalId::encode(Kind::AffectedRecord, hub_id, &key);
        prop_assert_eq!(GlobalId::decode(&id), Some(GlobalId { kind: Kind::AffectedRecord, hub_id, key }));
        let _ = GlobalId::decode(&text);
    }

    /// A cursor of the feed and one of a list lead back to where they were given out; any other text leads nowhere.
    #[test]
    fn cursors(epoch in any::<i64>(), digest in any::<Option<i64>>(), sequence in any::<i64>(), order in any::<u8>(), id in any::<u128>(), text in ".{0,80}") {
        let position = Position { epoch, sequence, digest };
        prop_assert_eq!(Position::decode(&position.encode()), Some(position));
        let cursor = Cursor { order, value: sequence, id: uuid::Uuid::from_u128(id) };
        let page = Page::forwards(Some(1), Some(&cursor.encode()), order);
        prop_assert_eq!(page.ok().and_then(|page| page.after), Some(cursor));
        prop_assert!(Page::forwards(Some(1), Some(&cursor.encode()), order.wrapping_add(1)).is_err());
        prop_assert!(Position::decode(&text).is_none() && Page::forwards(Some(1), Some(&text), order).is_err());
    }

    /// Cutting and folding any text.
    #[test]
    fn texts(any in ".{0,80}", count in 0usize..90) {
        prop_assert!(text::cut(&any, count).chars().count() <= count);
        prop_assert_eq!(text::fold(&text::fold(&any)).split_whitespace().count(), text::fold(&any).split_whitespace().count());
    }
}

/// An id from Salesforce's documentation of its two forms.
#[test]
fn known_salesforce_id() {
    assert_eq!(
        salesforce_id_18("00530000003xqAb").as_deref(),
        Some("00530000003xqAbAAI")
    );
    assert_eq!(salesforce_id_18("too short"), None);
}

/// An address is shown without what lets somebody in.
#[test]
fn addresses_without_passwords() {
    use sync_health::kernel::database_url::without_password;
    for (address, shown) in [
        ("sqlite://a.db", "sqlite://a.db"),
        ("postgres://db/x", "postgres://db/x"),
        ("postgres://me:se:cr@et@db:1/x", "postgres://me@db:1/x"),
        (
            "postgresql://me@db/x?password=secret",
            "postgresql://me@db/x",
        ),
    ] {
        assert_eq!(without_password(address), shown);
    }
}
