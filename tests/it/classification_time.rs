//! However a text is made, four times as much of it takes about four times as long to classify: nobody holds up a server
//! with it.

use std::time::Duration;

use rustix::time::ClockId;
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

/// Four times as much is about half of what a raw answer may have.
const BYTES: usize = 7_500;

fn text(shape: &str, bytes: usize) -> String {
    let (before, again) = shape.split_once('\u{0}').expect("two parts");
    before.to_owned() + &again.repeat(bytes / again.len())
}

/// For how long this thread has used a processor, whatever else the machine does.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    let time = Duration::try_from(time);
    time.expect("a time")
}

/// The least of a few tries: what disturbs one only adds to it.
fn time(failure: &Failure, tries: usize) -> Duration {
    let once = |_| {
        let start = processor_time();
        std::hint::black_box(classify(failure));
        processor_time() - start
    };
    (0..tries).map(once).min().expect("a time")
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
fn four_times_as_much_takes_about_four_times_as_long() {
    let mut slow = Vec::new();
    for shape in SHAPES {
        for system in [System::Salesforce, System::Hubspot] {
            for is_raw in [false, true] {
                let of = |bytes| match is_raw {
                    true => failure(system, String::new(), Some(text(shape, bytes))),
                    false => failure(system, text(shape, bytes), None),
                };
                let (once, more) = (of(BYTES), of(4 * BYTES));
                let both = |tries| (time(&once, tries), time(&more, tries));
                // Three times for each doubling; where time grew with the square it would be 16 times.
                let is_slow = |(once, more): (Duration, Duration)| more > 9 * once;
                let mut times = both(3);
                if is_slow(times) {
                    times = both(10);
                }
                // What takes no time at all cannot be compared.
                let more = times.1;
                let is_long = more > Duration::from_millis(1) && is_slow(times);
                if is_long || more > Duration::from_millis(200) {
                    slow.push(format!("{shape:?} {system:?}: {times:?}"));
                }
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}
