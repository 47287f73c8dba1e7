//! The command line.

use std::io::{Read, Seek};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::harness::eventually;

const SECRET: &str = "a secret of the tests, 32 bytes or more";

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sync-health"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

pub fn output(arguments: &[&str]) -> Output {
    ran(&mut command(arguments))
}

/// Runs the program to its end, well or not: it never panics.
pub fn ran(command: &mut Command) -> Output {
    let output = command.output().expect("a program that runs");
    let said = text(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    output
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn schema_prints_the_contract() {
    assert_eq!(
        text(&output(&["schema"]).stdout),
        include_str!("../../schema.graphql")
    );
}

#[test]
fn serve_needs_a_good_secret() {
    for arguments in [
        vec!["serve", "--listen", "127.0.0.1:0"],
        vec!["serve", "--listen", "127.0.0.1:0", "--jwt-secret", "short"],
    ] {
        let refused = output(&arguments);
        assert!(!refused.status.success());
        assert!(
            text(&refused.stderr).contains("set --jwt-secret or SYNC_HEALTH_JWT_SECRET"),
            "{}",
            text(&refused.stderr)
        );
    }
}

#[test]
fn serve_needs_a_good_public_url() {
    for url in [
        "sync.example.com",
        "ftp://sync.example.com",
        "https://sync.example.com/?x=1",
    ] {
        let told = output(&["serve", "--public-url", url]);
        let why = text(&told.stderr);
        assert!(
            !told.status.success() && why.contains("for example https://sync.example.com"),
            "{why}"
        );
    }
}

/// The manual lists each flag of `serve` with its environment variable and its default, and no other one.
#[test]
fn manual_lists_all_flags() {
    let help = text(&output(&["serve", "--help"]).stdout);
    let mut flags: Vec<(&str, Option<&str>)> = Vec::new();
    for line in help.lines().map(str::trim_start) {
        if let Some(flag) = line.strip_prefix("--") {
            flags.push((flag.split([' ', '=']).next().expect("a name"), None));
        } else if let Some(default) = line.strip_prefix("[default: ") {
            flags.last_mut().expect("its flag").1 = default.strip_suffix(']');
        }
    }
    assert!(flags.len() > 15, "{help}");
    let manual = include_str!("../../docs/configuration.md");
    let listed = manual.lines().filter(|line| line.starts_with("| `--"));
    assert_eq!(listed.count(), flags.len());
    for (flag, default) in flags {
        let variable = format!("SYNC_HEALTH_{}", flag.to_uppercase().replace('-', "_"));
        let default = default.map(|default| format!("`{default}` |"));
        let row = format!(
            "| `--{flag}` | `{variable}` | {}",
            default.unwrap_or_default()
        );
        assert!(manual.contains(&row), "docs/configuration.md lacks: {row}");
    }
}

#[test]
fn token_signs() {
    let arguments = "token --portal 1001 --portal 1002 --scope sync-health:read --ttl 1h";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let signed = ran(command(&arguments).env("SYNC_HEALTH_JWT_SECRET", SECRET));
    assert_eq!(
        text(&signed.stdout).trim().split('.').count(),
        3,
        "{}",
        text(&signed.stderr)
    );
    for (arguments, advice) in [
        (["--portal", "eleven", "--ttl", "1h"], "a number like 1001"),
        (["--portal", "1", "--ttl", "soon"], "for example 1h"),
    ] {
        let secret = ["--jwt-secret", SECRET];
        let refused = ran(command(&["token"]).args(arguments).args(secret));
        assert!(!refused.status.success(), "{arguments:?}");
        let told = text(&refused.stderr);
        assert!(told.contains(advice), "{told}");
    }
}

/// Failures by the line, without a server: what each is and what to do; what cannot be read is told by its number.
#[test]
fn classify_explains() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("failures.ndjson");
    let long = format!("{{\"message\":\"{}\"}}", "x".repeat(600_000));
    let lines = [
        r#"{"code":"STRING_TOO_LONG","message":"Title: data value too large: x (max length=40)","fields":["Title"],"salesforceRecord":{"objectType":"Contact"}}"#,
        "",
        "nonsense",
        long.as_str(),
        r#"{"direction":"SALESFORCE_TO_HUBSPOT","raw":"[{\"errorCode\":\"UNABLE_TO_LOCK_ROW\",\"message\":\"locked\"},{\"errorCode\":\"NEVER_HEARD_OF\",\"message\":\"new\"}]","system":"SALESFORCE"}"#,
    ];
    std::fs::write(&path, lines.join("\n")).expect("a file");
    let path = path.to_str().expect("a path");
    let told = output(&["classify", path]);
    let (words, refused) = (text(&told.stdout), text(&told.stderr));
    assert!(!told.status.success());
    for part in [
        "line 1: Value too long (Contact: Title)",
        "PROPERTY_VALUES / VALUE_TOO_LONG, by the rule salesforce.too-long",
        "  1. ",
        "line 5: ",
        "OTHER / ROW_LOCKED",
        "       1  UNKNOWN",
    ] {
        assert!(words.contains(part), "{part} is missing in\n{words}");
    }
    assert!(
        refused.contains("line 3: ")
            && refused.contains("line 4: longer than 524288 bytes")
            && refused.contains("2 lines were refused"),
        "{refused}"
    );
    let told = output(&["classify", path, "--json", "--locale", "de"]);
    let causes: Vec<Value> = text(&told.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(
        (
            causes.len(),
            &causes[0]["type"],
            &causes[0]["line"],
            &causes[2]["line"]
        ),
        (3, &json!("VALUE_TOO_LONG"), &json!(1), &json!(5))
    );
    assert!(
        causes[0]["title"]
            .as_str()
            .expect("a title")
            .starts_with("Wert")
            && causes[0]["guide"]["steps"][0].is_string(),
        "{causes:#?}"
    );
}

/// A program that is ended when the test is over.
pub struct Running {
    child: std::process::Child,
    /// What it said; it never panics.
    log: std::fs::File,
}

impl Running {
    /// Starts it. Only errors are logged.
    pub fn start(command: &mut Command) -> Self {
        let log = tempfile::tempfile().expect("a file");
        let written = log.try_clone().expect("the same file");
        let child = command.env("SYNC_HEALTH_LOG", "error").stderr(written);
        Self {
            child: child.spawn().expect("a program"),
            log,
        }
    }

    /// What it said so far.
    fn said(&mut self) -> String {
        let mut said = String::new();
        self.log.rewind().expect("the beginning");
        self.log.read_to_string(&mut said).expect("a text");
        said
    }

    /// Ends it by SIGKILL, as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().expect("a process");
        self.child.wait().expect("its end");
    }

    /// Ends it by SIGTERM, as an operator does; it has to end well.
    pub async fn stop(&mut self) {
        self.signal("TERM");
        self.ended().await;
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("kill").success());
    }

    /// Whether it has not ended yet.
    pub fn goes_on(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_none()
    }

    /// Waits until it ends by itself, which has to be well.
    pub async fn ended(&mut self) {
        let status = eventually("the end", async || self.child.try_wait().expect("a status")).await;
        assert!(status.success(), "{status}");
    }
}

