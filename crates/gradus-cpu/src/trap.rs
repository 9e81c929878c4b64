//! The search for the first number that is not finite.

use crate::control::Fault;
use crate::executor::Machine;
use crate::real::Real;
use gradus_plan::{Access, Call, Func, Fused, Instr, Kind, Out, Src};

/// What a value is made of.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Class {
    Finite,
    Infinite,
    Nan,
}

fn class<T: Real>(x: T) -> Class {
    if x.is_nan() {
        Class::Nan
    } else if x.is_finite() {
        Class::Finite
    } else {
        Class::Infinite
    }
}

/// The worst of some values.
fn worst<T: Real>(x: impl Iterator<Item = T>) -> Class {
    x.map(class).fold(Class::Finite, |a, b| if b > a { b } else { a })
}

impl<T: Real> Machine<'_, T> {
    /// Looks at the results of an instruction that has just run, operands still intact.
    ///
    /// SAFETY: as for running it.
    pub(crate) unsafe fn inspect(&mut self, i: &Instr) -> Result<(), Fault> {
        let mut found: Option<(T, Class)> = None;
        // An infinity does not end the search in this instruction: a NaN may follow.
        let mut see = |value: T, operands: Class| {
            if class(value) > operands && found.is_none_or(|(f, _)| class(value) > class(f)) {
                found = Some((value, operands));
            }
        };
        // SAFETY: the places of the instruction, inside their lengths.
        unsafe {
            match &i.kind {
                Kind::Fused(f) => self.inspect_fused(f, &mut see),
                Kind::MatMul(m) => {
                    let all = |x: &gradus_plan::Matrix| {
                        let p = self.at(x.place).cast_const();
                        let batch = if x.batch_stride == 0 { 1 } else { m.batch };
                        let mut w = Class::Finite;
                        for b in 0..batch {
                            for r in 0..x.rows {
                                let row = b as isize * x.batch_stride + r as isize * x.row_stride;
                                let c = worst((0..x.cols).map(|c| *p.offset(row + c as isize * x.col_stride)));
                                w = if c > w { c } else { w };
                            }
                        }
                        w
                    };
                    let (a, b) = (all(&m.a), all(&m.b));
                    let operands = if a > b { a } else { b };
                    for v in self.slice(m.out, m.batch * m.a.rows * m.b.cols) {
                        see(*v, operands);
                    }
                }
                // The words of keys are no numbers.
                Kind::Call(Call { func: Func::Key | Func::KeyFold, .. }) => {}
                Kind::Call(c) => {
                    let operands =
                        worst(c.inputs.iter().flat_map(|t| self.slice(t.place, t.count()).iter().copied()));
                    for t in &c.outputs {
                        for v in self.slice(t.place, t.count()) {
                            see(*v, operands);
                        }
                    }
                }
                // Sweeps are not in plans made for this.
                Kind::Sweep(_) | Kind::Loop(_) | Kind::Cond(_) => {}
            }
        }
        let Some((value, operands)) = found else { return Ok(()) };
        let steps = self.loops.iter().map(|c| self.counters[*c as usize] as u64).collect();
        let fault = Fault::NonFinite { origin: i.origin, op: i.name, value: value.wide(), steps };
        if value.is_nan() {
            // A NaN made of an infinity is that one's fault.
            return Err(match (operands, self.infinity.take()) {
                (Class::Infinite, Some(first)) => first,
                _ => fault,
            });
        }
        if self.infinity.is_none() {
            self.infinity = Some(fault);
        }
        Ok(())
    }

    unsafe fn inspect_fused(&self, f: &Fused, see: &mut dyn FnMut(T, Class)) {
        // Copies make nothing.
        if f.program.is_empty() && !f.outs.iter().any(|o| matches!(o, Out::Reduce { .. })) {
            return;
        }
        // SAFETY: indices inside the iteration space.
        unsafe {
            let element = |a: &Access, i: usize| *self.at(a.place).offset(a.pattern.offset(i));
            let constants = worst(f.program.iter().flat_map(|l| [l.a, l.b, l.c, l.d]).filter_map(|s| match s {
                Src::Imm(v) => Some(T::constant(v)),
                _ => None,
            }));
            let operands = |i: usize| {
                let w = worst(f.inputs.iter().map(|a| element(a, i)));
                if w > constants { w } else { constants }
            };
            for o in &f.outs {
                match o {
                    Out::Store { access, .. } => {
                        for i in 0..f.count {
                            let v = element(access, i);
                            if !v.is_finite() {
                                see(v, operands(i));
                            }
                        }
                    }
                    Out::Reduce { place, .. } => {
                        for (r, v) in self.slice(*place, f.rows).iter().enumerate() {
                            if !v.is_finite() && f.segment > 0 {
                                let mut w = Class::Finite;
                                for i in r * f.segment..(r + 1) * f.segment {
                                    let c = operands(i);
                                    w = if c > w { c } else { w };
                                }
                                see(*v, w);
                            }
                        }
                    }
                }
            }
        }
    }
}
