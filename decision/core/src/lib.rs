//! The pure decision core of Portgate, and the words every other crate shares.
//!
//! Architecture invariant: nothing in this crate reads a clock, draws a random number, does I/O,
//! awaits or iterates in hash order. Time arrives as an argument ([`time::Instant`]), facts arrive
//! through [`facts::FactSource`], and the outcome is a value. That is what makes a journal
//! replayable.
//!
//! The messages of the topics (`portgate.reads`, `portgate.decisions`, …) are in [`read`],
//! [`decision`], [`command`] and [`journal`]; the kinds of the registry in [`registry`].

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::arithmetic_side_effects,
        clippy::disallowed_methods,
        clippy::disallowed_types
    )
)]

pub mod cite;
pub mod command;
pub mod decision;
pub mod effect;
pub mod facts;
pub mod journal;
pub mod memory;
pub mod people;
pub mod plate;
pub mod policy;
pub mod read;
pub mod reason;
pub mod registry;
pub mod row;
pub mod rules;
pub mod scenario;
pub mod site;
pub mod time;
pub mod timeline;
pub mod violation;
