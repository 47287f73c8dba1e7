//! A mail server on loopback (`tests/clients/mail-server.mjs`), and what it has taken.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sync_health::kernel::config::Config;
use sync_health::kernel::mail::MailConfig;

use super::{Backend, Server, eventually};

/// How the mail server is talked to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    None,
    StartTls,
    Tls,
}

/// A mail server that runs.
pub struct Mails {
    child: Child,
    _stdin: ChildStdin,
    port: u16,
    taken: Arc<Mutex<Vec<Value>>>,
    folder: tempfile::TempDir,
}

impl Mails {
    pub fn start(encryption: Encryption, password: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let own =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let (certificate, key) = (
            folder.path().join("certificate.pem"),
            folder.path().join("key.pem"),
        );
        std::fs::write(&certificate, own.cert.pem()).expect("a file");
        std::fs::write(&key, own.signing_key.serialize_pem()).expect("a file");
        let tls = match encryption {
            Encryption::None => "none",
            Encryption::StartTls => "starttls",
            Encryption::Tls => "implicit",
        };
        let mut node = Command::new("node");
        node.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients"))
            .args(["mail-server.mjs", "--tls", tls, "--certificate"])
            .arg(&certificate)
            .arg("--key")
            .arg(&key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(password) = password {
            node.args(["--password", password]);
        }
        let mut child = node.spawn().expect("node");
        let stdin = child.stdin.take().expect("its input");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let first = lines.next().expect("a port").expect("a line");
        let first: Value = serde_json::from_str(&first).expect("JSON");
        let taken: Arc<Mutex<Vec<Value>>> = Arc::default();
        let own = taken.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mail = serde_json::from_str(&line).expect("JSON");
                own.lock().expect("mails").push(mail);
            }
        });
        Self {
            child,
            _stdin: stdin,
            port: u16::try_from(first["port"].as_u64().expect("a port")).expect("a port"),
            taken,
            folder,
        }
    }

    /// The certificate, which no public authority knows.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// An address of the server, with what stands before the host and behind the port.
    pub fn url(&self, scheme: &str, user: &str, query: &str) -> String {
        format!("{scheme}://{user}localhost:{}{query}", self.port)
    }

    /// How a server sends by this one, without encryption.
    pub fn plain(&self) -> MailConfig {
        MailConfig::Smtp {
            url: self.url("smtp", "", ""),
            from: "Sync Health <sync-health@nordwind.example>".into(),
            root_certificate: None,
        }
    }

    /// All that were taken so far.
    pub fn all(&self) -> Vec<Value> {
        self.taken.lock().expect("mails").clone()
    }

    /// So many mails, once they have come; no more.
    pub async fn wait(&self, count: usize) -> Vec<Value> {
        let mails = eventually("mails", async || {
            Some(self.all()).filter(|mails| mails.len() >= count)
        })
        .await;
        assert_eq!(mails.len(), count, "{mails:#?}");
        mails
    }
}

impl Drop for Mails {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that sends by a mail server of its own, and webhooks to this machine.
pub async fn start(backend: Backend, configure: impl FnOnce(&mut Config)) -> (Server, Mails) {
    let mails = Mails::start(Encryption::None, None);
    let mail = mails.plain();
    let server = Server::start_with(backend, |config| {
        config.mail = mail;
        config.allows_private_webhooks = true;
        configure(config);
    })
    .await;
    (server, mails)
}

/// Runs a test on both databases with a mail server; with `configure = …` on servers that are configured otherwise.
macro_rules! mailed {
    ($(#[$meta:meta])* async fn $name:ident($server:ident, $mails:ident) $body:block) => {
        $crate::harness::mails::mailed! { configure = |_| {}; $(#[$meta])* async fn $name($server, $mails) $body }
    };
    (configure = $configure:expr; $(#[$meta:meta])* async fn $name:ident($server:ident, $mails:ident) $body:block) => {
        $(#[$meta])*
        async fn $name($server: &$crate::harness::Server, $mails: &$crate::harness::mails::Mails) $body

        mod $name {
            use $crate::harness::{Backend, mails};

            async fn run(backend: Backend) {
                let (server, mails) = mails::start(backend, $configure).await;
                super::$name(&server, &mails).await;
                server.finish().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run(Backend::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                run(Backend::Postgres).await;
            }
        }
    };
}
pub(crate) use mailed;
