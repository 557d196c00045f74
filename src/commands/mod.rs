//! The subcommands that end by themselves.

pub mod read;
pub mod registry;
pub mod scenarios;
pub mod simulate;
pub mod sql;
pub mod stores;
