//! The program `portgate`: command line, configuration, wiring of roles. No logic of its own.

mod adapters;
mod cli;
mod commands;
mod config;
mod control;
mod observe;
mod roles;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use cli::{Cli, Command};

/// A gate runs for years under many small allocations of several threads, RocksDB's and OpenCV's among
/// them; glibc's heap gives back late and its arenas made one decision in a hundred wait for milliseconds.
#[global_allocator]
static HEAP: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A check found something.
pub const FOUND: u8 = 1;
/// Bad usage or input.
pub const BAD: u8 = 2;

fn main() -> ExitCode {
    if let Err(wanted) = processor() {
        eprintln!("error: this processor lacks {wanted}; portgate is built for x86-64-v3 (AVX2, FMA) and later");
        return ExitCode::from(BAD);
    }
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Broken pipes are the reader's choice (`portgate sql … | head`).
            let quiet =
                error.chain().any(|c| c.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe));
            if !quiet {
                eprintln!("error: {}", message(&error));
            }
            ExitCode::from(BAD)
        }
    }
}

/// The causes of an error in one line, without saying the same thing twice.
fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn processor() -> Result<(), &'static str> {
    #[cfg(target_arch = "x86_64")]
    for (present, name) in [(std::arch::is_x86_feature_detected!("avx2"), "AVX2"), (std::arch::is_x86_feature_detected!("fma"), "FMA")] {
        if !present {
            return Err(name);
        }
    }
    Ok(())
}

fn run(command: Command) -> Result<u8> {
    match command {
        Command::Up { config, data, demo, kafka, http, sql, without } => {
            let mut loaded = config::Loaded::read(config.as_deref())?;
            roles::override_from_command_line(&mut loaded, data, kafka, http, sql);
            let all = [cli::Role::Camera, cli::Role::Recognise, cli::Role::Decide, cli::Role::Analyse, cli::Role::Serve];
            let roles = all.into_iter().filter(|r| !without.contains(r)).collect();
            roles::start(roles::Start { loaded, roles, demo })
        }
        Command::Run { roles, config, data, kafka } => {
            let mut loaded = config::Loaded::read(config.as_deref())?;
            roles::override_from_command_line(&mut loaded, data, kafka, None, None);
            if loaded.config.kafka.brokers.is_empty() {
                anyhow::bail!("`run` spreads a gate over processes and needs Kafka: give --kafka HOST:PORT or kafka.brokers");
            }
            roles::start(roles::Start { loaded, roles: roles.into_iter().collect(), demo: false })
        }
        Command::Read { crop, models, paths } => commands::read::run(crop, models.as_deref(), &paths),
        Command::Evaluate { models, sheet, sets } => commands::read::evaluate(models.as_deref(), sheet.as_deref(), &sets),
        Command::Scenarios { files } => commands::scenarios::run(&files),
        Command::Registry { action, data } => commands::registry::run(action, &data),
        Command::Sql { query, format, output, data } => commands::sql::run(&query, format, output.as_deref(), &data),
        Command::Replay { dir, policy } => commands::stores::replay(&dir, policy.as_deref()),
        Command::Simulate { lanes, history: Some(days), gates, vehicles, from, seed, data, .. } => {
            commands::simulate::history(commands::simulate::History { days, gates, lanes: lanes.unwrap_or(64), vehicles, from, seed, data })
        }
        Command::Simulate { lanes, rate, seconds, seed, kafka, url, data, .. } => {
            commands::simulate::run(commands::simulate::Options { lanes: lanes.unwrap_or(4), rate, seconds, seed, kafka, url, data })
        }
        Command::Check { dir } => commands::stores::check(&dir),
        Command::Conflicts { dir } => commands::stores::conflicts(&dir),
        Command::Backup { dir, to } => commands::stores::backup(&dir, &to),
        Command::Restore { from, dir } => commands::stores::restore(&from, &dir),
        Command::Config { print: _, config } => {
            println!("{}", config::Loaded::read(config.as_deref())?.print()?);
            Ok(0)
        }
    }
}
