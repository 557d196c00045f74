//! Our convolutions against tract's own, on random numbers and on both networks.

use std::path::Path;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, KernelFormat, PaddingSpec, PoolSpec};
use tract_onnx::tract_core::ops::math::{add, max};
use tract_onnx::tract_core::ops::nn::DataFormat;

use super::lanes::Isa;
use super::{install_for, Convolutions};
use crate::models::parse;

/// Numbers from -1 to 1, the same every time.
struct Random(u64);

impl Random {
    fn tensor(&mut self, shape: &[usize]) -> Tensor {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
        Tensor::from_shape(shape, &numbers).unwrap()
    }
}

/// A network made by hand.
struct Net {
    model: TypedModel,
    random: Random,
    names: usize,
}

impl Net {
    fn new(channels: usize, height: usize, width: usize) -> (Self, OutletId) {
        let mut model = TypedModel::default();
        let input = model.add_source("input", f32::fact([1, channels, height, width])).unwrap();
        (Self { model, random: Random(7), names: 0 }, input)
    }

    fn wire(&mut self, op: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) -> OutletId {
        self.names += 1;
        self.model.wire_node(format!("n{}", self.names), op, inputs).unwrap()[0]
    }

    fn constant(&mut self, tensor: Tensor) -> OutletId {
        self.names += 1;
        self.model.add_const(format!("c{}", self.names), tensor).unwrap()
    }

    fn pool(&self, x: OutletId, cout: usize, kernel: [usize; 2], stride: [usize; 2], pad: [usize; 2]) -> PoolSpec {
        self.pool_between(x, cout, kernel, stride, [pad, pad])
    }

    fn pool_between(&self, x: OutletId, cout: usize, kernel: [usize; 2], stride: [usize; 2], [before, after]: [[usize; 2]; 2]) -> PoolSpec {
        let cin = self.model.outlet_fact(x).unwrap().shape.as_concrete().unwrap()[1];
        let padding = PaddingSpec::Explicit(before[..].into(), after[..].into());
        PoolSpec::new(DataFormat::NCHW, kernel[..].into(), padding, None, Some(stride[..].into()), cin, cout)
    }

    fn conv(&mut self, x: OutletId, cout: usize, kernel: [usize; 2], stride: [usize; 2], pad: [usize; 2]) -> OutletId {
        let pool = self.pool(x, cout, kernel, stride, pad);
        self.conv_of(x, pool)
    }

    fn conv_of(&mut self, x: OutletId, pool: PoolSpec) -> OutletId {
        let (cout, kernel) = (pool.output_channels, &pool.kernel_shape);
        let weights = self.random.tensor(&[cout, pool.input_channels, kernel[0], kernel[1]]);
        let bias = self.random.tensor(&[cout]);
        let (weights, bias) = (self.constant(weights), self.constant(bias));
        self.wire(Conv::new(pool, KernelFormat::OIHW, 1, None), &[x, weights, bias])
    }

    fn up(&mut self, x: OutletId, cout: usize, times: usize) -> OutletId {
        let pool = self.pool(x, cout, [times; 2], [times; 2], [0, 0]);
        let weights = self.random.tensor(&[cout, pool.input_channels, times, times]);
        let bias = self.random.tensor(&[cout]);
        let (weights, bias) = (self.constant(weights), self.constant(bias));
        self.wire(Deconv::new(pool, KernelFormat::OIHW, tvec![0, 0], 1), &[x, weights, bias])
    }

    fn relu(&mut self, x: OutletId) -> OutletId {
        let zero = self.constant(Tensor::zero::<f32>(&[1, 1, 1, 1]).unwrap());
        self.wire(max(), &[x, zero])
    }

    fn add(&mut self, a: OutletId, b: OutletId) -> OutletId {
        self.wire(add(), &[a, b])
    }

    /// Every kind of processor at hand gives what tract gives, and `left` operations stay tract's.
    fn check(mut self, outputs: &[OutletId], left: usize, what: &str) {
        self.model.select_output_outlets(outputs).unwrap();
        let fact = self.model.input_fact(0).unwrap().shape.as_concrete().unwrap().to_vec();
        let input = self.random.tensor(&fact);
        let wanted = run(self.model.clone(), &input);
        for isa in Isa::all() {
            let ours = install_for(isa, self.model.clone()).unwrap();
            let chains = ours.nodes.iter().filter(|n| n.op_is::<Convolutions>()).count();
            assert_eq!(chains, 1, "{what}: not taken over");
            let ours = ours.into_decluttered().unwrap();
            let others = |n: &&TypedNode| !n.op_is::<Convolutions>() && !n.inputs.is_empty();
            assert_eq!(ours.nodes.iter().filter(others).count(), left, "{what}: {ours}");
            same(&run(ours, &input), &wanted, &format!("{what} on {isa:?}"));
        }
    }
}