/// Serves a SQLite file in the folder and waits until it is ready; answers its address too.
pub async fn serve(folder: &tempfile::TempDir, arguments: &[&str]) -> (Running, String) {
    let database = format!("sqlite://{}", folder.path().join("s.db").display());
    let address = free_address();
    let running = serve_at(&address, &database, arguments).await;
    (running, format!("http://{address}"))
}

/// Serves a database at an address and waits until it is ready.
pub async fn serve_at(address: &str, database_url: &str, arguments: &[&str]) -> Running {
    sync_health::kernel::tls::choose_provider();
    let running = Running::start(command(&["serve"]).args(arguments).envs([
        ("SYNC_HEALTH_LISTEN", address),
        ("SYNC_HEALTH_DATABASE_URL", database_url),
        ("SYNC_HEALTH_JWT_SECRET", SECRET),
    ]));
    let http = reqwest::Client::new();
    eventually("the server", async || {
        let sent = http.get(format!("http://{address}/readyz")).send().await;
        sent.ok().filter(|answer| answer.status().is_success())
    })
    .await;
    running
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let said = self.said();
        let is_well = !said.contains("panicked");
        assert!(is_well || std::thread::panicking(), "{said}");
    }
}

pub fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

/// One command serves on a file of its own, and stops by SIGTERM after the requests in flight.
#[tokio::test]
async fn serve_and_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut server, _) = serve(&folder, &[]).await;
    server.stop().await;
}

