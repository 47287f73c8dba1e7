//! Work of the processor leaves others their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use sync_health::kernel::turns::{Workers, take_break};

/// Longer than a turn.
const LONG: Duration = Duration::from_millis(2);

fn work() {
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        std::hint::spin_loop();
    }
}

/// Whoever works for long goes on while a worker is free, as many at once as half of the processors,
/// and however long others keep the processors; all come to their end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn half_of_the_processors_work_for_long() {
    let workers = Workers::default();
    let most = (available_parallelism().map_or(1, usize::from) / 2).max(1);
    let working = Arc::new(AtomicUsize::new(0));
    let long = (0..64).map(|_| {
        let (workers, working) = (workers.clone(), working.clone());
        let elements = async move {
            work();
            for _ in 0..5 {
                take_break().await;
                let others = working.fetch_add(1, Ordering::SeqCst);
                assert!(others < most, "{others} others work");
                work();
                working.fetch_sub(1, Ordering::SeqCst);
            }
        };
        tokio::spawn(async move { workers.run(elements).await })
    });
    for done in futures_util::future::join_all(long).await {
        done.expect("its end");
    }
}

/// Elements that are worked side by side are as many turns.
#[tokio::test]
async fn elements_side_by_side_have_turns_too() {
    let elements = (0..20).map(|_| async {
        take_break().await;
        work();
    });
    let elements = futures_util::future::join_all(elements);
    let (workers, mut others) = (Workers::default(), 0);
    let others_work = async {
        loop {
            others += 1;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = workers.run(elements) => {}
        () = others_work => unreachable!("it has no end"),
    }
    assert!(others >= 19, "others had {others} turns");
}

/// Whoever does little waits for no worker, and the work inside of other work for none but its own.
#[tokio::test]
async fn little_work_waits_for_nobody() {
    let workers = Workers::default();
    let endless = workers.run(async {
        loop {
            work();
            take_break().await;
        }
    });
    let inside = async {
        work();
        take_break().await;
        workers.run(async { work() }).await;
        take_break().await;
    };
    let little = async {
        for _ in 0..100 {
            workers.run(tokio::task::yield_now()).await;
        }
        workers.run(inside).await;
    };
    tokio::select! {
        () = endless => unreachable!("it has no end"),
        () = little => {}
    }
}
