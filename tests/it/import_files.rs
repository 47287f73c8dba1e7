//! What `sync-health import` reads: files as tools and spreadsheets write them, and what is none.

use crate::commands::text;
use crate::imports::import;

/// What a dry run of a file of these bytes says, on standard output and on standard error.
async fn tried(name: &str, bytes: &[u8], arguments: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(name), bytes).expect("a file");
    let arguments = [&["--dry-run", "--object", "Contact"], arguments].concat();
    let output = import(folder.path(), name, &[], &arguments).await;
    (text(&output.stdout), text(&output.stderr))
}

const TOO_LONG: &str = "STRING_TOO_LONG:Title: data value too large: x (max length=40):Title --";

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

/// Files as tools and spreadsheets write them.
#[tokio::test]
async fn tables_of_all_kinds() {
    let semicolons = format!(
        "sf__Id;sf__Error;Name\r\n003000000000001;\"{TOO_LONG}\";\"a\nb\"\r\n003000000000002;\"{TOO_LONG}\";b\r\n"
    );
    let tabs = format!("\u{feff}ID\tERROR\n003000000000001\t{TOO_LONG}\n");
    let mapped = format!("sf__Id,sf__Error,HS\n,{TOO_LONG},17\n");
    let mut latin = b"ID,NAME,ERROR\n003000000000001,M".to_vec();
    latin.extend([0xfc]);
    latin.extend(format!("ller,{TOO_LONG}\n").bytes());
    let bulk_results = format!(
        "\"Id\",\"Success\",\"Created\",\"Error\"\n\"003000000000001\",\"true\",\"false\",\"\"\n\"003000000000002\",\"false\",\"false\",\"{TOO_LONG}\"\n"
    );
    let sixteen = utf16(&format!("ID,ERROR\n003000000000001,{TOO_LONG}\n"));
    let objects = r#"{"raw":{"message":"Title: data value too large: x (max length=40)","errorCode":"STRING_TOO_LONG","fields":["Title"]},"hubspotRecord":{"recordId":"1"}}"#;
    let files: [(&str, Vec<u8>, &[&str], &str); 8] = [
        (
            "semicolons.csv",
            semicolons.into_bytes(),
            &[],
            "2  Value too long (Contact: Title)",
        ),
        (
            "tabs.txt",
            tabs.into_bytes(),
            &[],
            "1  Value too long (Contact: Title)",
        ),
        (
            "mapped.csv",
            mapped.into_bytes(),
            &["--map", "HS=hubspotRecord.recordId"],
            "1  Value too long (Contact: Title)",
        ),
        (
            "latin.csv",
            latin,
            &[],
            "1  Value too long (Contact: Title)",
        ),
        (
            "sixteen.csv",
            sixteen,
            &[],
            "1  Value too long (Contact: Title)",
        ),
        (
            "bulk.csv",
            bulk_results.into_bytes(),
            &[],
            "1 line without an error passed over\nnothing was written; 0 lines would be refused",
        ),
        (
            "hash.csv",
            format!("ID#ERROR\n003000000000001#{TOO_LONG}\n").into_bytes(),
            &["--delimiter", "#"],
            "1  Value too long (Contact: Title)",
        ),
        (
            "raw.jsonl",
            objects.as_bytes().to_vec(),
            &[],
            "1  Value too long (Contact: Title)",
        ),
    ];
    for (name, bytes, arguments, expected) in files {
        let (told, refused) = tried(name, &bytes, arguments).await;
        assert!(told.contains(expected), "{name}: {told}{refused}");
    }
}

/// What cannot be read says so, by the line, and nothing is taken for something else.
#[tokio::test]
async fn files_that_are_none() {
    let open_end = format!(
        "ID,ERROR\n003000000000001,{TOO_LONG}\n003000000000002,\"oh\n003000000000003,{TOO_LONG}\n"
    );
    let endless = format!(
        "ID,ERROR\n003000000000001,\"oh\n{}",
        "003000000000002,x\n".repeat(20_000)
    );
    let quoted = format!("ID,NOTE,ERROR\n003000000000001,\"a\nb\",{TOO_LONG}\n,x,{TOO_LONG}\n");
    let files: [(&str, &[u8], &str); 8] = [
        (
            "open.csv",
            open_end.as_bytes(),
            "line 3: the row that begins here never ends",
        ),
        (
            "endless.csv",
            endless.as_bytes(),
            "line 2: the row that begins here never ends",
        ),
        (
            "numbered.csv",
            quoted.as_bytes(),
            "line 4: hubspotRecord.recordId: ",
        ),
        (
            "packed.csv",
            &[0x1f, 0x8b, 8, 0],
            "the file is compressed: unpack it first",
        ),
        (
            "list.json",
            b"[{\"code\":\"X\"}]",
            "the file is a JSON list",
        ),
        (
            "typed.ndjson",
            b"{\"fields\":7}",
            "fields: invalid type: integer `7`",
        ),
        ("none.csv", b"a,b\n1,2\n", "no column holds the error"),
        ("empty.csv", b"", "no column holds the error"),
    ];
    for (name, bytes, expected) in files {
        let (told, refused) = tried(name, bytes, &[]).await;
        assert!(refused.contains(expected), "{name}: {told}{refused}");
    }
}
