//! The clients that users already have, from npm, against a running server: `tests/clients`.

use std::process::Command;

use crate::harness::{both, engine, manager, reader};

both! {
    configure = |config| config.graphiql = true;
    /// All of them.
    async fn npm_clients(server) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
        assert!(std::path::Path::new(folder).join("node_modules").exists(), "the clients are not installed: use tests/run, or npm ci in tests/clients");
        let environment = [
            ("SYNC_HEALTH_URL", server.url.clone()),
            ("SYNC_HEALTH_READ_TOKEN", reader()),
            ("SYNC_HEALTH_MANAGE_TOKEN", manager()),
            ("SYNC_HEALTH_REPORT_TOKEN", engine()),
        ];
        let mut node = Command::new("node");
        node.args(["--test", "--test-timeout=120000"]).current_dir(folder).envs(environment);
        let output = tokio::task::spawn_blocking(move || node.output().expect("node")).await.expect("a run");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
