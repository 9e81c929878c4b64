//! Reductions and products of a few numbers, in the order of the executor's kernels.

use crate::emit::Emit;
use crate::lanes::Val;
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use gradus_ir::ReduceOp;
use gradus_plan::{MatMul, Matrix, Place};

impl Emit<'_, '_> {
    pub fn combine(&mut self, op: ReduceOp, x: Value, y: Value) -> Option<Value> {
        Some(match op {
            ReduceOp::Sum => self.b.ins().fadd(x, y),
            ReduceOp::Prod => self.b.ins().fmul(x, y),
            ReduceOp::Max => self.extreme(FloatCC::GreaterThan, x, y),
            ReduceOp::Min => self.extreme(FloatCC::LessThan, x, y),
            ReduceOp::LogSumExp => return None,
        })
    }

    fn maybe(&mut self, op: ReduceOp, x: Option<Value>, y: Option<Value>) -> Option<Value> {
        match (x, y) {
            (Some(x), Some(y)) => self.combine(op, x, y),
            (x, y) => x.or(y),
        }
    }

    /// Eight running values, joined by pairs. Those that nothing was added to drop out: they hold the identity of the
    /// operation, which changes nothing but the sign of a zero that is a sum.
    pub fn reduction(&mut self, op: ReduceOp, x: &[Value]) -> Option<Value> {
        let mut lanes: [Option<Value>; 8] = [None; 8];
        for (k, v) in x.iter().enumerate() {
            lanes[k % 8] = self.maybe(op, lanes[k % 8], Some(*v));
        }
        let [a, b, c, d, e, f, g, h] = lanes;
        let (p, q) = (self.maybe(op, a, e), self.maybe(op, c, g));
        let (r, s) = (self.maybe(op, b, f), self.maybe(op, d, h));
        let (left, right) = (self.maybe(op, p, q), self.maybe(op, r, s));
        let all = self.maybe(op, left, right)?;
        if op == ReduceOp::Sum { Some(self.plus_zero(all)) } else { Some(all) }
    }

    /// What a sum that began with zero is.
    pub fn plus_zero(&mut self, x: Value) -> Value {
        let zero = self.number(0.0);
        self.b.ins().fadd(zero, x)
    }

    fn entry(&mut self, m: &Matrix, batch: usize, r: usize, c: usize) -> Value {
        let at = batch as isize * m.batch_stride + r as isize * m.row_stride + c as isize * m.col_stride;
        let v = self.read(&m.place, at);
        self.float(v)
    }

    fn dot(&mut self, x: &[Value], y: &[Value]) -> Value {
        let products: Vec<Value> = x.iter().zip(y).map(|(x, y)| self.b.ins().fmul(*x, *y)).collect();
        let whole = products.len() / 8 * 8;
        let (head, rest) = products.split_at(whole);
        let mut sum = match self.reduction(ReduceOp::Sum, head) {
            Some(s) => s,
            None => self.number(0.0),
        };
        for p in rest {
            sum = self.b.ins().fadd(sum, *p);
        }
        sum
    }

    /// `sum_l x[l] column_l`: eight columns at a time, then one by one.
    fn columns(&mut self, columns: &[Vec<Value>], x: &[Value], out: &mut Vec<Value>) {
        let rows = columns.first().map_or(0, Vec::len);
        for r in 0..rows {
            let products: Vec<Value> = columns.iter().zip(x).map(|(c, x)| self.b.ins().fmul(c[r], *x)).collect();
            let mut y = self.number(0.0);
            let mut eight = products.chunks_exact(8);
            for p in &mut eight {
                let four = |e: &mut Self, p: &[Value]| {
                    let (a, b) = (e.b.ins().fadd(p[0], p[1]), e.b.ins().fadd(p[2], p[3]));
                    e.b.ins().fadd(a, b)
                };
                let (a, b) = (four(self, &p[..4]), four(self, &p[4..]));
                let s = self.b.ins().fadd(a, b);
                y = self.b.ins().fadd(y, s);
            }
            for p in eight.remainder() {
                y = self.b.ins().fadd(y, *p);
            }
            out.push(y);
        }
    }

    pub fn matmul(&mut self, m: &MatMul) -> Option<()> {
        let (rows, inner, cols) = (m.a.rows, m.a.cols, m.b.cols);
        let mut out = Vec::with_capacity(m.batch * rows * cols);
        for k in 0..m.batch {
            let a: Vec<Vec<Value>> =
                (0..rows).map(|r| (0..inner).map(|l| self.entry(&m.a, k, r, l)).collect()).collect();
            // By columns.
            let b: Vec<Vec<Value>> =
                (0..cols).map(|c| (0..inner).map(|l| self.entry(&m.b, k, l, c)).collect()).collect();
            let across = |rows: &[Vec<Value>]| -> Vec<Vec<Value>> {
                (0..inner).map(|l| rows.iter().map(|r| r[l]).collect()).collect()
            };
            if cols == 1 && (m.b.row_stride == 1 || inner == 1) {
                if rows == 1 && (m.a.col_stride == 1 || inner == 1) || m.a.col_stride == 1 {
                    for r in &a {
                        let v = self.dot(r, &b[0]);
                        out.push(v);
                    }
                } else {
                    self.columns(&across(&a), &b[0], &mut out);
                }
            } else if rows == 1 && (m.a.col_stride == 1 || inner == 1) {
                if m.b.row_stride == 1 {
                    for c in &b {
                        let v = self.dot(c, &a[0]);
                        out.push(v);
                    }
                } else {
                    self.columns(&across(&b), &a[0], &mut out);
                }
            } else {
                for r in &a {
                    for c in &b {
                        let mut t = match inner {
                            1 => None,
                            _ => Some(self.number(0.0)),
                        };
                        for (x, y) in r.iter().zip(c) {
                            let p = self.b.ins().fmul(*x, *y);
                            t = Some(match t {
                                Some(t) => self.b.ins().fadd(t, p),
                                None => p,
                            });
                        }
                        out.push(t?);
                    }
                }
            }
        }
        for (k, v) in out.into_iter().enumerate() {
            self.write(&m.out, k as isize, Val::F(v));
        }
        Some(())
    }

    /// Reads `n` elements.
    pub fn read_all(&mut self, p: &Place, n: usize) -> Vec<Value> {
        (0..n as isize)
            .map(|k| {
                let v = self.read(p, k);
                self.float(v)
            })
            .collect()
    }
}
