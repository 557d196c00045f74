//! One convolution: sums of a row's neighbouring pixels held in registers.
//!
//! Tensors lie in blocks of channels: `[block][row][column][channel of the block]`, with a border
//! of zeros as wide as their readers want. For one output pixel and one row of the kernel, the
//! inputs are then one run of neighbouring numbers, whatever the kernel's width and the stride;
//! the run of the next pixel begins a fixed step further on. So the innermost loop is the same for
//! every shape: take one input of each of `P` pixels, multiply it with one weight of each of `N`
//! output channels, add to `P` sums of `N` lanes.

use super::lanes::{Job, Lanes};

/// Numbers that begin at a cache line.
#[derive(Clone, Debug, Default)]
pub(super) struct Aligned {
    numbers: Vec<f32>,
    from: usize,
    len: usize,
}

/// Numbers in a cache line.
const LINE: usize = 16;

impl Aligned {
    pub fn zeros(len: usize) -> Self {
        let numbers = vec![0.0; len + LINE];
        let from = numbers.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { numbers, from, len }
    }

    pub fn get(&self) -> &[f32] {
        &self.numbers[self.from..][..self.len]
    }

    pub fn get_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[self.from..][..self.len]
    }
}

/// Where the numbers of a tensor lie.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// Channels that lie together: 1, 8 or 16.
    pub block: usize,
    /// Zeros around the picture: above, left, below, right.
    pub border: [usize; 4],
}

impl Layout {
    /// Numbers from one row to the next.
    pub fn row(&self) -> usize {
        (self.border[1] + self.width + self.border[3]) * self.block
    }

    /// Numbers from one block of channels to the next.
    pub fn plane(&self) -> usize {
        (self.border[0] + self.height + self.border[2]) * self.row()
    }

    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(self.block)
    }

    pub fn len(&self) -> usize {
        self.blocks() * self.plane()
    }

    /// The first number of the picture itself.
    pub fn origin(&self) -> usize {
        self.border[0] * self.row() + self.border[1] * self.block
    }

    /// Puts a picture that lies channel by channel into its border (blocks of one channel only).
    pub fn fill(&self, planes: &[f32], to: &mut [f32]) {
        let pictures = planes.chunks_exact(self.height * self.width);
        for (plane, to) in pictures.zip(to.chunks_exact_mut(self.plane())) {
            for (row, to) in plane.chunks_exact(self.width).zip(to[self.origin()..].chunks_mut(self.row())) {
                to[..self.width].copy_from_slice(row);
            }
        }
    }

    /// The picture channel by channel, without its border.
    pub fn planes(&self, from: &[f32]) -> Vec<f32> {
        let mut planes = Vec::with_capacity(self.channels * self.height * self.width);
        for c in 0..self.channels {
            let first = self.origin() + c / self.block * self.plane() + c % self.block;
            for y in 0..self.height {
                let row = &from[first + y * self.row()..];
                planes.extend(row.iter().step_by(self.block).take(self.width));
            }
        }
        planes
    }
}

/// Where output pixels go, or what is added to them comes from: numbers to the first one, and from
/// one block of channels, row and pixel to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub origin: usize,
    pub plane: usize,
    pub row: usize,
    pub pixel: usize,
}

impl Walk {
    pub fn over(layout: &Layout) -> Self {
        Self { origin: layout.origin(), plane: layout.plane(), row: layout.row(), pixel: layout.block }
    }

    #[inline(always)]
    fn at(&self, block: usize, y: usize, x: usize) -> usize {
        self.origin + block * self.plane + y * self.row + x * self.pixel
    }
}

/// What becomes of the sums.
#[derive(Clone, Debug)]
pub(super) struct Finish {
    pub to: Walk,
    /// A tensor that is added first.
    pub add: Option<Walk>,
    pub relu: bool,
}

/// One convolution, ready to run.
#[derive(Clone, Debug)]
pub(super) struct Conv {
    /// Output channels that lie together: 8 or 16.
    pub lanes: usize,
    /// Output pixels.
    pub rows: usize,
    pub cols: usize,
    /// Where each run of inputs begins for the first output pixel: one for each block of input
    /// channels and row of the kernel.
    pub starts: Vec<usize>,
    /// Numbers in a run: the kernel's width times the channels of a block.
    pub run: usize,
    /// Numbers from one output pixel's inputs to the next one's, and to the next row's.
    pub pixel: usize,
    pub row: usize,
    /// For each block of output channels, run and input: one weight for each lane.
    pub weights: Aligned,
    /// For each output channel, filled up with zeros.
    pub bias: Vec<f32>,
    pub finish: Finish,
}

/// One run of a convolution: from where, what to add, to where.
pub(super) struct Pass<'a> {
    pub conv: &'a Conv,
    pub src: &'a [f32],
    pub add: &'a [f32],
    pub dst: &'a mut [f32],
}

