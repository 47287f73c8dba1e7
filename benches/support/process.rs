//! What the operating system says of a server process.

fn stat(pid: u32) -> procfs::process::Stat {
    let process = procfs::process::Process::new(pid.try_into().expect("a process id"));
    process
        .and_then(|process| process.stat())
        .expect("a running process")
}

/// Processor time used so far, in microseconds of one core.
pub fn cpu_micros(pid: u32) -> f64 {
    let stat = stat(pid);
    (stat.utime + stat.stime) as f64 * 1e6 / procfs::ticks_per_second() as f64
}

/// Memory in use, in MB.
pub fn resident_mb(pid: u32) -> f64 {
    (stat(pid).rss * procfs::page_size()) as f64 / 1e6
}
