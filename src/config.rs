//! Configuration: one TOML file, every key known, every value with a default that works.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};

/// What can be configured. `portgate config --print` shows what is in force.
#[derive(Debug, Clone, Serialize, Deserialize, Default, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The site this process serves.
    pub site: SiteConfig,
    /// Where state is kept.
    pub data: DataConfig,
    /// The HTTP side: API, live events, control room.
    pub http: HttpConfig,
    /// SQL over the PostgreSQL protocol.
    pub sql: SqlConfig,
    /// Kafka; without brokers the embedded log is used.
    pub kafka: KafkaConfig,
    /// Recognition.
    pub recognise: RecogniseConfig,
    /// Cameras this process plays, by lane.
    pub camera: Vec<CameraConfig>,
    /// Who is told of alerts.
    pub webhook: Vec<WebhookConfig>,
}

/// `[site]`
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct SiteConfig {
    /// Id of the port area whose lanes stand in one order.
    pub id: String,
}

/// `[data]`
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Folder of all stores.
    pub dir: PathBuf,
}

/// `[http]`
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Largest frame taken, bytes; at most what a topic message may hold.
    pub frame_bytes_max: usize,
    /// Certificate with those it rests on, PEM; empty: HTTP in clear.
    pub tls_certificate: PathBuf,
    /// Its private key, PEM.
    pub tls_key: PathBuf,
}

/// `[sql]`
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct SqlConfig {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Memory for queries, MiB; past it they spill or are refused.
    pub memory_mib_max: usize,
    /// A query is cancelled after this, seconds.
    pub timeout_s: u64,
}

/// `[kafka]`
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// `host:port,…`; empty: the embedded log.
    pub brokers: String,
    /// Settings passed to the client as they are (`security.protocol`, `sasl.username`, …).
    pub settings: BTreeMap<String, String>,
    /// While the cluster is away, open what uses nothing up, for as long as no other node can; false: hold.
    pub open_while_cut_off: bool,
}

/// `[recognise]`
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct RecogniseConfig {
    /// Folder with `manifest.json` and the models; empty: the models built into the program.
    pub models_dir: PathBuf,
    /// Threads that read plates; 0: one per core, at least one left for deciding.
    pub threads: usize,
    /// Where in its frames a lane's plates count, by lane: left, top, right, bottom as fractions of the
    /// sides. A lane not named: everywhere.
    pub zone: BTreeMap<String, [f64; 4]>,
}

/// `[[camera]]`
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct CameraConfig {
    /// Lane it looks at.
    pub lane: String,
    /// Video file, folder of pictures, or the address of a stream.
    pub source: String,
    /// Frames sent per second at the most.
    #[serde(default = "rate_default")]
    pub frames_per_s_max: f64,
}

/// `[[webhook]]`
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where alerts are posted, `http://…` or `https://…`.
    pub url: String,
    /// File with the secret the posts are signed with.
    pub secret_file: PathBuf,
    /// Only these codes, like `WATCH_LIST`; empty: all.
    #[serde(default)]
    pub codes: Vec<String>,
    /// PEM file of what an `https://` receiver's certificate rests on; without it the machine's own authorities.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
}

fn rate_default() -> f64 {
    5.0
}

impl Default for SiteConfig {
    fn default() -> Self {
        Self { id: "LYG-1".into() }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { dir: "portgate-data".into() }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            frame_bytes_max: 1_000_000,
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
        }
    }
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self { brokers: String::new(), settings: BTreeMap::new(), open_while_cut_off: true }
    }
}

impl Default for SqlConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 5433)), memory_mib_max: 1024, timeout_s: 60 }
    }
}

impl Default for RecogniseConfig {
    fn default() -> Self {
        Self { models_dir: PathBuf::new(), threads: 0, zone: BTreeMap::new() }
    }
}

/// A configuration and where each of its values comes from.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Dotted key → origin, for values that are not the default.
    pub origins: BTreeMap<String, String>,
}

