use crate::interp::Interp;
use crate::value::*;
use gradus_syntax::Span;
use super::region_fn::RegionFn;
pub struct Dual;
impl Dual { pub fn bound(&self, _s: &mut Interp<'_>, _c: Num, _g: &Value, _x: &Value, _sp: Span) -> Eval<Num> { Err(Stop::Poisoned) } }
impl Interp<'_> { pub fn structured_dual(&mut self, _f: &RegionFn, _x: &Value, _s: Span) -> Eval<Option<Dual>> { Ok(None) }
 pub fn curvature_bound(&mut self, _f: &RegionFn, _x: &Value, _s: Span) -> Eval<Option<Num>> { Ok(None) } }
