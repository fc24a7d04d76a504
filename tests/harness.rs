//! Starts the real server on a free port and stops it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use ddpm_client::{Client, Collected, Data, Indices, Load, Options, Request};

/// A server that is stopped when the test is over.
pub(crate) struct TestServer {
    child: Child,
    address: String,
    log: Option<thread::JoinHandle<String>>,
}

impl TestServer {
    /// Starts a server with these arguments and waits until it listens.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::spawn(&mut command(args))
    }

    /// Starts a server with these environment variables too.
    pub(crate) fn start_with(args: &[&str], variables: &[(&'static str, PathBuf)]) -> Self {
        Self::spawn(command(args).envs(variables.iter().map(|(name, value)| (name, value))))
    }

    /// Starts a server whose log goes elsewhere.
    pub(crate) fn start_logging_to(log: Stdio, variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| (name, value));
        Self::spawn(command(&[]).envs(variables).stderr(log))
    }

    /// Starts a server that ignores SIGHUP from the start.
    pub(crate) fn start_under_nohup() -> Self {
        let server = command(&[]);
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(server.get_program());
        shell.env("DDPM_LISTEN", "127.0.0.1:0");
        shell.args(server.get_args()).env("DDPM_DEVICE", "cpu").env("NO_COLOR", "1");
        shell.env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
        Self::spawn(shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the server's binary exists");
        let stderr = child.stderr.take();
        let log = thread::spawn(move || {
            let mut log = String::new();
            if let Some(mut stderr) = stderr {
                let _ = stderr.read_to_string(&mut log);
            }
            log
        });
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("stdout is text");
        let Some(address) = line.trim().strip_prefix("listening on ") else {
            let status = child.wait().expect("it has ended");
            let log = log.join().expect("it reads text");
            panic!("the server did not start ({status}):\n{log}");
        };
        Self { child, address: address.to_owned(), log: Some(log) }
    }

    /// Returns the URL of the server.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Connects a client.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.address, Options::default()).await.expect("the server listens")
    }

    /// Runs a request and collects its samples.
    pub(crate) async fn sample(&self, request: Request) -> Collected {
        let generation =
            self.client().await.generate(request).await.expect("the request is accepted");
        generation.collect().await.expect("the request is finished")
    }

    /// Returns the memory of the server that is in use, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs on Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).expect("it has a size");
        kib.parse::<u64>().expect("it is a number") << 10
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(sent.expect("kill exists").success());
    }

    /// Sends a signal, and again a moment later: one process does both, so that the moment is short
    /// however busy the machine is.
    pub(crate) fn signal_twice(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &format!("{kill}; sleep 0.01; {kill}")]).status();
        assert!(sent.expect("sh exists").success());
    }

    /// Waits for the server to end; returns its status and log.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = wait_for(&mut self.child);
        let log = self.log.take().expect("it is taken once").join().expect("it reads text");
        (status, log)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status;
        }
        assert!(Instant::now() < deadline, "the server did not end");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a server that is not expected to start; returns its exit code and log.
pub(crate) fn fails_to_start(args: &[&str]) -> (i32, String) {
    let mut child = command(args).spawn().expect("the server's binary exists");
    let mut log = String::new();
    let mut stderr = child.stderr.take().expect("stderr is piped");
    let status = wait_for(&mut child);
    stderr.read_to_string(&mut log).expect("it writes text");
    (status.code().expect("it was not killed"), log)
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(binary("ddpm-server"));
    command
        // An argument takes its place.
        .env("DDPM_LISTEN", "127.0.0.1:0")
        .env("DDPM_DEVICE", "cpu")
        // What servers measure is shared, and not left in the home of whoever runs the tests.
        .env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"))
        .args(args)
        .env("NO_COLOR", "1")
        .env("RUST_LOG", "info,ort=warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Returns the path of a binary of the workspace, in the folder `DDPM_BINARIES` or else built.
pub(crate) fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        if let Some(folder) = std::env::var_os("DDPM_BINARIES") {
            return folder.into();
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "ddpm-server", "-p", "ddpm-client"]);
        if cfg!(feature = "exporter") {
            cargo.args(["-p", "ddpm-exporter"]);
        }
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let built = cargo.current_dir(root()).status().expect("cargo runs");
        assert!(built.success(), "the binaries do not build");
        // This test is target/<profile>/deps/end_to_end-….
        let test = std::env::current_exe().expect("it has a path");
        test.ancestors().nth(2).expect("it lies in target/<profile>/deps").to_path_buf()
    });
    folder.join(name)
}

/// Waits until nothing is in flight: the server forgets a request a moment after its last event.
pub(crate) async fn idle(client: &Client) -> Load {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let load = client.server_info().await.unwrap().load;
        if (load.requests, load.samples_running, load.backlog_evals) == (0, 0, 0) {
            return load;
        }
        assert!(Instant::now() < deadline, "still in flight: {load:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns the root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout")
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Requests glyphs of all classes in turn, in ten steps.
pub(crate) fn glyphs(count: u32) -> Request {
    glyph_request(Indices::first(count))
}

/// Requests [`glyphs`] at indices such as `0-63,70`.
pub(crate) fn glyphs_at(indices: &str) -> Request {
    glyph_request(indices.parse().expect("valid indices"))
}

fn glyph_request(indices: Indices) -> Request {
    Request::new("glyphs", indices).class_labels((0..16).collect::<Vec<_>>()).num_steps(10).seed(7)
}

/// Returns the values of a sample in the model's scale.
pub(crate) fn values(data: &Data) -> &[f32] {
    match data {
        Data::Values(values) => values,
        other => panic!("expected values, got {other:?}"),
    }
}
