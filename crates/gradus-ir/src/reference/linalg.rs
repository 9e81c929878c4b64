//! Linear algebra by the textbook: Gauss with partial pivoting, column Cholesky, Householder QR, cyclic Jacobi.

use super::{Context, ReferenceError, flatten, indices};
use crate::array::Array;

/// A dense matrix, row-major.
#[derive(Clone)]
struct Matrix {
    rows: usize,
    cols: usize,
    a: Vec<f64>,
}

impl Matrix {
    fn zeros(rows: usize, cols: usize) -> Matrix {
        Matrix { rows, cols, a: vec![0.0; rows * cols] }
    }
    fn identity(n: usize) -> Matrix {
        let mut m = Matrix::zeros(n, n);
        for k in 0..n {
            m.set(k, k, 1.0);
        }
        m
    }
    /// A vector becomes one column.
    fn of(a: &Array) -> Matrix {
        let rows = a.shape.first().copied().unwrap_or(1);
        Matrix { rows, cols: a.shape.get(1).copied().unwrap_or(1), a: a.data.to_vec() }
    }
    fn at(&self, i: usize, j: usize) -> f64 {
        self.a[i * self.cols + j]
    }
    fn set(&mut self, i: usize, j: usize, v: f64) {
        self.a[i * self.cols + j] = v;
    }
    fn column(&self, j: usize) -> Vec<f64> {
        (0..self.rows).map(|i| self.at(i, j)).collect()
    }
    fn set_column(&mut self, j: usize, v: &[f64]) {
        for (i, x) in v.iter().enumerate() {
            self.set(i, j, *x);
        }
    }
    fn transposed(&self) -> Matrix {
        let mut t = Matrix::zeros(self.cols, self.rows);
        for i in 0..self.rows {
            for j in 0..self.cols {
                t.set(j, i, self.at(i, j));
            }
        }
        t
    }
    fn swap_rows(&mut self, i: usize, j: usize) {
        for k in 0..self.cols {
            let (p, q) = (self.at(i, k), self.at(j, k));
            self.set(i, k, q);
            self.set(j, k, p);
        }
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

pub(super) fn matmul(c: &Context<'_>, a: &Array, b: &Array) -> Result<Vec<Array>, ReferenceError> {
    let shape = c.shape(0)?;
    let (ra, rb) = (a.shape.len(), b.shape.len());
    let batch = ra.saturating_sub(2).max(rb.saturating_sub(2));
    let inner = a.shape[ra - 1];
    let element = |i: Vec<usize>| {
        let (lead, rest) = i.split_at(batch);
        (0..inner)
            .map(|k| {
                let mut ia = if ra > 2 { lead.to_vec() } else { Vec::new() };
                if ra >= 2 {
                    ia.push(rest[0]);
                }
                ia.push(k);
                let mut ib = if rb > 2 { lead.to_vec() } else { Vec::new() };
                ib.push(k);
                if rb >= 2 {
                    ib.push(rest[rest.len() - 1]);
                }
                a.data[flatten(&ia, &a.shape)] * b.data[flatten(&ib, &b.shape)]
            })
            .sum()
    };
    c.one(indices(&shape).map(element).collect())
}

pub(super) fn cholesky(c: &Context<'_>, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let m = Matrix::of(a);
    let n = m.rows;
    let mut l = Matrix::zeros(n, n);
    for j in 0..n {
        let pivot = m.at(j, j) - (0..j).map(|k| l.at(j, k) * l.at(j, k)).sum::<f64>();
        // A NaN pivot is not positive either.
        if pivot.is_nan() || pivot <= 0.0 {
            let nan = |i: Vec<usize>| if i[1] <= i[0] { f64::NAN } else { 0.0 };
            return c.one(indices(&a.shape).map(nan).collect());
        }
        l.set(j, j, pivot.sqrt());
        for i in j + 1..n {
            let s: f64 = (0..j).map(|k| l.at(i, k) * l.at(j, k)).sum();
            l.set(i, j, (m.at(i, j) - s) / l.at(j, j));
        }
    }
    c.one(l.a)
}

pub(super) fn triangular_solve(c: &Context<'_>, lower: bool, transposed: bool, a: &Array, b: &Array) -> Result<Vec<Array>, ReferenceError> {
    let mut t = Matrix::of(a);
    if transposed {
        t = t.transposed();
    }
    let mut x = Matrix::of(b);
    let n = t.rows;
    // The transpose of a lower triangle is an upper one.
    let forward = lower != transposed;
    let order: Vec<usize> = if forward { (0..n).collect() } else { (0..n).rev().collect() };
    for j in 0..x.cols {
        for &i in &order {
            let known = if forward { 0..i } else { i + 1..n };
            let s: f64 = known.map(|k| t.at(i, k) * x.at(k, j)).sum();
            x.set(i, j, (x.at(i, j) - s) / t.at(i, i));
        }
    }
    c.one(x.a)
}

/// Eliminates below the diagonal, on `b` alongside; the sign of the row exchanges, or `None` at a zero pivot.
fn eliminate(m: &mut Matrix, b: &mut Matrix) -> Option<f64> {
    let n = m.rows;
    let mut sign = 1.0;
    for k in 0..n {
        let mut p = k;
        for i in k + 1..n {
            if m.at(i, k).abs() > m.at(p, k).abs() {
                p = i;
            }
        }
        if m.at(p, k) == 0.0 {
            return None;
        }
        if p != k {
            m.swap_rows(p, k);
            b.swap_rows(p, k);
            sign = -sign;
        }
        for i in k + 1..n {
            let f = m.at(i, k) / m.at(k, k);
            for j in 0..n {
                m.set(i, j, m.at(i, j) - f * m.at(k, j));
            }
            for j in 0..b.cols {
                b.set(i, j, b.at(i, j) - f * b.at(k, j));
            }
        }
    }
    Some(sign)
}

pub(super) fn solve(c: &Context<'_>, transposed: bool, a: &Array, b: &Array) -> Result<Vec<Array>, ReferenceError> {
    let mut m = Matrix::of(a);
    if transposed {
        m = m.transposed();
    }
    let mut x = Matrix::of(b);
    if eliminate(&mut m, &mut x).is_none() {
        return c.one(vec![f64::INFINITY; b.len()]);
    }
    let n = m.rows;
    for j in 0..x.cols {
        for i in (0..n).rev() {
            let s: f64 = (i + 1..n).map(|k| m.at(i, k) * x.at(k, j)).sum();
            x.set(i, j, (x.at(i, j) - s) / m.at(i, i));
        }
    }
    c.one(x.a)
}

pub(super) fn det(c: &Context<'_>, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let mut m = Matrix::of(a);
    let mut none = Matrix::zeros(m.rows, 0);
    let value = match eliminate(&mut m, &mut none) {
        Some(sign) => (0..m.rows).map(|k| m.at(k, k)).product::<f64>() * sign,
        None => 0.0,
    };
    c.one(vec![value])
}

pub(super) fn slogdet(c: &Context<'_>, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let mut m = Matrix::of(a);
    let mut none = Matrix::zeros(m.rows, 0);
    let (mut sign, mut log) = (0.0, f64::NEG_INFINITY);
    if let Some(s) = eliminate(&mut m, &mut none) {
        (sign, log) = (s, 0.0);
        for k in 0..m.rows {
            sign *= if m.at(k, k).is_nan() { f64::NAN } else { m.at(k, k).signum() };
            log += m.at(k, k).abs().ln();
        }
    }
    Ok(vec![c.output(0, vec![sign])?, c.output(1, vec![log])?])
}

/// The sign that makes the component of largest magnitude positive.
fn orientation(v: &[f64]) -> f64 {
    let mut best: f64 = 0.0;
    for x in v {
        if x.abs() > best.abs() {
            best = *x;
        }
    }
    if best < 0.0 { -1.0 } else { 1.0 }
}

fn scaled(v: &[f64], s: f64) -> Vec<f64> {
    v.iter().map(|x| x * s).collect()
}

pub(super) fn eigh(c: &Context<'_>, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let mut m = Matrix::of(a);
    let n = m.rows;
    for i in 0..n {
        for j in i + 1..n {
            m.set(i, j, m.at(j, i));
        }
    }
    let mut v = Matrix::identity(n);
    // Each rotation zeroes one off-diagonal pair; sweeps end when nothing is left to rotate.
    for _ in 0..100 {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                let apq = m.at(p, q);
                if apq == 0.0 || apq.abs() <= 1e-17 * (m.at(p, p).abs() + m.at(q, q).abs()) {
                    continue;
                }
                rotated = true;
                let theta = (m.at(q, q) - m.at(p, p)) / (2.0 * apq);
                let t = 1f64.copysign(theta) / (theta.abs() + (theta * theta + 1.0).sqrt());
                let cos = 1.0 / (t * t + 1.0).sqrt();
                let sin = t * cos;
                for k in 0..n {
                    let (x, y) = (m.at(k, p), m.at(k, q));
                    m.set(k, p, cos * x - sin * y);
                    m.set(k, q, sin * x + cos * y);
                }
                for k in 0..n {
                    let (x, y) = (m.at(p, k), m.at(q, k));
                    m.set(p, k, cos * x - sin * y);
                    m.set(q, k, sin * x + cos * y);
                    let (x, y) = (v.at(k, p), v.at(k, q));
                    v.set(k, p, cos * x - sin * y);
                    v.set(k, q, sin * x + cos * y);
                }
            }
        }
        if !rotated {
            break;
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| m.at(*i, *i).total_cmp(&m.at(*j, *j)));
    let values: Vec<f64> = order.iter().map(|k| m.at(*k, *k)).collect();
    let mut vectors = Matrix::zeros(n, n);
    for (k, from) in order.iter().enumerate() {
        let column = v.column(*from);
        vectors.set_column(k, &scaled(&column, orientation(&column)));
    }
    Ok(vec![c.output(0, values)?, c.output(1, vectors.a)?])
}

/// One-sided Jacobi on the columns of a tall matrix: `w = m v` with orthogonal columns.
fn orthogonalize(m: &Matrix) -> (Matrix, Matrix) {
    let (mut w, mut v) = (m.clone(), Matrix::identity(m.cols));
    for _ in 0..100 {
        let mut rotated = false;
        for p in 0..w.cols {
            for q in p + 1..w.cols {
                let (x, y) = (w.column(p), w.column(q));
                let (alpha, beta, gamma) = (dot(&x, &x), dot(&y, &y), dot(&x, &y));
                if gamma == 0.0 || gamma.abs() <= 1e-16 * (alpha * beta).sqrt() {
                    continue;
                }
                rotated = true;
                let zeta = (beta - alpha) / (2.0 * gamma);
                let t = 1f64.copysign(zeta) / (zeta.abs() + (zeta * zeta + 1.0).sqrt());
                let cos = 1.0 / (t * t + 1.0).sqrt();
                let sin = t * cos;
                for m in [&mut w, &mut v] {
                    let (x, y) = (m.column(p), m.column(q));
                    let left: Vec<f64> = x.iter().zip(&y).map(|(x, y)| cos * x - sin * y).collect();
                    let right: Vec<f64> = x.iter().zip(&y).map(|(x, y)| sin * x + cos * y).collect();
                    m.set_column(p, &left);
                    m.set_column(q, &right);
                }
            }
        }
        if !rotated {
            break;
        }
    }
    (w, v)
}

/// A unit vector orthogonal to the given ones: the unit vector of the axes that leaves most after projection.
fn complete(basis: &[Vec<f64>], n: usize) -> Vec<f64> {
    let mut best = vec![0.0; n];
    for k in 0..n {
        let mut e = vec![0.0; n];
        e[k] = 1.0;
        for _ in 0..2 {
            for b in basis {
                let d = dot(&e, b);
                e = e.iter().zip(b).map(|(x, y)| x - d * y).collect();
            }
        }
        if norm(&e) > norm(&best) {
            best = e;
        }
    }
    let length = norm(&best);
    scaled(&best, 1.0 / length)
}

pub(super) fn svd(c: &Context<'_>, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let m = Matrix::of(a);
    let tall = m.rows >= m.cols;
    let (w, z) = orthogonalize(&if tall { m.clone() } else { m.transposed() });
    let k = w.cols;
    let lengths: Vec<f64> = (0..k).map(|j| norm(&w.column(j))).collect();
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|i, j| lengths[*j].total_cmp(&lengths[*i]));
    let top = order.first().map_or(0.0, |j| lengths[*j]);
    let mut left: Vec<Vec<f64>> = Vec::new();
    for j in &order {
        // Columns of rounding noise have no direction of their own.
        let noise = lengths[*j] <= top * 1e-15;
        left.push(if noise { complete(&left, w.rows) } else { scaled(&w.column(*j), 1.0 / lengths[*j]) });
    }
    let (mut u, mut v) = (Matrix::zeros(m.rows, k), Matrix::zeros(m.cols, k));
    for (j, from) in order.iter().enumerate() {
        let (uj, vj) = if tall { (left[j].clone(), z.column(*from)) } else { (z.column(*from), left[j].clone()) };
        let s = orientation(&vj);
        u.set_column(j, &scaled(&uj, s));
        v.set_column(j, &scaled(&vj, s));
    }
    let s: Vec<f64> = order.iter().map(|j| lengths[*j]).collect();
    Ok(vec![c.output(0, u.a)?, c.output(1, s)?, c.output(2, v.a)?])
}

