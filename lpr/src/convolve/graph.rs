//! Which part of a network the chain of convolutions can take over.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, KernelFormat, PoolSpec};
use tract_onnx::tract_core::ops::math::{Add, Max};
use tract_onnx::tract_core::ops::nn::DataFormat;

use super::program::{Size, Sketch};

/// A part of a network that one chain can stand for: all it needs comes from the input, and it
/// gives what the rest of the network takes from it.
pub(super) struct Chain {
    pub input: OutletId,
    /// The tensors' sizes; the first is the input's.
    pub sizes: Vec<Size>,
    pub sketches: Vec<Sketch>,
    /// What the rest of the network takes, and in which tensor it stands.
    pub outputs: Vec<(OutletId, usize)>,
}

/// The largest such part from the network's input on; `None` if its first operation is no
/// convolution of ours.
pub(super) fn find(model: &TypedModel) -> TractResult<Option<Chain>> {
    let &[input] = model.input_outlets()? else { return Ok(None) };
    let Some(size) = size(model, input)? else { return Ok(None) };
    let mut search = Search { model, tensors: BTreeMap::from([(input, 0)]), nodes: BTreeSet::new(), sizes: vec![size], sketches: vec![] };
    for node in model.eval_order()? {
        if search.take(model.node(node))? {
            search.nodes.insert(node);
        }
    }
    let Search { tensors, nodes, sizes, sketches, .. } = search;
    let wanted_outside = |outlet: &OutletId| {
        model.output_outlets().is_ok_and(|o| o.contains(outlet))
            || model.outlet_successors(*outlet).iter().any(|to| !nodes.contains(&to.node))
    };
    let outputs: Vec<_> = tensors.into_iter().filter(|(outlet, _)| *outlet != input && wanted_outside(outlet)).collect();
    Ok((!sketches.is_empty()).then_some(Chain { input, sizes, sketches, outputs }))
}

struct Search<'a> {
    model: &'a TypedModel,
    /// What is known so far, and in which tensor it stands.
    tensors: BTreeMap<OutletId, usize>,
    nodes: BTreeSet<usize>,
    sizes: Vec<Size>,
    sketches: Vec<Sketch>,
}

