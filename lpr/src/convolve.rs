//! The networks' convolutions on x86-64, in place of tract's.
//!
//! tract reads, checks, optimises and runs the networks. Its own convolutions copy every input as
//! often as the kernel has weights, and multiply matrices made for more channels than ours have.
//! [`install`] looks for the convolutions that hang together from the network's input on, with
//! their sums and ReLUs, and puts one operation in their place; what it does not know stays
//! tract's, and so does everything on a processor without AVX2.

mod graph;
mod kernel;
mod lanes;
mod program;
#[cfg(test)]
mod tests;
mod winograd;

use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::optim::Optimizer;

use lanes::Isa;
use program::{Program, Size};

/// Puts the fastest convolutions this processor can run into a network that was not optimised yet.
pub(crate) fn install(model: TypedModel) -> TractResult<TypedModel> {
    match Isa::all().next() {
        Some(isa) => install_for(isa, model),
        None => Ok(model),
    }
}

fn install_for(isa: Isa, mut model: TypedModel) -> TractResult<TypedModel> {
    // The network's weights pass through operations of their own; what those give is known now.
    Optimizer::prop_consts().optimize(&mut model)?;
    let Some(chain) = graph::find(&model)? else { return Ok(model) };
    let outputs = chain.outputs.iter().map(|(_, tensor)| *tensor).collect();
    let op = Convolutions {
        shapes: chain.outputs.iter().map(|(_, tensor)| chain.sizes[*tensor]).collect(),
        program: Arc::new(Program::new(isa, &chain.sizes, &chain.sketches, outputs)),
    };
    let mut patch = TypedModelPatch::new("convolutions of our own");
    let input = patch.tap_model(&model, chain.input)?;
    let wires = patch.wire_node("convolutions", op, &[input])?;
    for ((outlet, _), wire) in chain.outputs.iter().zip(wires) {
        patch.shunt_outside(&model, *outlet, wire)?;
    }
    patch.apply(&mut model)?;
    Ok(model)
}

/// A chain of convolutions as one operation of tract's.
#[derive(Clone, Debug)]
struct Convolutions {
    program: Arc<Program>,
    shapes: Vec<Size>,
}

impl PartialEq for Convolutions {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.program, &other.program)
    }
}

impl Eq for Convolutions {}

impl Op for Convolutions {
    fn name(&self) -> StaticName {
        "Convolutions".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{:?}", self.program)])
    }

    op_as_typed_op!();
}

impl EvalOp for Convolutions {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let input = input.try_as_plain_ram()?;
        let outputs = self.program.run(input.as_slice::<f32>()?).context("an input of another size")?;
        let outputs = self.shapes.iter().zip(outputs).map(|([c, h, w], o)| Ok(Tensor::from_shape(&[1, *c, *h, *w], &o)?.into_tvalue()));
        outputs.collect()
    }
}

impl TypedOp for Convolutions {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.shapes.iter().map(|[c, h, w]| f32::fact([1, *c, *h, *w])).collect())
    }

    as_op!();
}
