//! The pause behind a failed attempt to deliver something.

use crate::kernel::clock::Micros;

/// Three times as long after each failure, up to the longest, and up to half of it more, so that not all are tried at once:
/// what tells one delivery from another (`salt`) makes the difference.
pub fn pause(attempt_count: i32, (first, longest): (Micros, Micros), salt: u8) -> Micros {
    let exponent = u32::try_from(attempt_count - 1).unwrap_or(0).min(20);
    let pause = first
        .saturating_mul(3_i64.saturating_pow(exponent))
        .min(longest);
    pause + pause * Micros::from(salt) / 512
}
