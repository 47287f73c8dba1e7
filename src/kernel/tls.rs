//! The one cryptography of outgoing TLS: ring.

/// Chooses it for this process, unless another was chosen before. Whoever makes an HTTP client calls this first.
pub fn choose_provider() {
    // Refused only when there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
