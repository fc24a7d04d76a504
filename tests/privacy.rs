//! No program reports to anybody: while it works, no name is looked up, no address beyond this
//! machine is reached, and no file appears that it was not told to write.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::harness::{TestServer, binary, glyphs};
use crate::watched::Watched;

/// Longer than ONNX Runtime takes to report after it is loaded: under a second, without the
/// variable that keeps it from that.
const WHILE: Duration = Duration::from_secs(3);

/// Where the server keeps what it measures.
const MEASUREMENTS: &str = "/cache/ddpm-server/";

#[tokio::test]
async fn the_server_tells_nobody_that_it_runs() {
    let watched = Watched::new();
    let server = TestServer::start_with(&[], &watched.variables());
    assert_eq!(server.sample(glyphs(2)).await.samples.len(), 2);
    sleep(WHILE);
    // It keeps what its models cost where the system keeps caches, and nothing else.
    watched.assert_private(&[MEASUREMENTS]);
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
    watched.assert_private(&[MEASUREMENTS]);
}

#[tokio::test]
async fn the_client_talks_to_its_server_only() {
    let watched = Watched::new();
    let server = TestServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(binary("ddpm"))
        .args(["--server", server.address(), "sample", "glyphs", "-n", "2", "--steps", "2"])
        .args(["--gif", "--out"])
        .arg(folder.path().join("out"))
        .envs(watched.variables())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    watched.assert_private(&[]);
}

#[test]
fn a_look_up_and_a_file_would_be_noticed() {
    let watched = Watched::new();
    let script = "import os, socket\n\
                  try: socket.getaddrinfo('example.invalid', 443)\n\
                  except OSError: pass\n\
                  open(os.path.expanduser('~/trace'), 'w').close()";
    let done = Command::new("python3").args(["-c", script]).envs(watched.variables()).status();
    assert!(done.unwrap().success());
    let noticed = std::panic::catch_unwind(|| watched.assert_private(&["trace"])).unwrap_err();
    let message = noticed.downcast_ref::<String>().unwrap();
    assert!(message.contains("name example.invalid"), "{message}");
    watched.forget_lookups();
    let noticed = std::panic::catch_unwind(|| watched.assert_private(&[])).unwrap_err();
    let message = noticed.downcast_ref::<String>().unwrap();
    assert!(message.contains("trace"), "{message}");
    watched.assert_private(&["trace"]);
}
