//! The command line, as `contract` promises it.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// The gate of a port that knows: reads plates, decides by the port's regulations, and opens,
/// holds or refuses, each with the clause it rests on.
#[derive(Debug, Parser)]
#[command(name = "portgate", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the whole gate in one process
    Up {
        /// Configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Folder for all state
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Demonstration: a made-up site of four lanes with traffic, on loopback only
        #[arg(long)]
        demo: bool,
        /// Use this Kafka instead of the embedded log
        #[arg(long, value_name = "HOST:PORT")]
        kafka: Option<String>,
        /// HTTP address (default 127.0.0.1:8080)
        #[arg(long, value_name = "HOST:PORT")]
        http: Option<std::net::SocketAddr>,
        /// SQL address (default 127.0.0.1:5433)
        #[arg(long, value_name = "HOST:PORT")]
        sql: Option<std::net::SocketAddr>,
        /// Roles to leave out, so that another process runs them over the same Kafka
        #[arg(long, value_name = "ROLE,…", value_delimiter = ',')]
        without: Vec<Role>,
    },
    /// Start only some roles, over Kafka
    Run {
        /// Roles to run
        #[arg(long, value_name = "ROLE,…", value_delimiter = ',', required = true)]
        roles: Vec<Role>,
        /// Configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Folder for all state
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Kafka to use, over the configuration's
        #[arg(long, value_name = "HOST:PORT")]
        kafka: Option<String>,
    },
    /// Recognise plates in pictures; one JSON line a picture
    Read {
        /// Each picture is one plate already
        #[arg(long)]
        crop: bool,
        /// Folder of the models, over the built-in ones
        #[arg(long, value_name = "DIR")]
        models: Option<PathBuf>,
        /// Pictures or folders of pictures
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Run scenario files through the decision core
    Scenarios {
        /// Scenario files (YAML)
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Load, list or show registry records
    Registry {
        /// What to do with them
        #[command(subcommand)]
        action: RegistryAction,
        /// Folder of the gate's state
        #[arg(long, value_name = "DIR", default_value = "portgate-data", global = true)]
        data: PathBuf,
    },
    /// Ask the analytics data in SQL
    Sql {
        /// One query
        query: String,
        /// Form of the answer
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// File for the answer instead of the screen
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Folder of the gate's state
        #[arg(long, value_name = "DIR", default_value = "portgate-data")]
        data: PathBuf,
    },
    /// Decide a recorded journal again and report every difference
    Replay {
        /// Folder of the gate's state
        dir: PathBuf,
        /// Decide under this policy (JSON or YAML) instead of the recorded ones
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Send made-up but lawful traffic to a running gate, or write a made-up past for analysts
    Simulate {
        /// Lanes to drive through (1 to 4 of the demonstration site; 4, with --history 64)
        #[arg(long)]
        lanes: Option<usize>,
        /// Write so many days of history, like 365d, into DIR/analytics instead; no gate need run
        #[arg(long, value_name = "DAYS")]
        history: Option<String>,
        /// With --history: checkpoints (of four or more, two are customs checkpoints)
        #[arg(long, default_value_t = 8, requires = "history")]
        gates: u32,
        /// With --history: vehicles at each entry lane on an ordinary day
        #[arg(long, default_value_t = 560, requires = "history")]
        vehicles: u32,
        /// With --history: its first day (default: so that it ends yesterday)
        #[arg(long, value_name = "DATE", requires = "history")]
        from: Option<String>,
        /// Vehicles a minute and lane
        #[arg(long, default_value_t = 6.0)]
        rate: f64,
        /// How long, seconds
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Seed: the same seed makes the same traffic
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Drive over this Kafka instead of HTTP
        #[arg(long, value_name = "HOST:PORT")]
        kafka: Option<String>,
        /// The gate's address
        #[arg(long, default_value = "http://127.0.0.1:8080")]
        url: String,
        /// Folder whose demo-credentials are used over HTTP
        #[arg(long, value_name = "DIR", default_value = "portgate-data")]
        data: PathBuf,
    },
    /// Examine the stores of a stopped gate
    Check {
        /// Folder of the gate's state
        dir: PathBuf,
    },
    /// List what did not fit when a lane that had been cut off was heard again
    Conflicts {
        /// Folder of the gate's state
        dir: PathBuf,
    },
    /// Make a consistent copy of the stores, also while the gate runs
    Backup {
        /// Folder of the gate's state
        dir: PathBuf,
        /// Folder of the copy; must not exist
        to: PathBuf,
    },
    /// Put a copy back
    Restore {
        /// Folder of the copy
        from: PathBuf,
        /// Folder of the gate's state; must be empty or absent
        dir: PathBuf,
    },
    /// Measure recognition over labelled folders
    Evaluate {
        /// Folder of the models, over the built-in ones
        #[arg(long, value_name = "DIR")]
        models: Option<PathBuf>,
        /// Write a page of what was misread, with pictures, into this folder
        #[arg(long, value_name = "DIR")]
        sheet: Option<PathBuf>,
        /// Labelled folders (labels.tsv in or beside them)
        #[arg(required = true)]
        sets: Vec<PathBuf>,
    },
    /// Show the configuration in force
    Config {
        /// Print it with where each value comes from
        #[arg(long)]
        print: bool,
        /// Configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// What `registry` does.
#[derive(Debug, Subcommand)]
pub enum RegistryAction {
    /// Load files: JSON Lines {"kind","id","value"}, or a CSV named after its kind
    Import {
        /// Files; each is loaded whole or not at all
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Write every record as JSON Lines
    Export,
    /// Show one record
    Show {
        /// Kind
        kind: String,
        /// Id
        id: String,
    },
}

/// Form of a query's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Format {
    Table,
    Csv,
    Json,
    Arrow,
    Parquet,
}

/// A role a process can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[allow(missing_docs)]
pub enum Role {
    Camera,
    Recognise,
    Decide,
    Analyse,
    Serve,
}
