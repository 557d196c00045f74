//! The program `portgate`.
fn main() {}
