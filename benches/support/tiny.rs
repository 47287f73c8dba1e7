//! Whether a bench measures, or only shows that it still runs, as `tests/run` lets it do.

/// The first value to measure with, the second for a run that is over at once.
pub fn or<T>(measured: T, tiny: T) -> T {
    match std::env::var_os("SYNC_HEALTH_BENCH_TINY") {
        Some(_) => tiny,
        None => measured,
    }
}
