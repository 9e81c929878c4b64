//! Distributions as values, and what their declarations say.
//!
//! The element of a `dist` without a type is one number, and every parameter may be an array: then so is the draw, of the shape that the
//! parameters have together, its entries independent. An element with a type (`x: real[d]`) is one draw as a whole. Plates make
//! independent copies of either, along new first axes.

use crate::env::Env;
use crate::interp::Interp;
use crate::tree::TypeTree;
use crate::value::{Bound, Eval, Num, Stop, Value};
use gradus_ir::{DType, Dim, Op, Shape};
use gradus_syntax::ast::{self, ModelDecl};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// What `dist`, `model` and `guide` declare, before it has parameters.
pub enum DistDecl {
    Dist { decl: Arc<ast::DistDecl>, env: Env },
    Model { decl: Arc<ModelDecl>, env: Env },
}

pub enum Dist {
    Declared { decl: Arc<ast::DistDecl>, scope: Env, bound: Bound },
    /// Independent copies of a declared distribution.
    Plates { of: Arc<Dist>, plates: Shape },
    Model { decl: Arc<ModelDecl>, scope: Env },
    /// Draws with the logarithm of their density.
    Weighted(Arc<Dist>),
    /// A list of so many independent draws.
    Copies(Arc<Dist>, usize),
    /// Only the sites named, the others averaged over that many draws.
    Marginal { of: Arc<Dist>, keep: Vec<Arc<str>>, particles: usize },
}

/// Oracles that are functions of the element.
pub const OF_ELEMENT: &[&str] = &["log_density", "cdf"];

impl DistDecl {
    pub fn kind(&self) -> &'static str {
        match self {
            DistDecl::Dist { .. } => "a distribution",
            DistDecl::Model { decl, .. } if decl.guide => "a guide",
            DistDecl::Model { .. } => "a model",
        }
    }
}

impl Dist {
    pub fn kind(&self) -> &'static str {
        match self {
            Dist::Model { decl, .. } if decl.guide => "a guide",
            Dist::Model { .. } => "a model",
            _ => "a distribution",
        }
    }

    /// For messages: the declared name.
    pub fn name(&self) -> Arc<str> {
        match self {
            Dist::Declared { decl, .. } => decl.name.name.clone(),
            Dist::Model { decl, .. } => decl.name.name.clone(),
            Dist::Plates { of, .. } | Dist::Weighted(of) | Dist::Copies(of, _) | Dist::Marginal { of, .. } => of.name(),
        }
    }

    pub(super) fn declared(&self) -> Option<(&Arc<ast::DistDecl>, &Env, &Bound)> {
        match self {
            Dist::Declared { decl, scope, bound } => Some((decl, scope, bound)),
            Dist::Plates { of, .. } => of.declared(),
            _ => None,
        }
    }

    pub(super) fn plates(&self) -> Shape {
        match self {
            Dist::Plates { plates, .. } => plates.clone(),
            _ => Shape::scalar(),
        }
    }

    /// The declaration's oracle of that name.
    pub(super) fn oracle(&self, name: &str) -> Option<&ast::Oracle> {
        self.declared()?.0.oracles.iter().find(|o| &*o.name.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.oracle(name).is_some()
    }

    pub(super) fn is(&self, fact: &str) -> bool {
        self.declared().is_some_and(|(d, _, bound)| crate::solve::oracle::has_fact(&d.facts, fact, bound))
    }

    /// Is a draw a smooth function of the parameters and of noise whose distribution has none?
    pub(super) fn has_path(&self) -> bool {
        !self.is("discrete") && (self.has("standard") || self.has("quantile") || self.has("path"))
    }

    /// Is a draw made entry by entry, so that plates and arrays of parameters only change its shape?
    pub(super) fn by_entry(&self) -> bool {
        self.declared().is_some_and(|(d, ..)| d.element.ty.is_none())
    }
}

