//! A value in memory as the planner sees it: a place with lengths and strides. Reshapes, slices, transposes, reversals
//! and broadcasts are other views of the same memory.

use crate::plan::{Pattern, Place};
use smallvec::SmallVec;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    pub place: Place,
    pub dims: SmallVec<[usize; 4]>,
    pub strides: SmallVec<[isize; 4]>,
}

pub(crate) fn dense_strides(dims: &[usize]) -> SmallVec<[isize; 4]> {
    let mut s: SmallVec<[isize; 4]> = SmallVec::from_elem(1, dims.len());
    for k in (0..dims.len().saturating_sub(1)).rev() {
        s[k] = s[k + 1] * dims[k + 1] as isize;
    }
    s
}

impl View {
    pub fn dense(place: Place, dims: &[usize]) -> View {
        View { place, dims: SmallVec::from_slice(dims), strides: dense_strides(dims) }
    }

    pub fn count(&self) -> usize {
        self.dims.iter().product()
    }

    pub fn is_dense(&self) -> bool {
        let want = dense_strides(&self.dims);
        self.count() == 0 || (0..self.dims.len()).all(|k| self.dims[k] == 1 || self.strides[k] == want[k])
    }

    /// Stretch to `dims`: missing axes in front, axes of length one.
    pub fn broadcast(&self, dims: &[usize]) -> View {
        let extra = dims.len().saturating_sub(self.dims.len());
        let strides = (0..dims.len())
            .map(|k| match k.checked_sub(extra) {
                Some(i) if self.dims[i] == dims[k] => self.strides[i],
                _ => 0,
            })
            .collect();
        View { place: self.place, dims: SmallVec::from_slice(dims), strides }
    }

    pub fn permute(&self, perm: &[usize]) -> View {
        View {
            place: self.place,
            dims: perm.iter().map(|&p| self.dims[p]).collect(),
            strides: perm.iter().map(|&p| self.strides[p]).collect(),
        }
    }

    fn shifted(&self, by: isize) -> Place {
        Place { offset: self.place.offset.wrapping_add_signed(by), ..self.place }
    }

    pub fn slice(&self, axis: usize, start: usize, len: usize) -> View {
        let mut v = self.clone();
        v.place = self.shifted(self.strides[axis] * start as isize);
        v.dims[axis] = len;
        v
    }

    pub fn reverse(&self, axis: usize) -> View {
        let mut v = self.clone();
        if self.dims[axis] > 0 {
            v.place = self.shifted(self.strides[axis] * (self.dims[axis] - 1) as isize);
            v.strides[axis] = -self.strides[axis];
        }
        v
    }

    pub fn diagonal(&self) -> View {
        let mut v = self.clone();
        v.dims.truncate(1);
        v.strides = SmallVec::from_slice(&[self.strides.iter().sum()]);
        v
    }

    /// The same elements under other lengths, where strides can say it.
    pub fn reshape(&self, dims: &[usize]) -> Option<View> {
        if self.count() == 0 || self.is_dense() {
            return Some(View::dense(self.place, dims));
        }
        // Match groups of old axes with groups of new axes of equal size; within an old group strides must nest.
        let old: Vec<(usize, isize)> =
            self.dims.iter().copied().zip(self.strides.iter().copied()).filter(|(d, _)| *d != 1).collect();
        let mut strides: SmallVec<[isize; 4]> = SmallVec::from_elem(0, dims.len());
        let (mut i, mut j) = (0, 0);
        while j < dims.len() {
            if dims[j] == 1 {
                j += 1;
                continue;
            }
            let (first, from) = (i, j);
            let (mut have, mut want) = (old.get(i)?.0, dims[j]);
            while have != want {
                if have < want {
                    i += 1;
                    have *= old.get(i)?.0;
                } else {
                    j += 1;
                    want *= dims.get(j)?;
                }
            }
            if (first..i).any(|k| old[k].1 != old[k + 1].1 * old[k + 1].0 as isize) {
                return None;
            }
            let mut s = old[i].1;
            for k in (from..=j).rev() {
                strides[k] = s;
                s *= dims[k] as isize;
            }
            i += 1;
            j += 1;
        }
        Some(View { place: self.place, dims: SmallVec::from_slice(dims), strides })
    }

    /// Axes without length one, neighbours merged where they nest.
    pub fn pattern(&self) -> Pattern {
        if self.is_dense() {
            return if self.count() == 1 { Pattern::Splat } else { Pattern::Dense };
        }
        let mut out: SmallVec<[(usize, isize); 4]> = SmallVec::new();
        for (&d, &s) in self.dims.iter().zip(&self.strides) {
            if d == 1 {
                continue;
            }
            match out.last_mut() {
                Some((n, t)) if *t == s * d as isize => {
                    *n *= d;
                    *t = s;
                }
                _ => out.push((d, s)),
            }
        }
        match out.as_slice() {
            [] => Pattern::Splat,
            [(_, 0)] => Pattern::Splat,
            [(_, 1)] => Pattern::Dense,
            _ => Pattern::Strided(out),
        }
    }
}