impl Loaded {
    /// Reads the file, if one is given. Unknown keys, wrong types and impossible values are
    /// errors that name the file, the place and what would be right.
    pub fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path).with_context(|| format!("configuration {} cannot be read", path.display()))?;
        let config: Config =
            toml::from_str(&text).map_err(|e| anyhow::anyhow!("configuration {}: {}", path.display(), e.to_string().trim_end()))?;
        config.check().with_context(|| format!("configuration {}", path.display()))?;
        let table: toml::Table = toml::from_str(&text)?;
        let mut origins = BTreeMap::new();
        mark("", &table, &format!("file {}", path.display()), &mut origins);
        Ok(Self { config, origins })
    }

    /// Notes that the command line set a value.
    pub fn set_by_command_line(&mut self, key: &str) {
        self.origins.insert(key.to_owned(), "command line".into());
    }

    /// The configuration in force, one `key = value  # origin` a line. Secrets are not shown.
    pub fn print(&self) -> Result<String> {
        let table = toml::Table::try_from(&self.config)?;
        let mut lines = Vec::new();
        self.lines("", &table, &mut lines);
        Ok(lines.join("\n"))
    }

    fn lines(&self, prefix: &str, table: &toml::Table, lines: &mut Vec<String>) {
        for (key, value) in table {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                toml::Value::Table(t) if !t.is_empty() => self.lines(&path, t, lines),
                value => {
                    let origin = self.origins.get(&path).map_or("default", String::as_str);
                    let secret = path.contains("password") || path.contains("secret") || path.contains("token");
                    let shown = if secret { "\"…\"".to_owned() } else { value.to_string() };
                    lines.push(format!("{path} = {shown}  # {origin}"));
                }
            }
        }
    }
}

impl Config {
    /// Checks what types cannot: values against each other.
    pub fn check(&self) -> Result<()> {
        if self.http.listen == self.sql.listen && self.http.listen.port() != 0 {
            bail!("http.listen and sql.listen are both {}: give each a port of its own", self.http.listen);
        }
        if self.http.frame_bytes_max == 0 || self.http.frame_bytes_max > 1_000_000 {
            bail!("http.frame_bytes_max = {}: a frame has between 1 and 1000000 bytes", self.http.frame_bytes_max);
        }
        if self.site.id.is_empty() || self.site.id.len() > 64 {
            bail!("site.id: give the site a name of 1 to 64 characters");
        }
        if self.http.tls_certificate.as_os_str().is_empty() != self.http.tls_key.as_os_str().is_empty() {
            bail!("http.tls_certificate and http.tls_key go together: give both, or neither for HTTP in clear");
        }
        for hook in &self.webhook {
            if !hook.url.starts_with("http://") && !hook.url.starts_with("https://") {
                bail!("webhook.url = {:?}: it begins with http:// or https://", hook.url);
            }
        }
        for (lane, [left, top, right, bottom]) in &self.recognise.zone {
            if !(0.0 <= *left && left < right && *right <= 1.0 && 0.0 <= *top && top < bottom && *bottom <= 1.0) {
                bail!("recognise.zone of lane {lane}: left < right and top < bottom, each between 0 and 1");
            }
        }
        for camera in &self.camera {
            if !(camera.frames_per_s_max > 0.0 && camera.frames_per_s_max <= 60.0) {
                bail!("camera of lane {}: frames_per_s_max = {}: between 0 and 60", camera.lane, camera.frames_per_s_max);
            }
        }
        Ok(())
    }
}

fn mark(prefix: &str, table: &toml::Table, origin: &str, origins: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(t) => mark(&path, t, origin, origins),
            _ => {
                origins.insert(path, origin.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Loaded> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("portgate.toml");
        std::fs::write(&path, text)?;
        Loaded::read(Some(&path))
    }

    #[test]
    fn unknown_keys_are_named_with_their_line() {
        let error = read("[http]\nlistn = \"127.0.0.1:1\"\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("listn") && error.contains("listen"), "{error}");
    }

    #[test]
    fn values_are_checked_against_each_other() {
        let error = format!("{:#}", read("[http]\nlisten = \"127.0.0.1:5433\"\n").unwrap_err());
        assert!(error.contains("port of its own"), "{error}");
    }

    #[test]
    fn a_lanes_zone_lies_within_its_frames() {
        let loaded = read("[recognise.zone]\n\"JCZ-1.L1\" = [0.1, 0.4, 0.9, 1.0]\n").unwrap();
        assert_eq!(loaded.config.recognise.zone.get("JCZ-1.L1"), Some(&[0.1, 0.4, 0.9, 1.0]));
        let error = format!("{:#}", read("[recognise.zone]\n\"JCZ-1.L1\" = [0.9, 0.4, 0.1, 1.0]\n").unwrap_err());
        assert!(error.contains("JCZ-1.L1") && error.contains("left < right"), "{error}");
    }

    #[test]
    fn print_says_where_each_value_comes_from() {
        let mut loaded = read("[site]\nid = \"X\"\n").unwrap();
        loaded.set_by_command_line("data.dir");
        let text = loaded.print().unwrap();
        assert!(text.contains("site.id = \"X\"  # file "), "{text}");
        assert!(text.contains("data.dir = \"portgate-data\"  # command line"), "{text}");
        assert!(text.contains("sql.timeout_s = 60  # default"), "{text}");
    }
}
