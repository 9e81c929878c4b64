//! Problems: taking an objective apart, choosing and running methods and rules, certifying what came out.

pub mod bilevel;
pub mod certificate;
pub mod choose;
pub mod constraint;
pub mod decompose;
pub mod driver;
pub mod dual;
pub mod equilibrium;
pub mod facts;
pub mod find;
pub mod fixed_point;
pub mod implicit;
mod inner;
pub(crate) mod levels;
pub mod lipschitz;
pub mod method;
pub mod nested;
pub mod oracle;
pub mod problem;
pub mod prox;
pub mod region_fn;
pub mod report;
pub mod rule;
mod saddle;
pub mod splitting;
mod trust;
