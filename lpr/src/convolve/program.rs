//! A chain of convolutions on its own tensors: laid out and packed once, run many times.

use parking_lot::Mutex;

use super::kernel::{Aligned, Conv, Finish, Layout, Pass, Walk};
use super::lanes::Isa;
use super::winograd::{self, Winograd, WinogradPass};

/// One convolution as the network states it.
pub(super) struct Sketch {
    /// Tensors by their place in the chain; 0 is the input.
    pub src: usize,
    pub dst: usize,
    /// A tensor of the output's shape that is added to the sums.
    pub add: Option<usize>,
    pub relu: bool,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Zeros above and left of the picture; right and below as many as the output's size wants.
    pub pad: [usize; 2],
    /// `[output channel][input channel][kernel's row][kernel's column]`.
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    /// Transposed: each input pixel becomes a field of `kernel` output pixels; the stride is the
    /// kernel's size and there is no padding.
    pub up: bool,
}

/// Channels, height and width of a tensor.
pub(super) type Size = [usize; 3];

enum Way {
    Direct(Conv),
    Winograd(Winograd),
}

struct Step {
    way: Way,
    src: usize,
    add: Option<usize>,
    dst: usize,
}

/// The chain, ready to run from any thread.
pub(super) struct Program {
    isa: Isa,
    layouts: Vec<Layout>,
    steps: Vec<Step>,
    outputs: Vec<usize>,
    /// Tensors that no run holds at present. Their borders are zero and stay so.
    idle: Mutex<Vec<Vec<Aligned>>>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} convolutions on {:?}", self.steps.len(), self.isa)
    }
}

impl Program {
    /// Lays out the tensors of `sizes` (the first is the input) and packs the weights; `outputs`
    /// are the tensors a run answers.
    pub fn new(isa: Isa, sizes: &[Size], sketches: &[Sketch], outputs: Vec<usize>) -> Self {
        let mut layouts: Vec<Layout> = sizes
            .iter()
            .enumerate()
            .map(|(i, &[channels, height, width])| {
                // The input comes channel by channel.
                let block = if i == 0 {
                    1
                } else if channels <= 8 {
                    8
                } else {
                    16
                };
                Layout { channels, height, width, block, border: [0; 4] }
            })
            .collect();
        for s in sketches.iter().filter(|s| !s.up) {
            let [_, height, width] = sizes[s.dst];
            let src = &mut layouts[s.src];
            let wanted = if s.suits_winograd(src) {
                Winograd::border(src, [height, width])
            } else {
                [
                    s.pad[0],
                    s.pad[1],
                    ((height - 1) * s.stride[0] + s.kernel[0]).saturating_sub(s.pad[0] + src.height),
                    ((width - 1) * s.stride[1] + s.kernel[1]).saturating_sub(s.pad[1] + src.width),
                ]
            };
            for (border, wanted) in src.border.iter_mut().zip(wanted) {
                *border = wanted.max(*border);
            }
        }
        let mut steps = Vec::new();
        for s in sketches {
            let mut step = |way| steps.push(Step { way, src: s.src, add: s.add, dst: s.dst });
            if s.up {
                for dy in 0..s.kernel[0] {
                    for dx in 0..s.kernel[1] {
                        step(Way::Direct(expansion(s, &layouts, dy, dx)));
                    }
                }
            } else if s.suits_winograd(&layouts[s.src]) && layouts[s.dst].block == 16 {
                step(Way::Winograd(winograd(s, &layouts)));
            } else {
                step(Way::Direct(convolution(s, &layouts)));
            }
        }
        Self { isa, layouts, steps, outputs, idle: Mutex::new(Vec::new()) }
    }

    /// Runs the chain on an input, channel by channel and row by row; answers the outputs alike.
    /// `None` if the input has another length.
    pub fn run(&self, input: &[f32]) -> Option<Vec<Vec<f32>>> {
        let first = self.layouts.first()?;
        if input.len() != first.channels * first.height * first.width {
            return None;
        }
        let idle = self.idle.lock().pop();
        let mut tensors = idle.unwrap_or_else(|| self.tensors());
        first.fill(input, tensors.first_mut()?.get_mut());
        for step in &self.steps {
            self.step(step, &mut tensors);
        }
        let outputs = self.outputs.iter().map(|&o| self.layouts[o].planes(tensors[o].get())).collect();
        self.idle.lock().push(tensors);
        Some(outputs)
    }

    /// New tensors, and behind them what steps need beside.
    fn tensors(&self) -> Vec<Aligned> {
        let scratch = self.steps.iter().map(|s| if let Way::Winograd(w) = &s.way { w.scratch() } else { 0 }).max();
        let lens = self.layouts.iter().map(Layout::len).chain(scratch);
        lens.map(Aligned::zeros).collect()
    }

    fn step(&self, step: &Step, tensors: &mut [Aligned]) {
        let Some((scratch, tensors)) = tensors.split_last_mut() else { return };
        let mut dst = std::mem::take(&mut tensors[step.dst]);
        let add = step.add.map_or(&[][..], |a| tensors[a].get());
        let src = tensors[step.src].get();
        match &step.way {
            Way::Direct(conv) => self.isa.run(Pass { conv, src, add, dst: dst.get_mut() }),
            Way::Winograd(conv) => {
                self.isa.run(WinogradPass { conv, src, add, dst: dst.get_mut(), scratch: scratch.get_mut() });
            }
        }
        tensors[step.dst] = dst;
    }
}

