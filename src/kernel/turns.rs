//! Work of the processor between two waits, in pieces: whoever does much of it lets others have their turn.

use std::time::{Duration, Instant};

/// How long a piece is about: shorter than anybody notices who waits for one.
const PIECE: Duration = Duration::from_micros(500);

/// How long the present piece has taken.
#[derive(Debug)]
pub struct Turns(Instant);

impl Turns {
    /// Begins the first piece.
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Lets others have their turn where the piece has been long enough; called between elements of the work.
    pub async fn pause(&mut self) {
        if self.0.elapsed() >= PIECE {
            tokio::task::yield_now().await;
            self.0 = Instant::now();
        }
    }
}