fn run(model: TypedModel, input: &Tensor) -> Vec<Tensor> {
    let plan = model.into_optimized().unwrap().into_runnable().unwrap();
    let mut answers = Vec::new();
    // Twice: the second time on tensors that were used before.
    for _ in 0..2 {
        answers = plan.run(tvec!(input.clone().into_tvalue())).unwrap().into_iter().map(TValue::into_tensor).collect();
    }
    answers
}

fn same(ours: &[Tensor], wanted: &[Tensor], what: &str) {
    assert_eq!(ours.len(), wanted.len(), "{what}");
    for (ours, wanted) in ours.iter().zip(wanted) {
        assert_eq!(ours.shape(), wanted.shape(), "{what}");
        let numbers = |t: &Tensor| t.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec();
        let (ours, wanted) = (numbers(ours), numbers(wanted));
        let scale = wanted.iter().fold(1e-3_f32, |m, x| m.max(x.abs()));
        for (i, (a, b)) in ours.iter().zip(&wanted).enumerate() {
            assert!((a - b).abs() <= 1e-4 * scale, "{what}: number {i} is {a}, tract says {b}");
        }
    }
}

#[test]
fn the_networks_shapes_come_out_as_tracts() {
    // Channels, height and width in; channels out, kernel, stride, padding.
    let shapes = [
        ([3, 384, 512], 8, [3, 3], [2, 2], [1, 1]),
        ([8, 192, 256], 16, [3, 3], [2, 2], [1, 1]),
        ([16, 96, 128], 32, [3, 3], [2, 2], [1, 1]),
        ([32, 48, 64], 48, [3, 3], [2, 2], [1, 1]),
        ([48, 24, 32], 48, [3, 3], [1, 1], [1, 1]),
        ([48, 24, 32], 64, [3, 3], [2, 2], [1, 1]),
        ([64, 12, 16], 64, [3, 3], [1, 1], [1, 1]),
        ([32, 48, 64], 32, [3, 3], [1, 1], [1, 1]),
        ([32, 48, 64], 10, [1, 1], [1, 1], [0, 0]),
        ([3, 48, 168], 16, [3, 3], [2, 2], [1, 1]),
        ([16, 24, 84], 16, [3, 3], [1, 1], [1, 1]),
        ([16, 24, 84], 48, [3, 3], [2, 2], [1, 1]),
        ([48, 12, 42], 48, [3, 3], [1, 1], [1, 1]),
        ([48, 12, 42], 80, [3, 3], [2, 2], [1, 1]),
        ([80, 6, 21], 80, [3, 3], [1, 1], [1, 1]),
        ([80, 6, 21], 128, [6, 1], [1, 1], [0, 0]),
        ([128, 1, 21], 128, [1, 3], [1, 1], [0, 1]),
        ([128, 1, 21], 77, [1, 1], [1, 1], [0, 0]),
    ];
    for ([c, h, w], cout, kernel, stride, pad) in shapes {
        let what = format!("{c}x{h}x{w} to {cout}, {kernel:?} by {stride:?}");
        // Alone, so with the input channel by channel; and behind another, so in blocks.
        let (mut net, x) = Net::new(c, h, w);
        let y = net.conv(x, cout, kernel, stride, pad);
        net.check(&[y], 0, &what);
        let (mut net, x) = Net::new(2, h, w);
        let x = net.conv(x, c, [1, 1], [1, 1], [0, 0]);
        let y = net.conv(x, cout, kernel, stride, pad);
        let y = net.relu(y);
        net.check(&[y], 0, &format!("{what}, behind another"));
    }
    for ([c, h, w], cout) in [([64, 12, 16], 48), ([48, 24, 32], 32)] {
        let (mut net, x) = Net::new(c, h, w);
        let y = net.up(x, cout, 2);
        net.check(&[y], 0, &format!("{c}x{h}x{w} up to {cout}"));
    }
}

#[test]
fn odd_shapes_come_out_as_tracts() {
    for (h, w) in [(1, 1), (1, 2), (2, 3), (3, 5), (5, 8), (7, 11), (4, 17), (9, 23), (3, 31), (2, 33)] {
        for (cin, cout) in [(1, 1), (2, 5), (3, 8), (8, 9), (9, 3), (17, 16), (5, 33)] {
            for (kernel, stride, pad) in [
                ([3, 3], [1, 1], [1, 1]),
                ([3, 3], [2, 2], [1, 1]),
                ([1, 1], [1, 1], [0, 0]),
                ([1, 3], [1, 2], [0, 1]),
                ([3, 1], [3, 1], [1, 0]),
                ([2, 2], [2, 1], [1, 1]),
                ([5, 4], [1, 1], [2, 2]),
            ] {
                let what = format!("{cin}x{h}x{w} to {cout}, {kernel:?} by {stride:?}");
                let (mut net, x) = Net::new(cin, h, w);
                let y = net.conv(x, cout, kernel, stride, pad);
                let y = net.relu(y);
                let z = net.conv(y, cout, [3, 3], [1, 1], [1, 1]);
                let z = net.add(y, z);
                let z = net.relu(z);
                net.check(&[z, y], 0, &what);
            }
        }
        let (mut net, x) = Net::new(3, h, w);
        let y = net.conv(x, 12, [1, 1], [1, 1], [0, 0]);
        let y = net.up(y, 7, 3);
        let z = net.conv(y, 7, [1, 1], [1, 1], [0, 0]);
        let z = net.add(z, y);
        net.check(&[z], 0, &format!("{h}x{w} up"));
    }
}

