//! Random graphs verify, run, and survive the text form.
#![allow(clippy::unwrap_used, clippy::panic)]

use gradus_ir::testing::{Options, Rng, random_array, random_case};
use gradus_ir::{Array, DType, Dim, Graph, parse, reference, verify};

fn same(a: &[Array], b: &[Array]) -> bool {
    let bits = |x: &Array| x.data.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.shape == y.shape && x.dtype == y.dtype && bits(x) == bits(y))
}

fn check(seed: u64, options: &Options) -> Graph {
    let case = random_case(seed, options).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    verify(&case.graph).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{}", case.graph));
    let text = case.graph.to_string();
    let again = parse(&text).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
    verify(&again).unwrap();
    assert_eq!(again.to_string(), text, "seed {seed}");
    let out = reference::run(&case.graph, &case.inputs).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
    let out2 = reference::run(&again, &case.inputs).unwrap();
    assert!(same(&out, &out2), "seed {seed}\n{text}");
    for (k, a) in out.iter().enumerate() {
        assert!(a.data.iter().all(|x| x.is_finite()), "seed {seed}, output {k}: {:?}\n{text}", a.data);
    }
    assert_eq!(out[0].shape, Vec::<usize>::new());
    case.graph
}

#[test]
fn all_kinds() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let g = check(seed, &Options { steps: 30, ..Options::default() });
        let live = g.live();
        seen.extend(g.nodes().filter(|(id, _)| live[id.index()]).map(|(_, n)| n.op.name()));
    }
    for op in ["loop", "cond", "solve", "cholesky", "svd", "qr", "take", "scatter_add", "normal", "sort", "select", "lgamma"] {
        assert!(seen.contains(op), "{op} never occurs among {seen:?}");
    }
}

#[test]
fn smooth_and_symbolic() {
    for seed in 0..200 {
        check(seed, &Options { smooth: true, ..Options::default() });
        check(seed, &Options { symbolic: true, ..Options::default() });
    }
}

/// A symbolic graph runs at any sizes, and its shapes follow them.
#[test]
fn symbolic_sizes_follow_the_inputs() {
    let mut rng = Rng(11);
    for seed in 0..100 {
        let g = random_case(seed, &Options { symbolic: true, ..Options::default() }).unwrap().graph;
        let shapes: [&[usize]; 6] = [&[], &[5], &[2], &[2, 5], &[5, 5], &[5]];
        let inputs: Vec<Array> = shapes.iter().map(|s| random_array(&mut rng, DType::Real, s)).collect();
        for (o, a) in g.outputs.iter().zip(reference::run(&g, &inputs).unwrap()) {
            let known = |name: &str| match name {
                "n" => Some(Dim::Known(5)),
                "m" => Some(Dim::Known(2)),
                _ => None,
            };
            for (d, size) in g.shape(*o).dims().iter().zip(&a.shape) {
                assert_eq!(d.substitute(&known), Dim::from(*size), "seed {seed}\n{g}");
            }
            assert!(a.data.iter().all(|x| x.is_finite()), "seed {seed}");
        }
    }
}
