//! `dump_frames DIR N SEED`: writes N labelled frames of the simulator to DIR.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (Some(dir), Some(Ok(n)), Some(Ok(seed))) =
        (args.first().map(PathBuf::from), args.get(1).map(|v| v.parse()), args.get(2).map(|v| v.parse()))
    else {
        eprintln!("usage: dump_frames DIR N SEED");
        return ExitCode::from(2);
    };
    match portgate_ingest::sim::render::dump_frames(&dir, n, seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
