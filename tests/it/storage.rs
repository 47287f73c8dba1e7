//! `sync-health doctor` and the storage itself: what the database finds damaged never adds up.

use std::path::Path;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DbBackend, Statement};
use serde_json::{Value, json};

use crate::commands::text;
use crate::harness::outsider::Outsider;
use crate::harness::{Backend, Server, failure, postgres};
use crate::upkeep::run;

const PAGE: usize = 4096;
/// What the pages of tables and of indexes begin with that hold rows (<https://www.sqlite.org/fileformat2.html#b_tree_pages>).
const OF_A_TABLE: u8 = 0x0d;
const OF_AN_INDEX: u8 = 0x0a;

/// A file of another program stays as it is, whatever command looks at it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_another_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("other.db").display());
    let other = Database::connect(format!("{url}?mode=rwc")).await;
    let other = other.expect("a database");
    let make = other.execute_unprepared("CREATE TABLE customers (name TEXT)");
    make.await.expect("a table");
    let out = folder.path().join("out");
    let out = out.to_str().expect("a path");
    for arguments in [
        &["doctor"][..],
        &[
            "export", "--portal", "1", "--format", "ndjson", "--output", out,
        ],
        &["forget", "--portal", "1", "--yes"],
        &["backup", out],
    ] {
        let ran = run(&[arguments, &["--database-url", &url]].concat()).await;
        let said = text(&ran.stderr);
        assert!(
            !ran.status.success() && said.contains("sync-health migrate"),
            "{arguments:?} {said}"
        );
    }
    let secret = "0123456789abcdef0123456789abcdef";
    for arguments in [
        &["migrate"][..],
        &["serve", "--jwt-secret", secret, "--listen", "127.0.0.1:0"],
    ] {
        let ran = run(&[arguments, &["--database-url", &url]].concat()).await;
        let said = text(&ran.stderr);
        assert!(
            !ran.status.success() && said.contains("another program"),
            "{arguments:?} {said}"
        );
    }
    let sql = "SELECT COUNT(*) AS number FROM sqlite_master WHERE type = 'table'";
    assert_eq!(Outsider::at(&url).await.number(sql).await, 1);
}

/// A database of some thousand rows in one file.
async fn whole(folder: &Path) -> Vec<u8> {
    let server = Server::start(Backend::Sqlite).await;
    for part in 0..3 {
        let of = |n: usize| json!({ "fields": [format!("Field{}__c", n % 300)] });
        let number = |n: usize| format!("{part}-{n}");
        let failures: Vec<Value> = (0..1_000).map(|n| failure(&number(n), 0, of(n))).collect();
        server.record(json!(failures)).await;
    }
    let copy = folder.join("whole.db");
    let copy = copy.to_str().expect("a path");
    let made = run(&["backup", copy, "--database-url", &server.database_url]).await;
    assert!(made.status.success(), "{made:?}");
    server.finish().await;
    std::fs::read(copy).expect("the copy")
}

/// Pages of a kind that are well filled, behind the first one.
fn pages(file: &[u8], kind: u8) -> Vec<usize> {
    let starts = (PAGE..file.len()).step_by(PAGE);
    let cells = |at: usize| u16::from_be_bytes([file[at + 3], file[at + 4]]);
    starts
        .filter(|at| file[*at] == kind && cells(*at) > 4)
        .collect()
}

fn middle(pages: &[usize]) -> usize {
    pages[pages.len() / 2]
}

/// Bytes of no meaning, the same each time.
fn noise(bytes: &mut [u8]) {
    let mut state: u32 = 15;
    for byte in bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    }
}

