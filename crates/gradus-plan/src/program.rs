//! Register programs of fused instructions: joining lanes, and few registers instead of many.

use crate::plan::{Lane, LaneOp, Out, Src};
use gradus_ir::BinaryOp;
use smallvec::SmallVec;

fn sources(l: &Lane) -> [Src; 3] {
    [l.a, l.b, l.c]
}

fn out_src(o: &Out) -> Src {
    match o {
        Out::Store { src, .. } | Out::Reduce { src, .. } => *src,
    }
}

/// Products used once, by a sum or a difference, become one lane with it.
pub(crate) fn contract(lanes: &mut Vec<Lane>, outs: &mut [Out]) {
    let mut uses = vec![0u32; lanes.len()];
    for s in lanes.iter().flat_map(sources).chain(outs.iter().map(out_src)) {
        if let Src::Reg(r) = s {
            uses[r as usize] += 1;
        }
    }
    let product = |lanes: &[Lane], s: Src| match s {
        Src::Reg(r) if uses[r as usize] == 1 && lanes[r as usize].op == LaneOp::Binary(BinaryOp::Mul) => Some(r as usize),
        _ => None,
    };
    let mut dead = vec![false; lanes.len()];
    for k in 0..lanes.len() {
        let l = lanes[k];
        let (op, p, rest) = match l.op {
            LaneOp::Binary(BinaryOp::Add) => match (product(lanes, l.a), product(lanes, l.b)) {
                (Some(p), _) => (LaneOp::MulAdd, p, l.b),
                (_, Some(p)) => (LaneOp::MulAdd, p, l.a),
                _ => continue,
            },
            LaneOp::Binary(BinaryOp::Sub) => match (product(lanes, l.a), product(lanes, l.b)) {
                (Some(p), _) => (LaneOp::MulSub, p, l.b),
                (_, Some(p)) => (LaneOp::SubMul, p, l.a),
                _ => continue,
            },
            _ => continue,
        };
        lanes[k] = Lane { op, dst: l.dst, a: lanes[p].a, b: lanes[p].b, c: rest };
        dead[p] = true;
    }
    // Renumber: lane index and register number are the same here.
    let mut number = vec![0u16; lanes.len()];
    let mut next = 0;
    for k in 0..lanes.len() {
        number[k] = next;
        if !dead[k] {
            next += 1;
        }
    }
    let fix = |s: &mut Src| {
        if let Src::Reg(r) = s {
            *r = number[*r as usize];
        }
    };
    let mut k = 0;
    lanes.retain(|_| {
        k += 1;
        !dead[k - 1]
    });
    for l in lanes.iter_mut() {
        l.dst = number[l.dst as usize];
        fix(&mut l.a);
        fix(&mut l.b);
        fix(&mut l.c);
    }
    for o in outs.iter_mut() {
        match o {
            Out::Store { src, .. } | Out::Reduce { src, .. } => fix(src),
        }
    }
}

/// Few registers instead of one per lane; a lane never writes a register that it reads. Returns how many.
pub(crate) fn assign_registers(lanes: &mut [Lane], outs: &mut [Out]) -> u16 {
    let mut last = vec![0usize; lanes.len()];
    for (k, l) in lanes.iter().enumerate() {
        last[k] = last[k].max(k);
        for s in sources(l) {
            if let Src::Reg(r) = s {
                last[r as usize] = k;
            }
        }
    }
    for o in outs.iter() {
        if let Src::Reg(r) = out_src(o) {
            last[r as usize] = usize::MAX;
        }
    }
    let mut place = vec![0u16; lanes.len()];
    let mut free: Vec<u16> = Vec::new();
    let mut total = 0;
    for k in 0..lanes.len() {
        place[k] = free.pop().unwrap_or_else(|| {
            total += 1;
            total - 1
        });
        let mut freed: SmallVec<[usize; 3]> = SmallVec::new();
        for s in sources(&lanes[k]) {
            if let Src::Reg(r) = s
                && last[r as usize] == k
                && !freed.contains(&(r as usize))
            {
                freed.push(r as usize);
            }
        }
        free.extend(freed.iter().map(|r| place[*r]));
        let fix = |s: &mut Src| {
            if let Src::Reg(r) = s {
                *r = place[*r as usize];
            }
        };
        let l = &mut lanes[k];
        fix(&mut l.a);
        fix(&mut l.b);
        fix(&mut l.c);
        l.dst = place[k];
    }
    for o in outs.iter_mut() {
        match o {
            Out::Store { src: Src::Reg(r), .. } | Out::Reduce { src: Src::Reg(r), .. } => *r = place[*r as usize],
            _ => {}
        }
    }
    total
}
