//! Symbolic dimensions: integer polynomials over named sizes, with `Known` as the fast case.

use std::fmt;
use std::sync::Arc;

/// The length of an axis: a number, or a polynomial over sizes that only the data will tell.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dim {
    Known(i64),
    Poly(Arc<Poly>),
}

/// A sum of `coefficient * product of symbols`, sorted, without zero coefficients, and never constant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Poly {
    /// Symbols in sorted order (a power is a repetition), and the coefficient. The constant has no symbols.
    terms: Vec<(Vec<Arc<str>>, i64)>,
}

impl Dim {
    pub fn sym(name: impl Into<Arc<str>>) -> Dim {
        Dim::Poly(Arc::new(Poly { terms: vec![(vec![name.into()], 1)] }))
    }

    pub fn known(&self) -> Option<i64> {
        match self {
            Dim::Known(n) => Some(*n),
            Dim::Poly(_) => None,
        }
    }

    /// The length as a size, where it is known and not negative.
    pub fn size(&self) -> Option<usize> {
        self.known().and_then(|n| usize::try_from(n).ok())
    }

    pub fn is_one(&self) -> bool {
        *self == Dim::Known(1)
    }

    /// The name, where the dimension is a lone symbol.
    pub fn as_symbol(&self) -> Option<&Arc<str>> {
        match self {
            Dim::Poly(p) => match p.terms.as_slice() {
                [(m, 1)] if m.len() == 1 => m.first(),
                _ => None,
            },
            Dim::Known(_) => None,
        }
    }

    /// Products of symbols with their coefficients; the constant has no symbols.
    pub(crate) fn terms(&self) -> Vec<(Vec<Arc<str>>, i64)> {
        match self {
            Dim::Known(0) => Vec::new(),
            Dim::Known(n) => vec![(Vec::new(), *n)],
            Dim::Poly(p) => p.terms.clone(),
        }
    }

    fn normal(mut terms: Vec<(Vec<Arc<str>>, i64)>) -> Dim {
        terms.sort();
        let mut out: Vec<(Vec<Arc<str>>, i64)> = Vec::with_capacity(terms.len());
        for (m, c) in terms {
            match out.last_mut() {
                Some((last, total)) if *last == m => *total = total.saturating_add(c),
                _ => out.push((m, c)),
            }
        }
        out.retain(|(_, c)| *c != 0);
        match out.as_slice() {
            [] => Dim::Known(0),
            [(m, c)] if m.is_empty() => Dim::Known(*c),
            _ => Dim::Poly(Arc::new(Poly { terms: out })),
        }
    }

    pub fn add(&self, other: &Dim) -> Dim {
        if let (Dim::Known(a), Dim::Known(b)) = (self, other) {
            return Dim::Known(a.saturating_add(*b));
        }
        let mut terms = self.terms();
        terms.extend(other.terms());
        Dim::normal(terms)
    }

    pub fn neg(&self) -> Dim {
        self.mul(&Dim::Known(-1))
    }

    pub fn sub(&self, other: &Dim) -> Dim {
        self.add(&other.neg())
    }

    pub fn mul(&self, other: &Dim) -> Dim {
        if let (Dim::Known(a), Dim::Known(b)) = (self, other) {
            return Dim::Known(a.saturating_mul(*b));
        }
        let right = other.terms();
        let mut terms = Vec::new();
        for (ma, ca) in self.terms() {
            for (mb, cb) in &right {
                let mut m = ma.clone();
                m.extend(mb.iter().cloned());
                m.sort();
                terms.push((m, ca.saturating_mul(*cb)));
            }
        }
        Dim::normal(terms)
    }

    /// Integer quotient; exact quotients of symbolic lengths stay polynomials, others become an opaque symbol.
    pub fn div(&self, other: &Dim) -> Option<Dim> {
        match (self, other) {
            (_, Dim::Known(0)) => None,
            (Dim::Known(a), Dim::Known(b)) => Some(Dim::Known(a.div_euclid(*b))),
            (_, Dim::Known(b)) if self.terms().iter().all(|(_, c)| c % b == 0) => {
                Some(Dim::normal(self.terms().into_iter().map(|(m, c)| (m, c / b)).collect()))
            }
            _ if self == other => Some(Dim::Known(1)),
            _ => Some(Dim::sym(format!("floor({self} / {other})"))),
        }
    }

    /// Replace symbols by what `f` knows of them.
    pub fn substitute(&self, f: &dyn Fn(&str) -> Option<Dim>) -> Dim {
        let Dim::Poly(p) = self else { return self.clone() };
        let mut total = Dim::Known(0);
        for (m, c) in &p.terms {
            let mut term = Dim::Known(*c);
            for s in m {
                term = term.mul(&f(s).unwrap_or_else(|| Dim::sym(s.clone())));
            }
            total = total.add(&term);
        }
        total
    }

    pub fn product<'a>(dims: impl IntoIterator<Item = &'a Dim>) -> Dim {
        dims.into_iter().fold(Dim::Known(1), |a, d| a.mul(d))
    }
}

impl From<usize> for Dim {
    fn from(n: usize) -> Dim {
        Dim::Known(n as i64)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Known(n) => write!(f, "{n}"),
            Dim::Poly(p) => {
                // Higher terms first, the constant last: `2*h + 1`.
                for (k, (m, c)) in p.terms.iter().rev().enumerate() {
                    let sign = if *c < 0 { "-" } else { "+" };
                    match (k, *c < 0) {
                        (0, false) => {}
                        (0, true) => write!(f, "-")?,
                        _ => write!(f, " {sign} ")?,
                    }
                    let a = c.unsigned_abs();
                    if m.is_empty() {
                        write!(f, "{a}")?;
                    } else {
                        if a != 1 {
                            write!(f, "{a}*")?;
                        }
                        write!(f, "{}", m.join("*"))?;
                    }
                }
                Ok(())
            }
        }
    }
}
