//! The two networks on tract: loading, checking, running.
//!
//! A models folder holds `manifest.json` and the files it names. A file whose SHA-256 is not the
//! one in the manifest is refused; so is a network whose inputs or outputs are not as stated. One
//! [`Models`] is shared by all threads; each run borrows a state of its own.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portgate_core::plate::PlateKind;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tract_onnx::prelude::*;

use crate::detect::PADDING;
use crate::error::LprError;
use crate::grammar::{is_two_line, Grammar};

/// The only layout of the manifest this program reads.
const MANIFEST_VERSION: u32 = 1;
/// Larger files are not models of ours.
const MODEL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Character classes the grammar can index.
const ALPHABET_MAX: usize = 255;

/// `manifest.json`, as `models/export.py` writes it.
#[derive(Clone, Debug, Deserialize)]
struct Manifest {
    version: u32,
    detector: DetectorEntry,
    recogniser: RecogniserEntry,
    one_line: Layout,
    two_line: Layout,
}

#[derive(Clone, Debug, Deserialize)]
struct DetectorEntry {
    file: String,
    sha256: String,
    input: [usize; 3],
    stride: usize,
    threshold: f64,
    /// How wide a plate should stand in the input when its corners are looked at more closely.
    #[serde(default = "refine_width")]
    refine_width: f64,
    channels: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct RecogniserEntry {
    file: String,
    sha256: String,
    input: [usize; 3],
    columns: usize,
    alphabet: String,
    kinds: Vec<PlateKind>,
    /// Calibration: logits are divided by this.
    #[serde(default = "one")]
    temperature: f64,
    /// Calibration: the odds of each character's confidence are multiplied by this.
    #[serde(default = "one")]
    confidence_odds: f64,
}

fn one() -> f64 {
    1.0
}

fn refine_width() -> f64 {
    160.0
}

/// How a plate fills the recogniser's input.
#[derive(Clone, Debug, Deserialize)]
pub struct Layout {
    /// Parts of the plate, side by side in the input.
    pub regions: Vec<Region>,
}

/// One part of a plate, in fractions of the quadrilateral of its corners.
#[derive(Clone, Debug, Deserialize)]
pub struct Region {
    /// From and to along the width.
    pub x: [f64; 2],
    /// From and to along the height.
    pub y: [f64; 2],
    /// First column of the input it fills.
    pub left: usize,
    /// How many columns it fills.
    pub width: usize,
}

/// Where the detector's answers stand.
pub(crate) struct DetectorShape {
    pub height: usize,
    pub width: usize,
    pub stride: usize,
    pub threshold: f64,
    pub refine_width: f64,
}

/// Where the recogniser's answers stand.
pub(crate) struct RecogniserShape {
    pub height: usize,
    pub width: usize,
    pub alphabet: Vec<char>,
    pub kinds: Vec<PlateKind>,
    pub temperature: f64,
    pub confidence_odds: f64,
    pub one_line: Layout,
    pub two_line: Layout,
    /// Which of `kinds` a one-line crop can be, and which a two-line crop.
    pub allowed: [Vec<bool>; 2],
}

/// The channels the detector's output must have, in order.
const CHANNELS: [&str; 10] = ["one_line", "two_line", "tl_x", "tl_y", "tr_x", "tr_y", "br_x", "br_y", "bl_x", "bl_y"];

/// Gives the content of a model's file.
type ReadFile<'a> = dyn Fn(&Path) -> Result<Vec<u8>, LprError> + 'a;

/// The published models, compiled in, so that the program needs no folder beside it.
const BUILT_IN: [(&str, &[u8]); 3] = [
    ("manifest.json", include_bytes!("../../models/manifest.json")),
    ("detector.onnx", include_bytes!("../../models/detector.onnx")),
    ("recogniser.onnx", include_bytes!("../../models/recogniser.onnx")),
];

/// Both networks, ready to run from any thread.
pub struct Models {
    detector: Network,
    recogniser: Network,
    pub(crate) detector_shape: DetectorShape,
    pub(crate) recogniser_shape: RecogniserShape,
    pub(crate) grammar: Grammar,
    id: String,
}

impl Models {
    /// Loads, checks and warms up the models of a folder.
    ///
    /// # Errors
    /// [`LprError`] naming the file and what would be right.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, LprError> {
        Self::load_with(folder.as_ref(), &read)
    }

