//! Starts the real program in a folder of its own and talks to it from outside.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything that must happen may take on a busy machine of two cores.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program; `PORTGATE_PROGRAM` names another build of it, such as one that a long campaign keeps
/// while the work goes on.
pub fn portgate() -> Command {
    std::env::var_os("PORTGATE_PROGRAM").map_or_else(|| Command::new(env!("CARGO_BIN_EXE_portgate")), Command::new)
}

/// Runs a command of the program to its end.
pub fn run(args: &[&str]) -> Output {
    portgate().args(args).output().expect("the program starts")
}

/// Text of an output, both streams.
pub fn text(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// Nothing is wrong with a stopped gate's store, and its journal decided again gives the same.
pub fn sound(dir: &Path) {
    let at = dir.to_str().expect("a path in UTF-8");
    let out = run(&["check", at]);
    assert!(out.status.success(), "{}", text(&out));
    let out = run(&["replay", at]);
    assert!(out.status.success() && text(&out).contains(" 0 differ"), "{}", text(&out));
}

/// Folder of the photographs and specifications beside the project, if it is there.
pub fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("PORTGATE_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    path.is_dir().then_some(path)
}

/// Address of the test broker, if one was started.
pub fn kafka() -> Option<String> {
    std::env::var("PORTGATE_KAFKA").ok().filter(|k| !k.is_empty())
}

/// Waits until `probe` gives something, or panics with `what`.
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, probe)
}

/// The same with a limit of its own.
pub fn within<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < limit, "within {limit:?} never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A running gate.
pub struct Gate {
    /// Its state.
    pub dir: PathBuf,
    /// `http://…`
    pub http: String,
    /// `host:port` of SQL.
    pub sql: String,
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
    secrets: BTreeMap<String, String>,
}

