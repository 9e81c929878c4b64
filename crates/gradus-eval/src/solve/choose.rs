//! Which method fits: the chooser of `solve` without `by`, and the checks of a method that was named.

use super::decompose::Split;
use super::driver::Runner;
use super::problem::Problem;
use super::prox::ProxFn;
use super::region_fn::RegionFn;
use crate::interp::Interp;
use crate::value::{Eval, MethodValue, Value};
use super::facts::SolveFacts;
use gradus_syntax::ast::{Fact, Ident, Sense};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

pub struct Choice {
    pub runner: Runner,
    pub reason: String,
}

impl Interp<'_> {
    /// The method for a problem, from its facts. The first line that fits decides.
    pub fn choose(&mut self, p: &Arc<Problem>, split: &Split, facts: &SolveFacts, span: Span) -> Eval<Choice> {
        let terms = Self::has_terms(split);
        let restricted = !split.prox.is_zero();
        let what = facts.to_string();
        if !split.stochastic && p.constraints.is_empty() {
            self.refuse_unbounded(p, split, facts)?;
        }
        // What no one proximal operator, projection or gradient handles may still split.
        let several = !split.mapped.is_empty() && facts.function.differentiable != gradus_facts::Tri::Yes
            || split.prox.obstacle().is_some() && Self::set_without_projection(split).is_none()
            || terms && !p.constraints.is_empty();
        let parted = if several { self.splitting_choice(p, split)? } else { None };
        let (name, reason) = if let Some(choice) = parted {
            choice
        } else if split.stochastic {
            ("adam", "the objective draws minibatches".to_string())
        } else if !p.constraints.is_empty() {
            ("augmented_lagrangian", format!("{what} objective with general constraints: multipliers for them, projections for the set"))
        } else if !facts.is_smooth() {
            return Err(self.not_smooth(p, split, facts, span));
        } else if let Some(s) = Self::set_without_projection(split) {
            return Err(Diagnostic::error("E3005", p.span, format!("no projection is known for `{s}`"))
                .at("the unknown is in this set")
                .label(span, "chosen for here")
                .help("give the set a `project v = …`, or state it as a constraint: `subject to x in …`")
                .into());
        } else if let Some((at, why)) = split.prox.obstacle() {
            // The method for constraints takes a set, but no term beside them.
            let help = match terms {
                true => "smooth the term (`huber` for `norm1`), or drop the set where the term or the data imply it",
                false => "state one of the two sets as a constraint: `subject to x in …`",
            };
            return Err(Diagnostic::error("E3009", at, why)
                .at("no method of this release splits this sum")
                .label(span, "chosen for here")
                .help(help)
                .into());
        } else if restricted && facts.is_convex() && self.has_bound(&split.smooth, facts) {
            let h = split.prox.describe();
            ("fista", format!("{what} objective plus a proxable part ({h}): accelerated proximal gradient with restart"))
        } else if restricted && facts.is_convex() {
            let h = split.prox.describe();
            ("fista_backtracking", format!("{what} objective plus a proxable part ({h}), no Lipschitz constant known: accelerated proximal gradient with a line search"))
        } else if terms {
            ("proximal_gradient", format!("{what} objective plus a proxable part ({}): proximal gradient with a line search", split.prox.describe()))
        } else if restricted {
            ("projected_gradient", format!("{what} objective over {}: projected gradient with a line search", split.prox.describe()))
        } else if facts.is_quadratic() && facts.is_convex() {
            ("newton_cg", format!("{what} objective without constraints: conjugate gradients solve it in one Newton step"))
        } else {
            ("lbfgs", format!("{what} objective without constraints: quasi-Newton steps"))
        };
        Ok(Choice { runner: self.library_method(name, span)?, reason })
    }

    /// Can a step size be had from the structure alone?
    pub(super) fn has_bound(&mut self, f: &RegionFn, facts: &SolveFacts) -> bool {
        facts.is_quadratic() || self.composite(f).is_some_and(|c| c.parts.iter().all(|p| bounded(&p.function)))
    }

    /// Has the Hessian of a quadratic objective a negative eigenvalue?
    fn bends_down(&mut self, split: &Split, span: Span) -> Eval<bool> {
        let mut zeros = Vec::new();
        for t in split.smooth.tree.leaves() {
            let z = self.real(0.0)?;
            zeros.push(self.emit(gradus_ir::Op::Broadcast(t.shape), &[z], span)?);
        }
        let Some(x) = split.smooth.tree.build(&mut zeros.into_iter()) else { return Ok(false) };
        let f = split.smooth.clone();
        let turned = Value::native("negated objective", move |s, args, span| {
            let x = s.one_arg(args, "the objective", span)?;
            let v = s.apply_region(&f, &x, span)?;
            s.unary_value(gradus_ir::UnaryOp::Neg, &v, span, span)
        });
        let down = self.largest_curvature(&turned, &x, span)?;
        let up = self.largest_curvature(&split.smooth.clone().value(), &x, span)?;
        let (down, up) = (self.known_scalar(down)?, self.known_scalar(up)?);
        Ok(down > self.tolerance(1e-9) * up.abs().max(1e-300))
    }

    /// A linear objective over everything has no optimum.
    fn refuse_unbounded(&mut self, p: &Problem, split: &Split, facts: &SolveFacts) -> Eval<()> {
        if !split.prox.is_zero() {
            return Ok(());
        }
        let (word, sign) = if p.sense == Sense::Min { ("below", "negative") } else { ("above", "positive") };
        if facts.is_quadratic() && !facts.is_convex() && self.at_session() && self.bends_down(split, p.span)? {
            return Err(Diagnostic::error(
                "E3025",
                p.objective.span,
                format!("the quadratic objective is unbounded {word}: its Hessian has a {sign} eigenvalue"),
            )
            .at("along that direction it improves without end")
            .help("restrict the unknown to a bounded set, or add a penalty")
            .into());
        }
        if !facts.is_affine() {
            return Ok(());
        }
        Err(Diagnostic::error("E3025", p.objective.span, format!("the objective is linear in the unknown, so it is unbounded {word}"))
            .at("nothing holds it back")
            .help("restrict the unknown to a bounded set, or add a penalty")
            .into())
    }

    /// A declared set that does not say how to reach it.
    fn set_without_projection(split: &Split) -> Option<String> {
        split.prox.parts.iter().find_map(|p| match &p.term.kind {
            crate::value::TermKind::Indicator(s) if !p.term.has_prox() => Some(s.describe()),
            _ => None,
        })
    }

    fn not_smooth(&mut self, p: &Problem, split: &Split, facts: &SolveFacts, span: Span) -> crate::value::Stop {
        let at = self.culprit_span(&split.smooth, facts.rough).unwrap_or(p.objective.span);
        Diagnostic::error("E3026", at, "the objective is neither smooth nor a sum of smooth parts and known terms")
            .at("this has a kink")
            .label(span, "no method was found for this solve")
            .help("write it with a library term (`norm1(x)`, `hinge(…)`, `indicator(S)`), give your own term a `prox(v, t) = …`, or smooth it (`huber`, `softplus`)")
            .into()
    }

    fn culprit_span(&self, f: &RegionFn, node: Option<gradus_ir::NodeId>) -> Option<Span> {
        let n = node?;
        let o = f.graph.node(n).origin;
        (o.file != 0).then(|| crate::interp::span_of(o))
    }

    /// Does a method that was named fit the problem?
    pub fn check_fit(&mut self, runner: &Runner, p: &Arc<Problem>, split: &Split, facts: &SolveFacts, at: Span) -> Eval<()> {
        let name = runner.name();
        let Runner::Method(m) = runner else {
            if !p.constraints.is_empty() {
                return Err(Diagnostic::error("E3027", at, format!("a rule (`{name}`) cannot handle `subject to`"))
                    .at("this knows no constraints")
                    .help("use `augmented_lagrangian`, or put the constraint into the unknown's set")
                    .into());
            }
            if let Some(s) = &p.set
                && !s.can_project()
            {
                return Err(Diagnostic::error("E3005", at, format!("no projection is known for `{}`", s.describe()))
                    .at(format!("`{name}` projects onto it"))
                    .help("state one of the two as a constraint: `subject to x in …`")
                    .into());
            }
            return Ok(());
        };
        let form = &m.decl.form;
        if form.find {
            return Err(Diagnostic::error("E3039", at, format!("`{name}` finds equilibria; this problem is a minimum"))
                .at("chosen here")
                .label(m.decl.name.span, "declared `for find`")
                .help("state the problem as `find x: … in S of F(x)` or as `min x: … of max y: … of phi`, or choose a method for `min`")
                .into());
        }
        let d = |code: &'static str, text: String| Diagnostic::error(code, at, text).at("chosen here").label(m.decl.name.span, "declared here");
        if split.stochastic {
            return Err(d("E3028", format!("`{name}` needs exact gradients, this objective draws minibatches"))
                .help("use a rule: `by adam(lr = 1e-3, steps = 1000)`")
                .into());
        }
        if form.rest.is_some() {
            let f = self.function_facts(&split.plain);
            let s = self.splitting(p, split, form, &name, at)?;
            return self.check_needs(m, &[(&form.prox, &s.prox), (&form.rest, &s.rest.prox)], &f, p, &split.plain, at);
        }
        if !p.constraints.is_empty() && form.constraints.is_none() {
            return Err(d("E3027", format!("`{name}` cannot handle `subject to`"))
                .help("use `augmented_lagrangian`, or put the constraint into the unknown's set")
                .into());
        }
        let terms = Self::has_terms(split);
        if terms && form.prox.is_none() && !p.constraints.is_empty() {
            let part = split.prox.parts.iter().find(|q| !matches!(q.term.kind, crate::value::TermKind::Indicator(_)));
            let text = format!("no method of this release handles `{}` together with `subject to`", split.prox.describe());
            let e = Diagnostic::error("E3029", part.map_or(at, |q| q.span), text)
                .at("this term is not smooth")
                .label(at, "solved here")
                .help("smooth the term (`huber` for `norm1`), or put the constraints into the unknown's set");
            return Err(e.into());
        }
        if terms && form.prox.is_none() {
            let part = split.prox.parts.iter().find(|q| !matches!(q.term.kind, crate::value::TermKind::Indicator(_)));
            let mut e = d("E3029", format!("`{name}` minimizes smooth functions; `{}` is handled by its proximal operator", split.prox.describe()));
            if let Some(q) = part {
                e = e.label(q.span, "this term is not smooth");
            }
            return Err(e.help("use `fista`, `proximal_gradient` or `coordinate_descent`; with several such parts `pdhg`, `condat_vu` or `admm`").into());
        }
        if p.set.is_some() && form.prox.is_none() && form.set.is_none() {
            return Err(d("E3029", format!("`{name}` knows no constraint sets"))
                .help("use `projected_gradient` or `fista`")
                .into());
        }
        if form.prox.is_some()
            && let Some((span, why)) = split.prox.obstacle()
        {
            return Err(Diagnostic::error("E3009", span, why).at("this part").label(at, format!("`{name}` needs a proximal operator")).into());
        }
        if form.set.is_some()
            && let Some(s) = &p.set
            && !s.can_project()
        {
            return Err(Diagnostic::error("E3005", at, format!("no projection is known for `{}`", s.describe()))
                    .at(format!("`{name}` projects onto it"))
                    .help("state one of the two as a constraint: `subject to x in …`")
                    .into());
        }
        self.check_needs(m, &[(&form.prox, &split.prox)], facts, p, &split.smooth, at)
    }

    /// The `where` clause of a method: what its smooth part and each of its proxable parts must be.
    fn check_needs(
        &mut self,
        m: &MethodValue,
        parts: &[(&Option<Ident>, &ProxFn)],
        facts: &SolveFacts,
        p: &Arc<Problem>,
        smooth: &RegionFn,
        at: Span,
    ) -> Eval<()> {
        let name = &*m.decl.name.name;
        for (who, wanted) in &m.decl.requires {
            if m.decl.form.constraints.as_ref().is_some_and(|c| c.name == who.name) {
                self.check_constraint_needs(m, wanted, p, at)?;
                continue;
            }
            let part = parts.iter().find(|(n, _)| n.as_ref().is_some_and(|n| n.name == who.name));
            for f in wanted {
                let word = &*f.name.name;
                let ok = match part {
                    None => match word {
                        "smooth" => facts.is_smooth(),
                        "convex" => facts.is_convex() || facts.waits_for_data,
                        "quadratic" => facts.is_quadratic(),
                        "strongly_convex" => facts.is_strongly_convex(),
                        "zero" => facts.is_zero(),
                        _ => true,
                    },
                    Some((_, h)) => match word {
                        "proxable" => h.obstacle().is_none(),
                        other => h.has_fact(other),
                    },
                };
                if !ok {
                    return Err(match part {
                        Some((_, h)) => self.unfit_part(name, word, h, at),
                        None => self.unfit(name, word, smooth, facts, p, at),
                    });
                }
            }
        }
        Ok(())
    }

    /// `where c is equality`, `where c is linear`.
    fn check_constraint_needs(&mut self, m: &MethodValue, wanted: &[Fact], p: &Arc<Problem>, at: Span) -> Eval<()> {
        for f in wanted {
            let word = &*f.name.name;
            for (_, equality, label, linear) in self.residual_maps(p)? {
                if word == "equality" && !equality || word == "linear" && !linear {
                    let what = if word == "equality" { "inequalities" } else { "constraints that are not linear" };
                    let span = p.constraints.iter().find(|c| c.name.as_ref().is_some_and(|n| n.name == label));
                    return Err(Diagnostic::error("E3027", at, format!("`{}` cannot handle {what}", m.decl.name.name))
                        .at("chosen here")
                        .label(span.map_or(p.span, |c| c.expr.span), "such a constraint")
                        .help("use `augmented_lagrangian`")
                        .into());
                }
            }
        }
        Ok(())
    }

    fn unfit_part(&mut self, name: &str, word: &str, h: &ProxFn, at: Span) -> crate::value::Stop {
        let code = if word == "convex" { "E3030" } else { "E3031" };
        Diagnostic::error(code, at, format!("`{name}` needs a {word} term"))
            .at("asked for here")
            .note(format!("`{}` is not declared {word}", h.describe()))
            .into()
    }

    fn unfit(
        &mut self,
        name: &str,
        word: &str,
        smooth: &RegionFn,
        facts: &SolveFacts,
        p: &Problem,
        at: Span,
    ) -> crate::value::Stop {
        let code = if word == "convex" { "E3030" } else { "E3031" };
        let sense = if p.sense == Sense::Max && word == "convex" { "concave (it is maximized)" } else { word };
        let node = match word {
            "convex" => facts.culprit.as_ref().map(|c| c.node),
            "smooth" => facts.rough,
            _ => None,
        };
        let span = self.culprit_span(smooth, node).unwrap_or(p.objective.span);
        let mut d = Diagnostic::error(code, span, format!("`{name}` needs a {sense} objective"))
            .label(at, format!("`{name}` is asked for here"));
        match (word, &facts.culprit) {
            ("convex", Some(c)) => {
                d = d.at(c.rule.clone());
                if let Some(h) = &c.hint {
                    d = d.help(h.clone());
                }
            }
            _ => d = d.at(format!("not known to be {word}")),
        }
        d = d.note(format!("what is known: {facts}"));
        match word {
            "convex" => d.help("methods for nonconvex objectives: `proximal_gradient`, `projected_gradient`, `lbfgs`").into(),
            _ => d.into(),
        }
    }
}

/// Is the gradient of this part Lipschitz?
fn bounded(f: &gradus_facts::Function) -> bool {
    use gradus_facts::Function as F;
    !matches!(f, F::Hinge | F::Absolute | F::Norm)
}