impl Interp<'_> {
    /// The dtype and shape of one draw, without plates.
    pub(super) fn draw_type(&mut self, d: &Dist, span: Span) -> Eval<(DType, Shape)> {
        let Some((decl, scope, bound)) = d.declared() else { return Err(self.no_such(d, "a draw that is one array", span)) };
        let (decl, scope, bound) = (decl.clone(), scope.clone(), bound.clone());
        let dtype = if d.is("discrete") { DType::Int } else { DType::Real };
        if let Some(t) = &decl.element.ty {
            return match self.type_of(t, &scope)? {
                TypeTree::Leaf(t) => Ok((t.dtype, t.shape)),
                _ => Err(Diagnostic::error("E4010", t.span, format!("a draw of `{}` is a number or an array", decl.name.name))
                    .at("this is something else")
                    .into()),
            };
        }
        // The shape of an array that the declaration gives, else of all parameters together.
        if let Some(v) = self.dist_oracle(d, "like", &[])? {
            let n = self.num(&v, span)?;
            return Ok((dtype, self.ty(n).shape));
        }
        let mut shape = Shape::scalar();
        for (name, v) in &bound {
            let Value::Num(n) = v else { continue };
            let own = self.ty(*n).shape;
            shape = Shape::broadcast(&shape, &own).map_err(|_| {
                Stop::from(
                    Diagnostic::error("E4011", span, format!("the parameters of `{}` do not fit together", decl.name.name))
                        .at(format!("`{name}` has the shape [{own}], those before it [{shape}]"))
                        .help("parameters are numbers, or arrays of one shape"),
                )
            })?;
        }
        Ok((dtype, shape))
    }

    /// The shape of a draw, plates first.
    pub(super) fn draw_shape(&mut self, d: &Dist, span: Span) -> Eval<(DType, Shape)> {
        let (dtype, shape) = self.draw_type(d, span)?;
        let plates = d.plates();
        let all: Vec<Dim> = plates.dims().iter().chain(shape.dims()).cloned().collect();
        Ok((dtype, Shape::new(all)))
    }

    /// The value of an oracle for these arguments; `None` where it is not declared.
    pub(super) fn dist_oracle(&mut self, d: &Dist, name: &str, args: &[Value]) -> Eval<Option<Value>> {
        let Some(o) = d.oracle(name).cloned() else { return Ok(None) };
        let Some((decl, scope, _)) = d.declared() else { return Ok(None) };
        // These speak of the element by its own name.
        let of_element = o.params.is_empty() && OF_ELEMENT.contains(&name);
        if !of_element && o.params.len() != args.len() {
            let text = format!("`{name}` of a distribution takes {} parameters, `{}` declares {}", args.len(), decl.name.name, o.params.len());
            return Err(Diagnostic::error("E4010", o.name.span, text).at("declared here").into());
        }
        let mut scope = scope.clone();
        for (p, v) in o.params.iter().zip(args) {
            scope = scope.bind(p.name.clone(), v.clone());
        }
        if let (true, Some(x)) = (of_element, args.first()) {
            scope = scope.bind(decl.element.name.name.clone(), x.clone());
        }
        let density = usize::from(name == "log_density");
        self.draws.densities += density;
        let v = self.eval(&o.body, &scope);
        self.draws.densities -= density;
        v.map(Some)
    }

    /// `x` as an array of exactly that shape.
    pub(super) fn spread_to(&mut self, x: Num, shape: &Shape, span: Span) -> Eval<Num> {
        if self.ty(x).shape == *shape { Ok(x) } else { self.emit(Op::Broadcast(shape.clone()), &[x], span) }
    }

    /// Something that the declaration does not give.
    pub(super) fn no_such(&self, d: &Dist, what: &str, span: Span) -> Stop {
        let e = Diagnostic::error("E4012", span, format!("`{}` has no {what}", d.name())).at("asked for here");
        match d.declared() {
            Some((decl, ..)) if decl.name.span.file.0 != 0 => e.label(decl.name.span, "declared here").into(),
            _ => e.into(),
        }
    }
}