impl Sketch {
    fn suits_winograd(&self, src: &Layout) -> bool {
        src.block == 16 && !self.up && self.kernel == [3, 3] && self.stride == [1, 1] && self.pad == [1, 1]
    }
}

/// Where the runs of a convolution begin that reaches `pad` above and left of each pixel.
fn starts(src: &Layout, rows: usize, pad: [usize; 2]) -> Vec<usize> {
    let first = (src.border[0] - pad[0]) * src.row() + (src.border[1] - pad[1]) * src.block;
    (0..src.blocks()).flat_map(|b| (0..rows).map(move |y| first + b * src.plane() + y * src.row())).collect()
}

/// Packs weights for each block of output channels, block of input channels, row and column of
/// the kernel, input channel and output channel of the blocks; zero where a block has no channel.
fn pack(src: &Layout, dst: &Layout, kernel: [usize; 2], weight: impl Fn(usize, usize, usize, usize) -> f32) -> Aligned {
    let lanes = dst.block;
    let mut weights = Aligned::zeros(dst.blocks() * src.blocks() * kernel[0] * kernel[1] * src.block * lanes);
    let mut to = weights.get_mut().chunks_exact_mut(lanes);
    for o in 0..dst.blocks() {
        for i in 0..src.blocks() {
            for y in 0..kernel[0] {
                for x in 0..kernel[1] {
                    for i in i * src.block..(i + 1) * src.block {
                        for (lane, w) in to.next().into_iter().flatten().enumerate() {
                            let o = o * lanes + lane;
                            if o < dst.channels && i < src.channels {
                                *w = weight(o, i, y, x);
                            }
                        }
                    }
                }
            }
        }
    }
    weights
}

fn bias(s: &Sketch, dst: &Layout) -> Vec<f32> {
    let mut bias = s.bias.clone();
    bias.resize(dst.blocks() * dst.block, 0.0);
    bias
}

fn convolution(s: &Sketch, layouts: &[Layout]) -> Conv {
    let (src, dst) = (&layouts[s.src], &layouts[s.dst]);
    let [rows, cols] = s.kernel;
    Conv {
        lanes: dst.block,
        rows: dst.height,
        cols: dst.width,
        starts: starts(src, rows, s.pad),
        run: cols * src.block,
        pixel: s.stride[1] * src.block,
        row: s.stride[0] * src.row(),
        weights: pack(src, dst, s.kernel, |o, i, y, x| s.weights[((o * src.channels + i) * rows + y) * cols + x]),
        bias: bias(s, dst),
        finish: Finish { to: Walk::over(dst), add: s.add.map(|a| Walk::over(&layouts[a])), relu: s.relu },
    }
}

/// The part of a transposed convolution that makes the pixel at `dy`, `dx` of each field.
fn expansion(s: &Sketch, layouts: &[Layout], dy: usize, dx: usize) -> Conv {
    let (src, dst) = (&layouts[s.src], &layouts[s.dst]);
    let [rows, cols] = s.kernel;
    let part = |layout: &Layout| {
        let walk = Walk::over(layout);
        let origin = walk.origin + dy * walk.row + dx * walk.pixel;
        Walk { origin, plane: walk.plane, row: rows * walk.row, pixel: cols * walk.pixel }
    };
    Conv {
        lanes: dst.block,
        rows: src.height,
        cols: src.width,
        starts: starts(src, 1, [0, 0]),
        run: src.block,
        pixel: src.block,
        row: src.row(),
        weights: pack(src, dst, [1, 1], |o, i, _, _| s.weights[((o * src.channels + i) * rows + dy) * cols + dx]),
        bias: bias(s, dst),
        finish: Finish { to: part(dst), add: s.add.map(|a| part(&layouts[a])), relu: s.relu },
    }
}

fn winograd(s: &Sketch, layouts: &[Layout]) -> Winograd {
    let (src, dst) = (&layouts[s.src], &layouts[s.dst]);
    let mut weights = Aligned::zeros(dst.blocks() * 16 * src.blocks() * 16 * 16);
    for o in 0..dst.channels {
        for i in 0..src.channels {
            let w = &s.weights[(o * src.channels + i) * 9..];
            let turned = winograd::weights([[w[0], w[1], w[2]], [w[3], w[4], w[5]], [w[6], w[7], w[8]]]);
            for (product, w) in turned.into_iter().enumerate() {
                weights.get_mut()[(((o / 16) * 16 + product) * src.blocks() * 16 + i) * 16 + o % 16] = w;
            }
        }
    }
    Winograd {
        height: dst.height,
        width: dst.width,
        blocks: src.blocks(),
        first: starts(src, 1, s.pad)[0],
        plane: src.plane(),
        row: src.row(),
        weights,
        bias: bias(s, dst),
        finish: Finish { to: Walk::over(dst), add: s.add.map(|a| Walk::over(&layouts[a])), relu: s.relu },
    }
}
