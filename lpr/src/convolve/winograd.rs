//! 3×3 convolutions with fewer multiplications (Winograd's F(2×2, 3×3)).
//!
//! Four output pixels are made at once from 4×4 inputs: both the inputs and the weights are turned
//! into 16 sums each, which multiply one by one (16 multiplications instead of 36), and the
//! products are turned into the four pixels. All the numbers of the turns are 0, ±1 and ±½, so
//! that next to no accuracy is lost.

use super::kernel::{sums, tile, Aligned, Finish, Layout};
use super::lanes::{Job, Lanes};

/// Channels of a block; no other layout is known here.
const N: usize = 16;
/// Products of a tile.
const PRODUCTS: usize = 16;

/// One 3×3 convolution with stride 1 between tensors in blocks of 16 channels.
#[derive(Clone, Debug)]
pub(super) struct Winograd {
    /// Output pixels.
    pub height: usize,
    pub width: usize,
    /// Of the input: its blocks of channels, and numbers to the first one that is used, from one
    /// block to the next and from one row to the next.
    pub blocks: usize,
    pub first: usize,
    pub plane: usize,
    pub row: usize,
    /// For each block of output channels, product and input channel: one weight for each lane.
    pub weights: Aligned,
    pub bias: Vec<f32>,
    pub finish: Finish,
}

impl Winograd {
    /// Zeros the input needs above, left, below and right for an output of `height` and `width`:
    /// whole tiles are read.
    pub fn border(src: &Layout, [height, width]: [usize; 2]) -> [usize; 4] {
        let after = |output: usize, input: usize| (2 * output.div_ceil(2) + 1).saturating_sub(input);
        [1, 1, after(height, src.height), after(width, src.width)]
    }

    /// Numbers a run needs beside its tensors.
    pub fn scratch(&self) -> usize {
        PRODUCTS * (sums_stride(MOST) + inputs_stride(self.blocks, MOST))
    }

    fn tiles(&self) -> [usize; 2] {
        [self.height.div_ceil(2), self.width.div_ceil(2)]
    }
}

/// Tiles that are made together at most.
const MOST: usize = 16;

// From one product's numbers to the next one's: not a power of two, or they would all want the
// same lines of the cache.
const fn sums_stride(tiles: usize) -> usize {
    tiles * N + N
}

const fn inputs_stride(blocks: usize, tiles: usize) -> usize {
    blocks * tiles * N + N
}

/// What the 3×3 weights of one pair of channels become, column by column.
pub(super) fn weights(w: [[f32; 3]; 3]) -> [f32; PRODUCTS] {
    let turn = |[a, b, c]: [f64; 3]| [a, (a + b + c) / 2.0, (a - b + c) / 2.0, c];
    let w = w.map(|row| turn(row.map(f64::from)));
    let mut products = [0.0; PRODUCTS];
    for x in 0..4 {
        for (y, p) in turn([w[0][x], w[1][x], w[2][x]]).into_iter().enumerate() {
            products[x * 4 + y] = p as f32;
        }
    }
    products
}

/// One run: from where, what to add, to where.
pub(super) struct WinogradPass<'a> {
    pub conv: &'a Winograd,
    pub src: &'a [f32],
    pub add: &'a [f32],
    pub dst: &'a mut [f32],
    pub scratch: &'a mut [f32],
}

impl Job for WinogradPass<'_> {
    #[inline(always)]
    fn run<I: Lanes<16> + Lanes<8>>(self, isa: I) {
        let [down, across] = self.conv.tiles();
        match tile(down * across, <I as Lanes<N>>::SUMS) {
            16 => convolve::<I, 16>(isa, self),
            14 => convolve::<I, 14>(isa, self),
            11 => convolve::<I, 11>(isa, self),
            7 => convolve::<I, 7>(isa, self),
            6 => convolve::<I, 6>(isa, self),
            4 => convolve::<I, 4>(isa, self),
            2 => convolve::<I, 2>(isa, self),
            _ => convolve::<I, 1>(isa, self),
        }
    }
}