    /// The models this program was built with.
    ///
    /// # Errors
    /// [`LprError`], as for a folder; the build's tests see to it that there is none.
    pub fn built_in() -> Result<Self, LprError> {
        Self::load_with(Path::new("built-in"), &|path| {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            match BUILT_IN.iter().find(|(own, _)| *own == name) {
                Some((_, bytes)) => Ok(bytes.to_vec()),
                None => Err(LprError::ModelFile { path: path.to_owned(), source: std::io::ErrorKind::NotFound.into() }),
            }
        })
    }

    fn load_with(folder: &Path, read: &ReadFile<'_>) -> Result<Self, LprError> {
        let path = folder.join("manifest.json");
        let wrong = |reason: String| LprError::Manifest { path: path.clone(), reason };
        let manifest: Manifest = serde_json::from_slice(&read(&path)?).map_err(|e| wrong(format!("not a manifest of models: {e}")))?;
        check(&manifest).map_err(wrong)?;
        let Manifest { detector: d, recogniser: r, one_line, two_line, .. } = manifest;

        let cells = [d.input[1] / d.stride, d.input[2] / d.stride];
        let detector = Network::load(folder, read, &d.file, &d.sha256, d.input, &[&[1, CHANNELS.len(), cells[0], cells[1]]])?;
        let alphabet: Vec<char> = r.alphabet.chars().collect();
        let outputs: [&[usize]; 2] = [&[1, r.columns, alphabet.len()], &[1, r.kinds.len()]];
        let recogniser = Network::load(folder, read, &r.file, &r.sha256, r.input, &outputs)?;

        let id = hex::encode(Sha256::digest(format!("{} {}", d.sha256, r.sha256)));
        let allowed = [false, true].map(|two| r.kinds.iter().map(|k| is_two_line(*k) == two).collect());
        let models = Self {
            detector,
            recogniser,
            grammar: Grammar::new(&alphabet, &r.kinds),
            detector_shape: DetectorShape {
                height: d.input[1],
                width: d.input[2],
                stride: d.stride,
                threshold: d.threshold,
                refine_width: d.refine_width,
            },
            recogniser_shape: RecogniserShape {
                height: r.input[1],
                width: r.input[2],
                alphabet,
                kinds: r.kinds,
                temperature: r.temperature,
                confidence_odds: r.confidence_odds,
                one_line,
                two_line,
                allowed,
            },
            id: id.chars().take(16).collect(),
        };
        models.detect(grey)?;
        models.recognise(vec![PADDING; r.input.iter().product()])?;
        Ok(models)
    }

    /// First 16 hex digits of the SHA-256 over both models' hashes; stands on every read.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Runs each network once on a grey input, for benchmarks: how long the detector and the
    /// recogniser took.
    ///
    /// # Errors
    /// As a read.
    pub fn time_once(&self) -> Result<[Duration; 2], LprError> {
        let r = &self.recogniser_shape;
        let start = Instant::now();
        self.detect(grey)?;
        let detector = start.elapsed();
        let input = vec![PADDING; 3 * r.height * r.width];
        let start = Instant::now();
        self.recognise(input)?;
        Ok([detector, start.elapsed()])
    }

    /// Runs the detector on what `draw` puts into its input (planes of RGB, 0 to 255, black before);
    /// answers its only output.
    pub(crate) fn detect(&self, draw: impl FnOnce(&mut [f32]) -> Result<(), LprError>) -> Result<Vec<f32>, LprError> {
        let failed = |e: TractError| LprError::Network(format!("{e:#}"));
        // Drawn in place: the input is as large as the caches.
        let mut input = Tensor::zero::<f32>(&self.detector.shape).map_err(failed)?;
        let mut ram = input.try_as_plain_ram_mut().map_err(failed)?;
        draw(ram.as_slice_mut::<f32>().map_err(failed)?)?;
        let mut outputs = self.detector.run(input)?;
        outputs.pop().ok_or_else(|| LprError::Network("no output".into()))
    }

