//! The plan of a whole graph: its inputs, its region, its outputs, then addresses.

use crate::plan::{Access, Block, Fused, Instr, Kind, Out, Output, Place, Plan, Scalar, Src};
use crate::planner::{Planner, Value};
use crate::sweep::Task;
use crate::region::{Lower, dims_of, store_pattern};
use crate::view::View;
use crate::{Options, PlanError, alloc, whole};
use gradus_ir::Graph;

/// The plan of a whole graph.
pub(crate) fn plan(graph: &Graph, options: Options) -> Result<Plan, PlanError> {
    let (whole, results) = whole::check(graph, options.precision)?;
    let mut planner = Planner::new(options, graph.params().len());
    let mut params = Vec::new();
    for (k, id) in graph.params().iter().enumerate() {
        let dims = dims_of(graph.ty(*id), graph.node(*id).origin)?;
        let place = Place { base: 1 + k as u32, counter: 0, offset: 0, stride: 0 };
        params.push(Value::View(View::dense(place, &dims)));
    }
    let lower = Lower::new(&mut planner, graph, params)?;
    let targets = vec![None; graph.outputs.len()];
    let (mut body, values) = lower.run(&targets)?;
    let mut outputs = Vec::new();
    for ((o, v), whole) in graph.outputs.iter().zip(values).zip(results) {
        let ty = graph.ty(*o).clone();
        let dims = dims_of(&ty, graph.node(*o).origin)?.to_vec();
        let value = match v {
            Value::Imm(c) => Scalar::Imm(c),
            Value::View(v) => {
                let mut place = v.place;
                if !v.is_dense() {
                    let out = View::dense(planner.buffer(v.count()), &v.dims);
                    let access = Access { place: v.place, pattern: v.pattern() };
                    let fused = Fused {
                        dims: dims.clone(),
                        count: v.count(),
                        inputs: vec![access],
                        program: Vec::new(),
                        registers: 0,
                        outs: vec![Out::Store {
                            src: Src::In(0),
                            access: Access { place: out.place, pattern: store_pattern(&out) },
                            direct: false,
                        }],
                        segment: 0,
                        rows: 0,
                        number: 0,
                    };
                    body.code.push(Instr { kind: Kind::Fused(fused), origin: graph.node(*o).origin, name: "copy" });
                    place = out.place;
                }
                Scalar::At(place)
            }
            Value::Tuple(_) => return Err(PlanError::Internal("an output is a tuple".into())),
        };
        outputs.push(Output { value, dims, ty, whole });
    }
    let constants: Vec<(u32, f64)> = planner.constants.iter().map(|(b, id)| (*id, f64::from_bits(*b))).collect();
    let layout = alloc::layout(&mut planner, &mut body, &mut outputs)?;
    let registers = max_registers(&body);
    let (local, parallel) = workers(&body);
    Ok(Plan {
        params: graph.params().iter().map(|p| graph.ty(*p).clone()).collect(),
        arena: layout.arena,
        constants: constants.iter().map(|(id, v)| (layout.offsets[*id as usize], *v)).collect(),
        literals: planner.literals,
        counters: planner.counters as usize,
        body,
        outputs,
        buffers: layout.buffers,
        registers,
        local: layout.private + local,
        parallel,
        precision: options.precision,
        whole,
    })
}

fn max_registers(b: &Block) -> usize {
    b.code
        .iter()
        .map(|i| match &i.kind {
            Kind::Fused(f) => f.registers as usize + f.inputs.len(),
            Kind::Sweep(s) => s
                .steps
                .iter()
                .map(|s| match &s.task {
                    Task::Fused { fused: f, .. } => f.registers as usize + f.inputs.len(),
                    _ => 0,
                })
                .max()
                .unwrap_or(0),
            Kind::Loop(l) => max_registers(&l.body).max(l.cond.as_ref().map_or(0, |(b, _)| max_registers(b))),
            Kind::Cond(c) => max_registers(&c.then).max(max_registers(&c.other)),
            _ => 0,
        })
        .max()
        .unwrap_or(0)
}

/// Elements of memory that each worker needs for itself, and whether there is work for more than one.
fn workers(b: &Block) -> (usize, bool) {
    let both = |a: (usize, bool), b: (usize, bool)| (a.0.max(b.0), a.1 | b.1);
    b.code.iter().fold((0, false), |all, i| {
        both(all, match &i.kind {
            Kind::Sweep(s) => (s.local, s.parallel),
            Kind::Loop(l) if l.chunk.is_some() => (workers(&l.body).0, true),
            Kind::Loop(l) => both(workers(&l.body), l.cond.as_ref().map_or((0, false), |(b, _)| workers(b))),
            Kind::Cond(c) => both(workers(&c.then), workers(&c.other)),
            Kind::Fused(_) | Kind::MatMul(_) | Kind::Call(_) => (0, false),
        })
    })
}
