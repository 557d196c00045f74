//! `draw_truck PLATE FILE`: draws a made-up truck with this yellow plate close to the camera.

use std::process::ExitCode;

use portgate_core::plate::PlateKind;
use portgate_ingest::sim::render::{Body, RenderError, Renderer, SceneLook, VehicleLook};

/// Where the vehicle is on its way to the barrier.
const PROGRESS: f64 = 0.9;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [plate, file] = args.as_slice() else {
        eprintln!("usage: draw_truck PLATE FILE");
        return ExitCode::from(2);
    };
    match draw(plate).map(|jpeg| std::fs::write(file, jpeg)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("{file}: {error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn draw(plate: &str) -> Result<Vec<u8>, RenderError> {
    let look = VehicleLook { body: Body::Truck, plate: plate.to_owned(), plate_kind: PlateKind::Yellow, dirt: 0.0, seed: 7 };
    Ok(Renderer::new()?.frame(&look, &SceneLook::day(3, "JCZ-1.L1"), PROGRESS)?.jpeg)
}