impl Gate {
    /// Starts `portgate up` on ports of its own; more arguments as given.
    pub fn up(dir: &Path, more: &[&str]) -> Self {
        let mut gate = Self::spawn(dir, more);
        let last = |line: String| line.split_whitespace().last().map(str::to_owned).unwrap_or_default();
        gate.http = last(gate.says("control room"));
        gate.sql = last(gate.says("sql")).trim_start_matches("postgresql://").to_owned();
        let credentials = std::fs::read_to_string(dir.join("demo-credentials")).unwrap_or_default();
        gate.secrets = credentials.lines().filter_map(|l| l.split_once(' ')).map(|(n, s)| (n.to_owned(), s.trim().to_owned())).collect();
        let began = Instant::now();
        loop {
            let (status, why) = gate.call("GET", "/readyz", "", None);
            if status == 200 {
                return gate;
            }
            assert!(began.elapsed() < PATIENCE, "not ready within {PATIENCE:?}: {why}\n{}", gate.log().join("\n"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The same for a process without the role that serves: it has no address.
    pub fn apart(dir: &Path, more: &[&str]) -> Self {
        let mut gate = Self::spawn(dir, more);
        gate.says("stop with");
        gate
    }

    fn spawn(dir: &Path, more: &[&str]) -> Self {
        let mut command = portgate();
        command.arg("up").arg("--data").arg(dir).args(["--http", "127.0.0.1:0", "--sql", "127.0.0.1:0"]).args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let output = Arc::new(Mutex::new(Vec::new()));
        for stream in
            [Box::new(child.stdout.take().expect("piped")) as Box<dyn std::io::Read + Send>, Box::new(child.stderr.take().expect("piped"))]
        {
            let output = Arc::clone(&output);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    output.lock().unwrap().push(line);
                }
            });
        }
        Self { dir: dir.to_owned(), http: String::new(), sql: String::new(), child, output, secrets: BTreeMap::new() }
    }

    /// Waits for the line that begins with `word`.
    fn says(&mut self, word: &str) -> String {
        let start = Instant::now();
        loop {
            if let Some(line) = self.log().into_iter().find(|l| l.trim_start().starts_with(word)) {
                return line;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the gate ended with {status}:\n{}", self.log().join("\n"));
            }
            assert!(start.elapsed() < PATIENCE, "the gate never said {word:?}:\n{}", self.log().join("\n"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Everything it printed.
    pub fn log(&self) -> Vec<String> {
        self.output.lock().unwrap().clone()
    }

    /// A role's secret.
    pub fn secret(&self, name: &str) -> &str {
        self.secrets.get(name).map_or("", String::as_str)
    }

    /// One HTTP call; status and JSON body.
    pub fn call(&self, method: &str, path: &str, role: &str, body: Option<&[u8]>) -> (u16, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into();
        let url = format!("{}{path}", self.http);
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        if !role.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.secret(role)));
        }
        if body.is_some_and(|b| b.first() == Some(&b'{')) {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(body.unwrap_or_default().to_vec()).expect("a request");
        let mut response = agent.run(request).expect("the gate answers");
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().unwrap_or_default();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// GET as a role; panics unless it is answered 200.
    pub fn get(&self, path: &str, role: &str) -> Value {
        let (status, body) = self.call("GET", path, role, None);
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// A read at a lane, as a device.
    pub fn read(&self, lane: &str, claims: &Value) -> (u16, Value) {
        self.call("POST", &format!("/v1/lanes/{lane}/reads"), "device", Some(claims.to_string().as_bytes()))
    }

    /// The latest versions of the decisions that `wanted` picks.
    pub fn decisions(&self, query: &str) -> Vec<Value> {
        let body = self.get(&format!("/v1/decisions?{query}"), "guard");
        body.get("decisions").and_then(Value::as_array).cloned().unwrap_or_default()
    }

    /// Ctrl-C, and waits for the end.
    pub fn stop(mut self) -> Vec<String> {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.child.try_wait() {
                assert!(status.success(), "Ctrl-C ended it with {status}:\n{}", self.log().join("\n"));
                return self.log();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("Ctrl-C did not end it:\n{}", self.log().join("\n"));
    }

    /// Sends it a signal, like `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|s| s.success()), "SIG{name} cannot be sent");
    }

    /// A line of `/proc/PID/status`, like `VmHWM`, in KiB.
    pub fn memory_kib(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let found = status.lines().find_map(|l| l.strip_prefix(line)?.trim_start_matches(':').split_whitespace().next()?.parse().ok());
        found.unwrap_or(0)
    }

    /// The sum of a metric's series now; none: there is none of that name.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = self.call("GET", "/metrics", "guard", None).1;
        let of = |l: &&str| l.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let values: Vec<f64> = text.as_str()?.lines().filter(of).filter_map(|l| l.rsplit(' ').next()?.parse().ok()).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            // What it said is lost with it otherwise.
            let lines = self.log();
            eprintln!("the gate over {} said last:\n{}", self.dir.display(), lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}

/// A Kafka broker of a test's own, or a cluster of some, which may be killed; `scripts/kafka.sh`.
pub struct Broker {
    port: u16,
    nodes: u16,
}

impl Broker {
    /// Starts one on a port that no other test uses.
    pub fn start(port: u16) -> Self {
        Self::cluster(port, 1)
    }

    /// Starts a cluster on ports that no other test uses, ten for a node.
    pub fn cluster(port: u16, nodes: u16) -> Self {
        let broker = Self { port, nodes };
        broker.run("stop");
        broker.run("start");
        broker
    }

    /// `host:port`, of every node.
    pub fn address(&self) -> String {
        let all: Vec<String> = (0..self.nodes).map(|n| format!("127.0.0.1:{}", self.port + 10 * n)).collect();
        all.join(",")
    }

    /// `kafka.sh` with a command for all nodes.
    pub fn run(&self, command: &str) {
        self.of(None, command);
    }

    /// `kafka.sh` with a command for one node, of which 1 is the first.
    pub fn node(&self, node: u64, command: &str) {
        self.of(Some(node), command);
    }

    fn of(&self, node: Option<u64>, command: &str) {
        let out = self.script(command).envs(node.map(|n| ("KAFKA_NODE", n.to_string()))).output().expect("the script runs");
        assert!(out.status.success(), "kafka.sh {command}: {}", text(&out));
    }

    fn script(&self, command: &str) -> Command {
        let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka.sh"));
        script.arg(command).env("KAFKA_PORT", self.port.to_string()).env("KAFKA_NODES", self.nodes.to_string());
        script.env_remove("KAFKA_DATA").env_remove("KAFKA_NODE").env_remove("KAFKA_HEAP");
        script
    }

    /// Every partition of the cluster, as it says itself (`kcat`).
    pub fn partitions(&self) -> Vec<Partition> {
        let out = Command::new("kcat").args(["-b", &self.address(), "-L", "-J", "-m", "20"]).output().expect("kcat is installed");
        let said: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
        let mut found = Vec::new();
        for topic in said["topics"].as_array().into_iter().flatten() {
            for partition in topic["partitions"].as_array().into_iter().flatten() {
                let count = |what: &str| partition[what].as_array().map_or(0, Vec::len);
                found.push(Partition {
                    topic: topic["topic"].as_str().unwrap_or_default().to_owned(),
                    number: partition["partition"].as_u64().unwrap_or_default(),
                    leader: partition["leader"].as_u64(),
                    behind: count("replicas").saturating_sub(count("isrs")),
                });
            }
        }
        found
    }
}

/// A partition on a cluster.
pub struct Partition {
    pub topic: String,
    pub number: u64,
    /// The node that leads it.
    pub leader: Option<u64>,
    /// Copies that are away or not up to it.
    pub behind: usize,
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.script("stop").output();
    }
}

/// A small file system of a test's own.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it at a folder; none, with a word: this account may not.
    pub fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).output();
        if !mounted.is_ok_and(|out| out.status.success()) {
            println!("skipped: no right to mount a small file system");
            return None;
        }
        Some(Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