/// More zeros on one side than on the other.
#[test]
fn uneven_borders_come_out_as_tracts() {
    for (h, w) in [(4, 7), (5, 8), (12, 16)] {
        for between in [[[1, 1], [2, 2]], [[1, 1], [0, 0]], [[1, 1], [3, 0]], [[0, 2], [1, 1]]] {
            for stride in [[1, 1], [2, 2]] {
                let (mut net, x) = Net::new(3, h, w);
                let x = net.conv(x, 16, [1, 1], [1, 1], [0, 0]);
                let pool = net.pool_between(x, 20, [3, 3], stride, between);
                let y = net.conv_of(x, pool);
                net.check(&[y], 0, &format!("{h}x{w}, {between:?} around"));
            }
        }
    }
}

/// What the chain cannot do stays tract's, and gets what it needs.
#[test]
fn the_rest_stays_tracts() {
    let (mut net, x) = Net::new(3, 9, 10);
    let a = net.conv(x, 4, [3, 3], [1, 1], [1, 1]);
    // The sums go to two readers: their ReLU is none of the convolution's.
    let b = net.relu(a);
    let c = net.conv(a, 4, [3, 3], [1, 1], [1, 1]);
    let d = net.add(b, c);
    net.check(&[d], 2, "two readers");

    let (mut net, x) = Net::new(3, 9, 13);
    let a = net.conv(x, 4, [3, 3], [1, 1], [1, 1]);
    let b = net.conv(a, 4, [3, 3], [3, 3], [0, 0]);
    net.check(&[b], 1, "a stride of 3");
}

fn network(file: &str, shape: [usize; 4]) -> TypedModel {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(file);
    parse(&std::fs::read(path).unwrap(), shape).unwrap()
}

fn networks() -> [(&'static str, TypedModel, [usize; 4]); 2] {
    [("detector.onnx", [1, 3, 384, 512]), ("recogniser.onnx", [1, 3, 48, 168])].map(|(file, shape)| (file, network(file, shape), shape))
}

#[test]
fn both_networks_come_out_as_tracts() {
    for (file, model, shape) in networks() {
        let raw = Random(11).tensor(&shape);
        let raw = raw.try_as_plain_ram().unwrap();
        let pixels: Vec<f32> = raw.as_slice::<f32>().unwrap().iter().map(|x| (x + 1.0) * 127.5).collect();
        let input = Tensor::from_shape(&shape, &pixels).unwrap();
        let wanted = run(model.clone(), &input);
        for isa in Isa::all() {
            let ours = install_for(isa, model.clone()).unwrap();
            let ours = ours.into_decluttered().unwrap();
            assert_eq!(ours.nodes.iter().filter(|n| n.op_is::<Convolutions>()).count(), 1, "{file}");
            let left = ours.nodes.iter().filter(|n| n.op_is::<Conv>() || n.op_is::<Deconv>()).count();
            assert_eq!(left, 0, "{file}: {ours}");
            same(&run(ours, &input), &wanted, &format!("{file} on {isa:?}"));
        }
    }
}

#[test]
#[ignore = "prints the networks' times, tract's own convolutions beside ours"]
fn times() {
    for (file, model, shape) in networks() {
        let plan = model.clone().into_optimized().unwrap().into_runnable().unwrap();
        let input = Random(11).tensor(&shape);
        let mut plans = vec![("tract".to_owned(), plan)];
        for isa in Isa::all() {
            let plan = install_for(isa, model.clone()).unwrap().into_optimized().unwrap().into_runnable().unwrap();
            plans.push((format!("{isa:?}"), plan));
        }
        for (name, plan) in plans {
            let mut state = plan.spawn().unwrap();
            let mut times: Vec<f64> = (0..200)
                .map(|_| {
                    let start = std::time::Instant::now();
                    state.run(tvec!(input.clone().into_tvalue())).unwrap();
                    start.elapsed().as_secs_f64() * 1e3
                })
                .collect();
            times.sort_by(f64::total_cmp);
            eprintln!("{file} {name}: p50 {:.3} ms, least {:.3} ms", times[100], times[0]);
        }
    }
}
