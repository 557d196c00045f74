//! The engine on the real embedded log and the real store.

mod barriers;
mod crash;
mod day;
mod hostile;
mod kafka;
mod kit;
mod line;
mod people;
mod spot;
mod takeover;