impl Search<'_> {
    /// Takes an operation over, if all it needs is known and the chain can do it.
    fn take(&mut self, node: &TypedNode) -> TractResult<bool> {
        if let Some(conv) = node.op_as::<Conv>() {
            let plain = conv.group == 1 && conv.q_params.is_none() && conv.kernel_fmt == KernelFormat::OIHW;
            return if plain { self.convolution(node, &conv.pool_spec, false) } else { Ok(false) };
        }
        if let Some(deconv) = node.op_as::<Deconv>() {
            let plain = deconv.group == 1 && deconv.kernel_format == KernelFormat::OIHW && deconv.adjustments.iter().all(|a| *a == 0);
            return if plain { self.convolution(node, &deconv.pool_spec, true) } else { Ok(false) };
        }
        match node.op_as::<TypedBinOp>() {
            Some(op) if op.0.is::<Add>() => Ok(self.addition(node)),
            Some(op) if op.0.is::<Max>() => self.relu(node),
            _ => Ok(false),
        }
    }

    fn convolution(&mut self, node: &TypedNode, pool: &PoolSpec, up: bool) -> TractResult<bool> {
        let &[x, kernel, bias] = &*node.inputs else { return Ok(false) };
        let (Some(&src), Some(dst)) = (self.tensors.get(&x), size(self.model, node.id.into())?) else { return Ok(false) };
        let (Some(kernel), Some(bias)) = (constant(self.model, kernel)?, constant(self.model, bias)?) else { return Ok(false) };
        let [channels, height, width] = self.sizes[src];
        let (&[rows, cols], &[down, right]) = (&*pool.kernel_shape, &*pool.strides()) else { return Ok(false) };
        if pool.data_format != DataFormat::NCHW
            || pool.dilations().iter().any(|d| *d != 1)
            || kernel.shape() != [dst[0], channels, rows, cols]
            || ![1, dst[0]].contains(&bias.len())
        {
            return Ok(false);
        }
        let padding = pool.computed_padding(&[height, width]);
        let pad = if up { [0, 0] } else { [padding[0].pad_before, padding[1].pad_before] };
        let known = if up { [down, right] == [rows, cols] && dst[1..] == [height * rows, width * cols] } else { right <= 2 };
        if !known {
            return Ok(false);
        }
        let mut bias = bias.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
        if bias.len() == 1 {
            bias = vec![bias[0]; dst[0]];
        }
        let weights = kernel.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
        let tensor = self.sizes.len();
        self.sizes.push(dst);
        self.sketches.push(Sketch {
            src,
            dst: tensor,
            add: None,
            relu: false,
            kernel: [rows, cols],
            stride: [down, right],
            pad,
            weights,
            bias,
            up,
        });
        self.tensors.insert(node.id.into(), tensor);
        Ok(true)
    }

    /// The convolution that made a tensor, if nothing was done to its sums yet and nobody else
    /// sees them.
    fn open(&self, outlet: OutletId) -> Option<usize> {
        let tensor = *self.tensors.get(&outlet)?;
        let alone = self.model.outlet_successors(outlet).len() == 1 && !self.model.output_outlets().ok()?.contains(&outlet);
        self.sketches.iter().position(|s| alone && s.dst == tensor && !s.relu)
    }

    /// A sum of a convolution and another tensor becomes part of the convolution.
    fn addition(&mut self, node: &TypedNode) -> bool {
        let &[a, b] = &*node.inputs else { return false };
        let (Some(&ta), Some(&tb)) = (self.tensors.get(&a), self.tensors.get(&b)) else { return false };
        if ta == tb || self.sizes[ta] != self.sizes[tb] {
            return false;
        }
        for (own, other) in [(b, ta), (a, tb)] {
            // The input lies otherwise than what convolutions make.
            if let Some(at) = self.open(own).filter(|at| self.sketches[*at].add.is_none() && other != 0) {
                // It runs once the other tensor is there, which is now.
                let mut sketch = self.sketches.remove(at);
                sketch.add = Some(other);
                self.tensors.remove(&own);
                self.tensors.insert(node.id.into(), sketch.dst);
                self.sketches.push(sketch);
                return true;
            }
        }
        false
    }

    /// A maximum with zero becomes part of the convolution.
    fn relu(&mut self, node: &TypedNode) -> TractResult<bool> {
        let &[a, b] = &*node.inputs else { return Ok(false) };
        for (own, zero) in [(a, b), (b, a)] {
            let Some(zero) = constant(self.model, zero)? else { continue };
            if let Some(at) =
                self.open(own).filter(|_| zero.try_as_plain_ram().is_ok_and(|z| z.as_slice::<f32>().is_ok_and(|z| z == [0.0])))
            {
                self.sketches[at].relu = true;
                self.tensors.remove(&own);
                self.tensors.insert(node.id.into(), self.sketches[at].dst);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Channels, height and width of one picture of numbers; `None` for any other tensor.
fn size(model: &TypedModel, outlet: OutletId) -> TractResult<Option<Size>> {
    let fact = model.outlet_fact(outlet)?;
    Ok(match fact.shape.as_concrete() {
        Some(&[1, c, h, w]) if fact.datum_type == f32::datum_type() && c * h * w > 0 => Some([c, h, w]),
        _ => None,
    })
}

/// A constant of 32-bit numbers.
fn constant(model: &TypedModel, outlet: OutletId) -> TractResult<Option<Arc<Tensor>>> {
    let konst = model.outlet_fact(outlet)?.konst.clone();
    Ok(konst.filter(|t| t.datum_type() == f32::datum_type()))
}