pub(super) fn qr(c: &Context<'_>, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let mut r = Matrix::of(a);
    let (m, n) = (r.rows, r.cols);
    if m < n {
        return c.fault(format!("a {m} by {n} matrix has more columns than rows"));
    }
    // Householder: reflect each column onto its axis; the reflections applied to the identity give q.
    let mut q = Matrix::identity(m);
    for k in 0..n {
        let mut v = r.column(k);
        v[..k].fill(0.0);
        let length = norm(&v);
        if length == 0.0 {
            continue;
        }
        v[k] += length.copysign(v[k]);
        let vv = dot(&v, &v);
        for j in 0..n {
            let column = r.column(j);
            let d = 2.0 * dot(&v, &column) / vv;
            r.set_column(j, &column.iter().zip(&v).map(|(x, y)| x - d * y).collect::<Vec<f64>>());
        }
        for i in 0..m {
            let d = 2.0 * (0..m).map(|j| q.at(i, j) * v[j]).sum::<f64>() / vv;
            for (j, x) in v.iter().enumerate() {
                q.set(i, j, q.at(i, j) - d * x);
            }
        }
    }
    let (mut thin, mut upper) = (Matrix::zeros(m, n), Matrix::zeros(n, n));
    for k in 0..n {
        let s = if r.at(k, k) < 0.0 { -1.0 } else { 1.0 };
        thin.set_column(k, &scaled(&q.column(k), s));
        for j in k..n {
            upper.set(k, j, s * r.at(k, j));
        }
    }
    Ok(vec![c.output(0, thin.a)?, c.output(1, upper.a)?])
}
