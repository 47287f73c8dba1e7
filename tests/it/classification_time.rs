//! However a text is made, twice as much of it takes about twice as long to classify: nobody holds up a server with it.

use std::time::{Duration, Instant};

use sync_health::classify::{Failure, SyncDirection, System, classify};

/// What a text consists of, again and again; `\u{0}` divides what stands before from what is repeated.
const SHAPES: &[&str] = &[
    "message\u{0}error",
    "message error\u{0}error>",
    "message error\u{0}error>>",
    "message error\u{0}error:'",
    "message error\u{0}error=\"",
    "message error\u{0}error \"\"\"\"",
    "message error\u{0}fields:Array]",
    "message error\u{0}fields:Array(",
    "message error\u{0}statusCode",
    "message error\u{0}statusCode=>",
    "message error\u{0}exceptionMessage: x ",
    "message error\u{0}errorCode\\\\\\",
    "\u{0}é.",
    "\u{0}é.é@",
    "\u{0}a@",
    "\u{0}a.b@c ",
    "\u{0}a@b.",
    "\u{0}www.",
    "\u{0}http://",
    "\u{0}a:/",
    "\u{0}a-",
    "\u{0}--",
    "\u{0}-- ",
    "\u{0}--;",
    "\u{0}REQUIRED_FIELD_MISSING:x--",
    "\u{0}REQUIRED_FIELD_MISSING:--",
    "\u{0}x--:",
    "\u{0}REQUIRED_FIELD_MISSING, ",
    "\u{0}A_B:",
    "\u{0}\"",
    "\u{0}\" ",
    "\u{0}'a",
    "\u{0}' ",
    "\u{0}“",
    "\u{0}„a“b",
    "\u{0}«",
    "\u{0}`",
    "\u{0}1.",
    "\u{0}1 ",
    "\u{0}1-",
    "\u{0}(1",
    "\u{0}#",
    "\u{0}a1_",
    "\u{0}__",
    "\u{0}{",
    "\u{0}[",
    "\u{0}[{",
    "\u{0}{\"",
    "\u{0}{\"a\":",
    "\u{0}[{\\\"",
    "\u{0}{\"message\":\"",
    "\u{0}{\"message\":\"x\"},",
    "{\"message\":\"\u{0}\\\"",
    "\u{0}},{",
    "\u{0}<",
    "\u{0}<a>",
    "\u{0}<a ",
    "\u{0}&quot;",
    "\u{0}&",
    "\u{0}caused by:",
    "\u{0} failed. first exception on row",
    "\u{0}[x]",
    "\u{0}: [",
    "\u{0} ",
    "\u{0}\n",
    "\u{0}\u{301}",
    "\u{0}İ",
];

/// Twice as much is about half of what a raw answer may have.
const BYTES: usize = 15_000;

fn text(shape: &str, bytes: usize) -> String {
    let (before, again) = shape.split_once('\u{0}').expect("two parts");
    before.to_owned() + &again.repeat(bytes / again.len())
}

/// The least of a few tries: what else the machine does only adds to it.
fn time(failure: &Failure) -> Duration {
    let once = |_| {
        let start = Instant::now();
        std::hint::black_box(classify(failure));
        start.elapsed()
    };
    (0..3).map(once).min().expect("a time")
}

fn failure(system: System, message: String, raw: Option<String>) -> Failure {
    Failure {
        direction: SyncDirection::HubspotToSalesforce,
        system,
        code: None,
        message,
        fields: Vec::new(),
        raw,
        hubspot_record: None,
        salesforce_record: None,
        blocking_record: None,
        existing_record: None,
        hubspot_property: None,
        salesforce_field: None,
        value: None,
        category: None,
    }
}

#[test]
fn twice_as_much_takes_about_twice_as_long() {
    let mut slow = Vec::new();
    for shape in SHAPES {
        for system in [System::Salesforce, System::Hubspot] {
            for is_raw in [false, true] {
                let of = |bytes| match is_raw {
                    true => failure(system, String::new(), Some(text(shape, bytes))),
                    false => failure(system, text(shape, bytes), None),
                };
                let (once, twice) = (time(&of(BYTES)), time(&of(2 * BYTES)));
                // What takes no time at all cannot be compared.
                if twice > Duration::from_millis(1) && twice > 3 * once {
                    slow.push(format!("{shape:?} {system:?}: {once:?}, {twice:?}"));
                }
                if twice > Duration::from_millis(200) {
                    slow.push(format!("{shape:?} {system:?}: {twice:?}"));
                }
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}
