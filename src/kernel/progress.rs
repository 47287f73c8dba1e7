//! How far a subscription has come, for transports that tell it beside the data (the `id` of Server-Sent Events).

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::sync::Notify;

/// Shared between the stream of a subscription and its transport.
#[derive(Debug, Default)]
pub struct Progress {
    resumes_after: Option<String>,
    inner: Mutex<Inner>,
    began: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// Everything up to here was delivered or does not match.
    position: Option<String>,
    /// The cursors of what is on its way, oldest first.
    on_the_way: VecDeque<String>,
}

impl Progress {
    /// Of a subscription that goes on behind this cursor, whatever its arguments say.
    pub fn resuming(after: Option<String>) -> Self {
        Self {
            resumes_after: after,
            ..Self::default()
        }
    }

    /// The cursor that the transport brought.
    pub fn resumes_after(&self) -> Option<&str> {
        self.resumes_after.as_deref()
    }

    /// Nothing is on the way, and everything up to this cursor is done.
    pub fn reached(&self, cursor: String) {
        if let Ok(mut inner) = self.inner.lock() {
            inner.position = Some(cursor);
            self.began.notify_one();
        }
    }

    /// Waits until it is known where the subscription begins.
    pub async fn began(&self) {
        self.began.notified().await;
    }

    /// What has this cursor is on its way.
    pub fn sent(&self, cursor: String) {
        if let Ok(mut inner) = self.inner.lock() {
            inner.on_the_way.push_back(cursor);
        }
    }

    /// The next item was delivered; answers its cursor, where it has one.
    pub fn delivered(&self) -> Option<String> {
        self.inner.lock().ok()?.on_the_way.pop_front()
    }

    /// Where to go on after a cut, while nothing is on the way.
    pub fn position(&self) -> Option<String> {
        let inner = self.inner.lock().ok()?;
        let position = inner.position.clone();
        position.filter(|_| inner.on_the_way.is_empty())
    }
}