#[inline(always)]
fn convolve<I: Lanes<N>, const P: usize>(isa: I, pass: WinogradPass<'_>) {
    if P > I::SUMS {
        return; // never chosen; spares its code
    }
    let WinogradPass { conv, src, add, dst, scratch } = pass;
    let [down, across] = conv.tiles();
    let count = down * across;
    let (per_sum, per_product) = (sums_stride(P), inputs_stride(conv.blocks, P));
    let (products, scratch) = scratch.split_at_mut(PRODUCTS * per_sum);
    let inputs = &mut scratch[..PRODUCTS * per_product];
    for group in 0..count.div_ceil(P) {
        // The last group ends with the last tile; what it does again comes out the same.
        let from = (group * P).min(count - P);
        for p in 0..P {
            let (y, x) = ((from + p) / across, (from + p) % across);
            for block in 0..conv.blocks {
                let at = conv.first + block * conv.plane + 2 * y * conv.row + 2 * x * N;
                turn_inputs(isa, &src[at..], conv.row, &mut inputs[(block * P + p) * N..], per_product);
            }
        }
        let weights = conv.weights.get().chunks_exact(PRODUCTS * conv.blocks * N * N);
        for (block, (weights, bias)) in weights.zip(conv.bias.as_chunks::<N>().0).enumerate() {
            let of_products = weights.chunks_exact(conv.blocks * N * N).zip(inputs.chunks_exact(per_product));
            for ((weights, inputs), to) in of_products.zip(products.chunks_exact_mut(per_sum)) {
                let sums = sums::<I, N, N, P>(isa, (0..conv.blocks).map(|b| b * P * N), N, inputs, weights, isa.splat(0.0));
                let (to, _) = to.as_chunks_mut::<N>();
                for (sum, to) in sums.iter().zip(to) {
                    isa.store(*sum, to);
                }
            }
            let bias = isa.load(bias);
            for p in 0..P {
                let (y, x) = ((from + p) / across, (from + p) % across);
                let pixels = turn_products(isa, &products[p * N..], per_sum);
                for (dy, [left, right]) in pixels.into_iter().enumerate() {
                    let (y, x) = (2 * y + dy, 2 * x);
                    if y >= conv.height {
                        continue;
                    }
                    if x + 1 < conv.width {
                        conv.finish.pixels(isa, (block, y, x), [isa.add(left, bias), isa.add(right, bias)], add, dst);
                    } else {
                        conv.finish.pixels(isa, (block, y, x), [isa.add(left, bias)], add, dst);
                    }
                }
            }
        }
    }
}

/// The numbers of one pixel that begin at `at`.
#[inline(always)]
fn pixel<I: Lanes<N>>(isa: I, from: &[f32], at: usize) -> I::V {
    match from[at..].first_chunk::<N>() {
        Some(numbers) => isa.load(numbers),
        None => isa.splat(0.0),
    }
}

/// Four inputs of a row or column as the sums that are multiplied.
#[inline(always)]
fn turn<I: Lanes<N>>(isa: I, [a, b, c, d]: [I::V; 4]) -> [I::V; 4] {
    [isa.sub(a, c), isa.add(b, c), isa.sub(c, b), isa.sub(b, d)]
}

/// Four products of a row or column as two outputs.
#[inline(always)]
fn turn_back<I: Lanes<N>>(isa: I, [a, b, c, d]: [I::V; 4]) -> [I::V; 2] {
    [isa.add(isa.add(a, b), c), isa.sub(isa.sub(b, c), d)]
}

/// Four that lie `step` apart.
#[inline(always)]
fn four<I: Lanes<N>>(isa: I, from: &[f32], step: usize) -> [I::V; 4] {
    [pixel(isa, from, 0), pixel(isa, from, step), pixel(isa, from, 2 * step), pixel(isa, from, 3 * step)]
}

/// The sums of a tile's 4×4 inputs, column by column; `to` takes one every `step` numbers.
#[inline(always)]
fn turn_inputs<I: Lanes<N>>(isa: I, src: &[f32], row: usize, to: &mut [f32], step: usize) {
    let [a0, a1, a2, a3] = turn(isa, four(isa, src, N));
    let [b0, b1, b2, b3] = turn(isa, four(isa, &src[row..], N));
    let [c0, c1, c2, c3] = turn(isa, four(isa, &src[2 * row..], N));
    let [d0, d1, d2, d3] = turn(isa, four(isa, &src[3 * row..], N));
    let mut at = 0;
    for column in [[a0, b0, c0, d0], [a1, b1, c1, d1], [a2, b2, c2, d2], [a3, b3, c3, d3]] {
        for v in turn(isa, column) {
            if let Some(to) = to[at..].first_chunk_mut::<N>() {
                isa.store(v, to);
            }
            at += step;
        }
    }
}

/// The two rows of two pixels of a tile's products, of which one comes every `step` numbers.
#[inline(always)]
fn turn_products<I: Lanes<N>>(isa: I, from: &[f32], step: usize) -> [[I::V; 2]; 2] {
    let [a0, a1] = turn_back(isa, four(isa, from, step));
    let [b0, b1] = turn_back(isa, four(isa, &from[4 * step..], step));
    let [c0, c1] = turn_back(isa, four(isa, &from[8 * step..], step));
    let [d0, d1] = turn_back(isa, four(isa, &from[12 * step..], step));
    [turn_back(isa, [a0, b0, c0, d0]), turn_back(isa, [a1, b1, c1, d1])]
}