impl Job for Pass<'_> {
    #[inline(always)]
    fn run<I: Lanes<16> + Lanes<8>>(self, isa: I) {
        match (self.conv.lanes, self.conv.pixel) {
            (8, 1) => tiled::<I, 8, 1>(isa, self),
            (8, 2) => tiled::<I, 8, 2>(isa, self),
            (8, 8) => tiled::<I, 8, 8>(isa, self),
            (8, 16) => tiled::<I, 8, 16>(isa, self),
            (8, 32) => tiled::<I, 8, 32>(isa, self),
            (16, 1) => tiled::<I, 16, 1>(isa, self),
            (16, 2) => tiled::<I, 16, 2>(isa, self),
            (16, 8) => tiled::<I, 16, 8>(isa, self),
            (16, 16) => tiled::<I, 16, 16>(isa, self),
            (16, 32) => tiled::<I, 16, 32>(isa, self),
            other => unreachable!("no kernel for {other:?}"),
        }
    }
}

/// Pixels a tile can have.
const TILES: [usize; 7] = [16, 14, 11, 7, 6, 4, 2];

/// The tile that does a row of `cols` pixels with the fewest steps; `sums` fit the registers.
pub(super) fn tile(cols: usize, sums: usize) -> usize {
    let fitting = TILES.into_iter().filter(|p| *p <= sums && *p <= cols);
    // A tile costs as many steps as it has pixels, and one for the weights.
    fitting.min_by_key(|p| cols.div_ceil(*p) * (p + 1)).unwrap_or(1)
}

#[inline(always)]
fn tiled<I: Lanes<N>, const N: usize, const PIXEL: usize>(isa: I, pass: Pass<'_>) {
    match tile(pass.conv.cols, I::SUMS) {
        16 => convolve::<I, N, PIXEL, 16>(isa, pass),
        14 => convolve::<I, N, PIXEL, 14>(isa, pass),
        11 => convolve::<I, N, PIXEL, 11>(isa, pass),
        7 => convolve::<I, N, PIXEL, 7>(isa, pass),
        6 => convolve::<I, N, PIXEL, 6>(isa, pass),
        4 => convolve::<I, N, PIXEL, 4>(isa, pass),
        2 => convolve::<I, N, PIXEL, 2>(isa, pass),
        _ => convolve::<I, N, PIXEL, 1>(isa, pass),
    }
}

#[inline(always)]
fn convolve<I: Lanes<N>, const N: usize, const PIXEL: usize, const P: usize>(isa: I, pass: Pass<'_>) {
    if P > I::SUMS {
        return; // never chosen; spares its code
    }
    let Pass { conv, src, add, dst } = pass;
    let per_block = conv.starts.len() * conv.run * N;
    let blocks = conv.weights.get().chunks_exact(per_block).zip(conv.bias.as_chunks::<N>().0);
    for (block, (weights, bias)) in blocks.enumerate() {
        let bias = isa.load(bias);
        for y in 0..conv.rows {
            for t in 0..conv.cols.div_ceil(P) {
                // The last tile of a row ends where the row ends; what it does again comes out the same.
                let x = (t * P).min(conv.cols - P);
                let src = &src[y * conv.row + x * PIXEL..];
                let sums = sums::<I, N, PIXEL, P>(isa, conv.starts.iter().copied(), conv.run, src, weights, bias);
                conv.finish.pixels(isa, (block, y, x), sums, add, dst);
            }
        }
    }
}

/// Adds up the products of `P` neighbouring pixels' runs of inputs, each run beginning at one of
/// `starts`, with the weights of one block of output channels.
#[inline(always)]
pub(super) fn sums<I: Lanes<N>, const N: usize, const PIXEL: usize, const P: usize>(
    isa: I,
    starts: impl Iterator<Item = usize>,
    run: usize,
    src: &[f32],
    weights: &[f32],
    bias: I::V,
) -> [I::V; P] {
    let mut sums = [bias; P];
    for (start, weights) in starts.zip(weights.chunks_exact(run * N)) {
        let inputs = &src[start..][..run + (P - 1) * PIXEL];
        for (x, w) in inputs.windows((P - 1) * PIXEL + 1).zip(weights.as_chunks::<N>().0) {
            let w = isa.load(w);
            for p in 0..P {
                sums[p] = isa.mul_add(w, isa.splat(x[p * PIXEL]), sums[p]);
            }
        }
    }
    sums
}

impl Finish {
    /// Finishes neighbouring pixels of one block of channels, from pixel `x` of row `y` on.
    // Plain loops: what is not inlined here would not be built for the processor.
    #[inline(always)]
    pub fn pixels<I: Lanes<N>, const N: usize, const P: usize>(
        &self,
        isa: I,
        (block, y, x): (usize, usize, usize),
        sums: [I::V; P],
        add: &[f32],
        dst: &mut [f32],
    ) {
        let mut sums = sums;
        if let Some(walk) = &self.add {
            let mut at = walk.at(block, y, x);
            for sum in &mut sums {
                if let Some(more) = add[at..].first_chunk::<N>() {
                    *sum = isa.add(*sum, isa.load(more));
                }
                at += walk.pixel;
            }
        }
        if self.relu {
            for sum in &mut sums {
                *sum = isa.max(*sum, isa.splat(0.0));
            }
        }
        let mut at = self.to.at(block, y, x);
        for sum in &sums {
            if let Some(to) = dst[at..].first_chunk_mut::<N>() {
                isa.store(*sum, to);
            }
            at += self.to.pixel;
        }
    }
}