    /// Runs the recogniser on one input; answers characters' and kinds' logits.
    pub(crate) fn recognise(&self, input: Vec<f32>) -> Result<(Vec<f32>, Vec<f32>), LprError> {
        let input = Tensor::from_shape(&self.recogniser.shape, &input).map_err(|e| LprError::Network(format!("{e:#}")))?;
        let mut outputs = self.recogniser.run(input)?;
        match (outputs.pop(), outputs.pop()) {
            (Some(kind), Some(chars)) => Ok((chars, kind)),
            _ => Err(LprError::Network("an output is missing".into())),
        }
    }
}

fn check(m: &Manifest) -> Result<(), String> {
    if m.version != MANIFEST_VERSION {
        return Err(format!("version {} of the manifest, this program reads {MANIFEST_VERSION}", m.version));
    }
    if m.detector.channels != CHANNELS {
        return Err(format!("detector.channels must be {}", CHANNELS.join(", ")));
    }
    let stride = m.detector.stride;
    if stride == 0 || m.detector.input[1..].iter().any(|side| !side.is_multiple_of(stride)) {
        return Err("detector.stride must divide the input's sides".into());
    }
    if m.detector.input[0] != 3 || m.recogniser.input[0] != 3 {
        return Err("the networks' inputs must have 3 channels".into());
    }
    if !(m.detector.threshold > 0.0 && m.detector.threshold < 1.0) {
        return Err("detector.threshold must lie between 0 and 1".into());
    }
    if !(m.detector.refine_width >= 16.0 && m.detector.refine_width <= m.detector.input[2] as f64) {
        return Err("detector.refine_width must lie between 16 and the input's width".into());
    }
    if !(m.recogniser.temperature > 0.0 && m.recogniser.temperature.is_finite()) {
        return Err("recogniser.temperature must be above 0".into());
    }
    if !(m.recogniser.confidence_odds > 0.0 && m.recogniser.confidence_odds.is_finite()) {
        return Err("recogniser.confidence_odds must be above 0".into());
    }
    let characters = m.recogniser.alphabet.chars().count();
    if !(2..=ALPHABET_MAX).contains(&characters) {
        return Err(format!("recogniser.alphabet must hold a blank and at most {} characters", ALPHABET_MAX - 1));
    }
    if m.recogniser.kinds.is_empty() {
        return Err("recogniser.kinds must name the kinds of plates".into());
    }
    for layout in [&m.one_line, &m.two_line] {
        let mut left = 0;
        for r in &layout.regions {
            if r.left != left || r.width == 0 || !(r.x[0] < r.x[1] && r.y[0] < r.y[1]) {
                return Err("the regions must stand side by side, each with a width and from < to".into());
            }
            left += r.width;
        }
        if left != m.recogniser.input[2] {
            return Err("the regions must fill the recogniser's input".into());
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, LprError> {
    let wrong = |source| LprError::ModelFile { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(wrong)?.len() > MODEL_BYTES_MAX {
        return Err(wrong(std::io::Error::other("larger than any model of this program")));
    }
    std::fs::read(path).map_err(wrong)
}

fn grey(planes: &mut [f32]) -> Result<(), LprError> {
    planes.fill(PADDING);
    Ok(())
}

/// One network with the states its threads borrow.
struct Network {
    plan: Arc<TypedRunnableModel>,
    shape: [usize; 4],
    states: Mutex<Vec<TypedSimpleState>>,
}

impl Network {
    fn load(
        folder: &Path,
        read: &ReadFile<'_>,
        file: &str,
        sha256: &str,
        input: [usize; 3],
        outputs: &[&[usize]],
    ) -> Result<Self, LprError> {
        let path = folder.join(file);
        let bytes = read(&path)?;
        let found = hex::encode(Sha256::digest(&bytes));
        if found != sha256 {
            return Err(LprError::ModelHash { path, found, wanted: sha256.to_owned() });
        }
        let shape = [1, input[0], input[1], input[2]];
        let wrong = |reason: String| LprError::Model { path: path.clone(), reason };
        let plan = prepare(&bytes, shape).map_err(|e| wrong(format!("{e:#}")))?;
        let model = plan.model();
        for (i, wanted) in outputs.iter().enumerate() {
            let fact = model.output_fact(i).map_err(|e| wrong(format!("output {i}: {e}")))?;
            if fact.shape.as_concrete() != Some(*wanted) || fact.datum_type != f32::datum_type() {
                return Err(wrong(format!("output {i} is {fact:?}, the manifest says f32 {wanted:?}")));
            }
        }
        Ok(Self { plan, shape, states: Mutex::new(Vec::new()) })
    }

    /// Runs once; answers the outputs in order, flattened.
    fn run(&self, tensor: Tensor) -> Result<Vec<Vec<f32>>, LprError> {
        let failed = |e: TractError| LprError::Network(format!("{e:#}"));
        let pooled = self.states.lock().pop();
        let mut state = match pooled {
            Some(state) => state,
            None => self.plan.spawn().map_err(failed)?,
        };
        let outputs = state.run(tvec!(tensor.into())).map_err(failed)?;
        let outputs = outputs
            .iter()
            .map(|o| Ok(o.try_as_plain_ram()?.as_slice::<f32>()?.to_vec()))
            .collect::<TractResult<Vec<_>>>()
            .map_err(failed)?;
        // A state that failed is dropped; one that ran goes back.
        self.states.lock().push(state);
        Ok(outputs)
    }
}

fn prepare(bytes: &[u8], shape: [usize; 4]) -> TractResult<Arc<TypedRunnableModel>> {
    let model = parse(bytes, shape)?;
    #[cfg(target_arch = "x86_64")]
    let model = crate::convolve::install(model)?;
    model.into_optimized()?.into_runnable()
}

/// The network as its file states it, checked for the input's shape.
pub(crate) fn parse(bytes: &[u8], shape: [usize; 4]) -> TractResult<TypedModel> {
    tract_onnx::onnx()
        .model_for_read(&mut Cursor::new(bytes))?
        .with_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), shape))?
        .into_typed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The workspace's models, copied so that they can be spoiled.
    fn copy() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        for file in ["manifest.json", "detector.onnx", "recogniser.onnx"] {
            std::fs::copy(from.join(file), folder.path().join(file)).unwrap();
        }
        folder
    }

    fn message(folder: &Path) -> String {
        match Models::load(folder) {
            Ok(_) => "loaded".into(),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn the_shipped_models_load_and_spoiled_ones_are_named() {
        let folder = copy();
        assert_eq!(message(folder.path()), "loaded");
        assert_eq!(Models::load(folder.path()).unwrap().id().len(), 16);

        let onnx = folder.path().join("recogniser.onnx");
        let good = std::fs::read(&onnx).unwrap();
        let mut spoiled = good.clone();
        spoiled[1000] ^= 1;
        std::fs::write(&onnx, spoiled).unwrap();
        let said = message(folder.path());
        assert!(said.contains("recogniser.onnx") && said.contains("SHA-256"), "{said}");
        std::fs::remove_file(&onnx).unwrap();
        let said = message(folder.path());
        assert!(said.contains("recogniser.onnx") && said.contains("manifest.json"), "{said}");
        std::fs::write(&onnx, good).unwrap();

        let manifest = folder.path().join("manifest.json");
        let text = std::fs::read_to_string(&manifest).unwrap();
        std::fs::write(&manifest, text.replace("\"version\": 1", "\"version\": 9")).unwrap();
        assert!(message(folder.path()).contains("version 9"));
        std::fs::write(&manifest, text.replace("\"columns\": 21", "\"columns\": 22")).unwrap();
        let said = message(folder.path());
        assert!(said.contains("recogniser.onnx") && said.contains("22"), "{said}");
        std::fs::write(&manifest, "{").unwrap();
        assert!(message(folder.path()).contains("manifest.json"));
    }
}