/// The same file, damaged in ten ways.
fn damaged(file: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (tables, indexes) = (pages(file, OF_A_TABLE), pages(file, OF_AN_INDEX));
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = file.to_vec();
        change(&mut file);
        file
    };
    let swap = |file: &mut Vec<u8>, one: usize, other: usize| {
        let page = file[one..one + PAGE].to_vec();
        file.copy_within(other..other + PAGE, one);
        file[other..other + PAGE].copy_from_slice(&page);
    };
    let (table, index) = (middle(&tables), middle(&indexes));
    let half = file.len() / PAGE / 2 * PAGE;
    // The last byte of a page of an index tells which row its first entry leads to.
    vec![
        (
            "noise in the middle",
            changed(&|file| noise(&mut file[half..half + 2 * PAGE])),
        ),
        (
            "noise in a page of a table",
            changed(&|file| noise(&mut file[table..table + PAGE])),
        ),
        (
            "noise in a page of an index",
            changed(&|file| noise(&mut file[index..index + PAGE])),
        ),
        (
            "a page of a table is empty",
            changed(&|file| file[table..table + PAGE].fill(0)),
        ),
        (
            "a page of an index is empty",
            changed(&|file| file[index..index + PAGE].fill(0)),
        ),
        (
            "two pages of tables are swapped",
            changed(&|file| swap(file, tables[1], tables[tables.len() - 2])),
        ),
        (
            "two pages of indexes are swapped",
            changed(&|file| swap(file, indexes[1], indexes[indexes.len() - 2])),
        ),
        (
            "an entry of an index is another",
            changed(&|file| file[index + PAGE - 1] ^= 0xff),
        ),
        ("the end is missing", file[..half].to_vec()),
        (
            "a page knows of fewer rows",
            changed(&|file| file[table + 4] -= 1),
        ),
    ]
}

/// What SQLite itself says of a file.
async fn finds(url: &str) -> bool {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let Ok(db) = Database::connect(options).await else {
        return true;
    };
    let statement = Statement::from_string(DbBackend::Sqlite, "PRAGMA integrity_check");
    let rows = db.query_all_raw(statement).await;
    let _ = db.close().await;
    rows.is_err()
        || rows.is_ok_and(|rows| rows[0].try_get_by_index::<String>(0).expect("a text") != "ok")
}

/// What is damaged is told, and ends the command with an error; a sound file adds up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = whole(folder.path()).await;
    let sound = ("nothing", whole.clone());
    let mut found = 0;
    for (at, (what, bytes)) in damaged(&whole).into_iter().chain([sound]).enumerate() {
        let path = folder.path().join(format!("{at}.db"));
        std::fs::write(&path, bytes).expect("a file");
        let url = format!("sqlite://{}", path.display());
        let told = run(&["doctor", "--database-url", &url]).await;
        let adds_up = told.status.success() && text(&told.stdout) == "everything adds up\n";
        let is_damaged = finds(&url).await;
        assert_eq!(adds_up, !is_damaged, "{what}: {told:?}");
        found += usize::from(is_damaged);
        let is_silent = told.stdout.is_empty() && told.stderr.is_empty();
        assert!(!is_silent, "{what}");
    }
    assert_eq!(found, 10);
}

/// PostgreSQL's own check is made where its extension is; without it the doctor says that the storage was not looked at.
#[tokio::test]
async fn postgres() {
    let url = postgres::new_database().await;
    let db = Outsider::at(&url).await;
    let offered = "SELECT COUNT(*) AS number FROM pg_available_extensions WHERE name = 'amcheck'";
    let doctor = async || {
        let told = run(&["doctor", "--database-url", &url]).await;
        (
            told.status.success(),
            text(&told.stdout),
            text(&told.stderr),
        )
    };
    let (is_sound, told, aside) = doctor().await;
    assert!(
        is_sound && told == "everything adds up\n" && aside.contains("CREATE EXTENSION amcheck"),
        "{told}{aside}"
    );
    if db.number(offered).await == 0 {
        return;
    }
    db.run("CREATE EXTENSION amcheck").await;
    assert_eq!(
        doctor().await,
        (true, "everything adds up\n".into(), String::new())
    );
    // An index that does not hold what its table says: it was made by a function that answered otherwise.
    let turned = |sign: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION turned(n INTEGER) RETURNS INTEGER LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN {sign} n; END'"
        )
    };
    db.run(&turned("+")).await;
    db.run("CREATE TABLE numbers (n INTEGER); INSERT INTO numbers SELECT generate_series(1, 1000); CREATE INDEX numbers_turned ON numbers (turned(n))").await;
    assert!(doctor().await.0);
    db.run(&turned("-")).await;
    let (is_sound, told, aside) = doctor().await;
    assert!(
        !is_sound
            && told.contains("numbers_turned")
            && aside.contains("the storage is damaged: 1 findings"),
        "{told}{aside}"
    );
    db.close().await;
}
