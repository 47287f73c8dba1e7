//! A server that stops, or whose connections go silent, holds up nobody else on the same PostgreSQL, and goes on itself
//! when it can.

use super::doors::Doors;
use super::gate::Gate;
use super::reports::Reports;
use crate::harness::process::Process;
use crate::harness::proxy::{Mode, Proxy};
use crate::harness::{eventually, postgres};

async fn is_not_ready(server: &Process) {
    eventually("not ready", async || {
        (server.readiness().await? == 503).then_some(())
    })
    .await;
}

/// All that is reported while something fails is kept, and heard by a subscriber of this server; what is not taken is
/// refused well.
async fn hold(reports: &Reports, server: &Process, url: &str, fault: impl Future<Output = ()>) {
    let (_, heard) = tokio::join!(
        reports.pour_while(fault),
        reports.hear(&server.address, url)
    );
    reports.are_kept(url).await;
    reports.were_heard(&heard);
    reports.were_refused_well();
}

/// Stopped inside a transaction, by a debugger or a host that is frozen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_server() {
    let url = postgres::new_database().await;
    let (stopped, other) = tokio::join!(Process::start(&url, &[]), Process::start(&url, &[]));
    let reports = Reports::to(&[&stopped.url]);
    let fault = async {
        reports.more(10).await;
        let gate = Gate::shut(&url, 1001).await;
        gate.has_caught().await;
        stopped.signal("STOP");
        gate.open().await;
        reports.move_to(&[&other.url]);
        reports.more(20).await;
        stopped.signal("CONT");
        stopped.is_ready().await;
        reports.move_to(&[&stopped.url]);
        reports.more(20).await;
    };
    hold(&reports, &other, &url, fault).await;
}

/// The network swallows what is sent, inside a transaction: the COMMIT never arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_silent_inside_a_transaction() {
    let url = postgres::new_database().await;
    let (proxy, through) = Proxy::to(&url).await;
    let (silent, other) = tokio::join!(Process::start(&through, &[]), Process::start(&url, &[]));
    let reports = Reports::to(&[&silent.url]);
    let fault = async {
        reports.more(10).await;
        let gate = Gate::shut(&url, 1001).await;
        gate.has_caught().await;
        proxy.set(Mode::Swallow);
        gate.open().await;
        reports.move_to(&[&other.url]);
        reports.more(20).await;
        proxy.set(Mode::Pass);
        silent.is_ready().await;
        reports.move_to(&[&silent.url]);
        reports.more(20).await;
    };
    hold(&reports, &silent, &url, fault).await;
}

/// It swallows everything, at any moment, in all connections: those that are idle, and the one that listens. The server
/// says that it is not ready, and refuses what it cannot do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_silent() {
    let url = postgres::new_database().await;
    let (proxy, through) = Proxy::to(&url).await;
    let (silent, other) = tokio::join!(Process::start(&through, &[]), Process::start(&url, &[]));
    let reports = Reports::to(&[&silent.url, &other.url]);
    let fault = async {
        reports.more(40).await;
        reports.move_to(&[&other.url]);
        reports.more(20).await;
        proxy.set(Mode::Swallow);
        is_not_ready(&silent).await;
        reports.more(20).await;
        reports.move_to(&[&silent.url]);
        reports.more_refused(4).await;
        proxy.set(Mode::Pass);
        silent.is_ready().await;
        reports.more(40).await;
    };
    hold(&reports, &silent, &url, fault).await;
}

/// Connections are closed, and no new ones are made for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut() {
    let url = postgres::new_database().await;
    let (proxy, through) = Proxy::to(&url).await;
    let server = Process::start(&through, &[]).await;
    let reports = Reports::to(&[&server.url]);
    let fault = async {
        reports.more(20).await;
        for _ in 0..3 {
            proxy.set(Mode::Cut);
            is_not_ready(&server).await;
            reports.more_refused(4).await;
            proxy.set(Mode::Pass);
            server.is_ready().await;
            reports.more(20).await;
        }
    };
    hold(&reports, &server, &url, fault).await;
}

/// Whoever asks a server whose database says nothing any more is told so, whatever the door: nobody waits without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_door_before_a_silent_database() {
    let url = postgres::new_database().await;
    let (proxy, through) = Proxy::to(&url).await;
    let server = Process::start(&through, &[]).await;
    let doors = Doors::of(&server).await;
    proxy.set(Mode::Swallow);
    tokio::join!(doors.refuse_changes(), doors.refuse_to_read());
    is_not_ready(&server).await;
    proxy.set(Mode::Pass);
    server.is_ready().await;
    doors.work().await;
    server.stop().await;
}