/// The demo prints a command that works when pasted, and shows all eight categories.
#[tokio::test]
async fn demo_shows_everything() {
    let address = free_address();
    let mut demo = Running::start(
        command(&["demo", "--listen", &address, "--seconds", "120"]).stdout(Stdio::piped()),
    );
    let stdout = demo.child.stdout.take().expect("its output");
    let printed = tokio::task::spawn_blocking(move || {
        let mut lines = String::new();
        for line in std::io::BufRead::lines(std::io::BufReader::new(stdout)).map_while(Result::ok) {
            lines.push_str(&line);
            lines.push('\n');
            // The end of the second command.
            if line.contains("subscription {") {
                break;
            }
        }
        lines
    })
    .await
    .expect("the greeting");
    let mut commands = printed.split("curl").skip(1);
    let mut pasted = || {
        let rest = commands.next().expect("a curl command");
        let (rest, _) = rest.split_once("}'\n").expect("its end");
        format!("curl{rest}}}'")
    };
    let (pasted, live) = (pasted(), pasted());
    let all = eventually("all categories", async || {
        let answer = Command::new("sh")
            .args(["-c", &pasted])
            .output()
            .expect("curl");
        let answer: Value = serde_json::from_slice(&answer.stdout).ok()?;
        let cards = answer["data"]["portal"]["categories"].as_array()?.clone();
        let total: u64 = cards
            .iter()
            .filter_map(|card| card["affectedRecordCount"].as_u64())
            .sum();
        (cards.iter().all(|card| card["openErrorCount"] != json!(0)) && total > 5_000)
            .then_some(answer)
    })
    .await;
    assert_eq!(all["data"]["portal"]["name"], "Nordwind Group");
    let quota = &all["data"]["portal"]["quota"];
    assert!(
        quota["allocatedToHubspot"] == 9_000 && quota["usedLast24Hours"].as_u64() > Some(5_000),
        "{all:#}"
    );
    let heard = Command::new("sh")
        .args(["-c", &format!("{live} -s | grep -m 1 '^data: '")])
        .output()
        .expect("curl");
    assert!(
        text(&heard.stdout).contains("\"syncErrorEvents\":{\"at\":"),
        "{heard:?}"
    );
    assert!(
        all["data"]["portal"]["syncErrors"]["totalCount"]
            .as_u64()
            .is_some_and(|count| count > 200),
        "{all:#}"
    );
    assert!(
        ["read token", "manage token", "report token"]
            .iter()
            .all(|token| printed.contains(token))
    );
    let folder = printed.split("into the folder ").nth(1).expect("a folder");
    let folder = folder.split_whitespace().next().expect("a path").to_owned();
    eventually("a mail", async || {
        let mails = std::fs::read_dir(&folder).ok()?.flatten();
        let mails = mails.filter_map(|mail| std::fs::read_to_string(mail.path()).ok());
        mails
            .into_iter()
            .find(|mail| mail.contains("Subject: Nordwind") && mail.contains("new sync errors"))
    })
    .await;
    let token = printed.split("read token:").nth(1).expect("a token");
    let token = token.split_whitespace().next().expect("a token");
    let query = "{ portal(hubId: 1001) { resyncBatches(statuses: [COMPLETED]) { nodes { succeededCount } } } }";
    sync_health::kernel::tls::choose_provider();
    let http = reqwest::Client::new();
    eventually("a resync that is over", async || {
        let asked = http
            .post(format!("http://{address}/graphql"))
            .bearer_auth(token);
        let answer = asked.json(&json!({ "query": query })).send().await.ok()?;
        let answer: Value = answer.json().await.ok()?;
        let batches = answer["data"]["portal"]["resyncBatches"]["nodes"]
            .as_array()?
            .clone();
        batches
            .iter()
            .any(|batch| batch["succeededCount"] != 0)
            .then_some(())
    })
    .await;
}
