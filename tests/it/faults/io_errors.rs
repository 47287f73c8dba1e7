//! Calls on the database's files fail for a short while, as on a disk or a network storage that stumbles.

use super::reports::{Reports, pause};
use crate::harness::eventually;
use crate::harness::io_faults::IoFaults;
use crate::harness::process::Process;

/// Whatever fails, all that was acknowledged is there when the process is gone, and it goes on without a restart.
async fn nothing_is_lost(faults: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    let io = IoFaults::new();
    let mut server = io.serve(&url).await;
    let reports = Reports::to(&[&server.url]);
    let failing = async {
        reports.more(50).await;
        io.begin(faults);
        eventually("a call that fails", async || (io.count() > 0).then_some(())).await;
        pause(300).await;
        io.end();
        reports.more(100).await;
        server.is_ready().await;
    };
    let (_, heard) = tokio::join!(
        reports.pour_while(failing),
        reports.hear(&server.address, &url)
    );
    server.kill();
    let again = Process::start(&url, &[]).await;
    reports.move_to(&[&again.url]);
    reports.are_kept(&url).await;
    reports.were_heard(&heard);
    reports.were_refused_well();
    again.stop().await;
}

macro_rules! failing {
    ($($name:ident: $faults:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                nothing_is_lost($faults).await;
            }
        )*
    };
}

failing! {
    writes_to_the_log: "write -wal EIO";
    half_a_write_to_the_log: "write -wal SHORT";
    no_space_for_the_log: "write -wal ENOSPC";
    syncs_of_the_log: "sync -wal EIO";
    writes_to_the_database: "write .db EIO";
    syncs_of_the_database: "sync .db EIO";
    reads: "read -wal EIO\nread .db EIO";
    everything: "write -wal EIO\nsync -wal EIO\nread -wal EIO\nwrite .db EIO\nsync .db EIO\nread .db EIO\ntruncate -wal EIO\ntruncate .db EIO";
}
