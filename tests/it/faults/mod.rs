//! Faults that tests make themselves: what is acknowledged is kept, what passes by itself is UNAVAILABLE, and one
//! portal's trouble stays its own.
//!
//! Those that need minutes, or a PostgreSQL that others use too, are in `chaos`.

pub mod disk_full;
mod doors;
mod gate;
mod held_syncs;
mod io_errors;
mod locks;
mod migrations;
mod passing;
mod pooled;
mod power_cut;
pub mod reports;
mod silence;
mod slow;
mod unwaited;
