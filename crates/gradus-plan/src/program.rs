//! Register programs of fused instructions: joining lanes, and few registers instead of many.

use crate::plan::{Lane, LaneOp, Out, Src};
use gradus_ir::{BinaryOp, UnaryOp};
use smallvec::{SmallVec, smallvec};

/// Up to so many elements one lane costs as much as another.
const SHORT: usize = 64;

fn sources(l: &Lane) -> [Src; 4] {
    [l.a, l.b, l.c, l.d]
}

fn out_src(o: &Out) -> Src {
    match o {
        Out::Store { src, .. } | Out::Reduce { src, .. } => *src,
    }
}

/// Results used once, by the next operation, become one lane with it where there is a lane for both. Blocks pass through the
/// first-level cache between lanes, so fewer lanes are less traffic; short programs gain nothing.
pub(crate) fn contract(lanes: &mut Vec<Lane>, outs: &mut [Out], count: usize) {
    let mut uses = vec![0u32; lanes.len()];
    for s in lanes.iter().flat_map(sources).chain(outs.iter().map(out_src)) {
        if let Src::Reg(r) = s {
            uses[r as usize] += 1;
        }
    }
    // The lane that makes an operand, if nothing else needs it.
    let single = |lanes: &[Lane], s: Src, op: LaneOp| match s {
        Src::Reg(r) if uses[r as usize] == 1 && lanes[r as usize].op == op => Some(r as usize),
        _ => None,
    };
    let (add, sub, mul) = (LaneOp::Binary(BinaryOp::Add), LaneOp::Binary(BinaryOp::Sub), LaneOp::Binary(BinaryOp::Mul));
    let mut dead = vec![false; lanes.len()];
    for k in 0..lanes.len() {
        let l = lanes[k];
        let none = Src::Imm(0.0);
        let lane = |op, a, b, c, d| Lane { op, dst: l.dst, a, b, c, d };
        let (p, q) = (single(lanes, l.a, mul), single(lanes, l.b, mul));
        let long = count > SHORT;
        let (new, gone): (Lane, SmallVec<[usize; 2]>) = if l.op == add || l.op == sub {
            let minus = l.op == sub;
            match (p, q) {
                (Some(p), Some(q)) if long && p != q => {
                    let op = if minus { LaneOp::MulSubMul } else { LaneOp::MulAddMul };
                    (lane(op, lanes[p].a, lanes[p].b, lanes[q].a, lanes[q].b), smallvec![p, q])
                }
                (Some(p), _) => {
                    let op = if minus { LaneOp::MulSub } else { LaneOp::MulAdd };
                    (lane(op, lanes[p].a, lanes[p].b, l.b, none), smallvec![p])
                }
                (_, Some(q)) => {
                    let op = if minus { LaneOp::SubMul } else { LaneOp::MulAdd };
                    (lane(op, lanes[q].a, lanes[q].b, l.a, none), smallvec![q])
                }
                _ => continue,
            }
        } else if l.op == mul && long {
            let made = |lanes: &[Lane], s: Src| {
                [(mul, LaneOp::MulMul), (add, LaneOp::AddThenMul), (sub, LaneOp::SubThenMul)]
                    .into_iter()
                    .find_map(|(op, both)| single(lanes, s, op).map(|p| (p, both)))
            };
            match (made(lanes, l.a), made(lanes, l.b)) {
                (Some((p, op)), _) => (lane(op, lanes[p].a, lanes[p].b, l.b, none), smallvec![p]),
                (_, Some((q, op))) => (lane(op, lanes[q].a, lanes[q].b, l.a, none), smallvec![q]),
                _ => continue,
            }
        } else if l.op == LaneOp::Binary(BinaryOp::Div) && long {
            let Some(p) = single(lanes, l.b, add) else { continue };
            let root = |s| single(lanes, s, LaneOp::Unary(UnaryOp::Sqrt));
            match (root(lanes[p].a), root(lanes[p].b)) {
                (Some(r), _) => (lane(LaneOp::DivRoot, l.a, lanes[r].a, lanes[p].b, none), smallvec![p, r]),
                (_, Some(r)) => (lane(LaneOp::DivRoot, l.a, lanes[r].a, lanes[p].a, none), smallvec![p, r]),
                _ => continue,
            }
        } else {
            continue;
        };
        lanes[k] = new;
        for p in gone {
            dead[p] = true;
        }
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
        fix(&mut l.d);
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
        let mut freed: SmallVec<[usize; 4]> = SmallVec::new();
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
        fix(&mut l.d);
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
