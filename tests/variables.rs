//! Environment variables are read as people set them.

use std::process::Stdio;

use crate::harness::TestServer;

#[tokio::test]
async fn empty_variables_count_as_unset_and_switches_are_on_for_1() {
    let variables = [
        ("DDPM_SPIN", "1"),
        ("DDPM_INSECURE", "no"),
        ("DDPM_MAX_BATCH", ""),
        ("DDPM_CACHE_DIR", ""),
        ("DDPM_DRAIN_SECONDS", ""),
        ("DDPM_MODELS", ""),
    ];
    let server = TestServer::start_logging_to(Stdio::null(), &variables);
    assert_eq!(server.client().await.models().await.unwrap().len(), 2);
}
