//! One integration-test binary: the house rules, the command line, and the gate end to end.

mod away;
mod cluster;
mod commands;
mod gate;
mod hostile;
mod kills;
mod monitoring;
mod mutate;
mod pages;
mod people;
mod support;
mod through_gate;
mod tidy;
