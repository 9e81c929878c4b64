//! Declared facts and oracles of the library's sets and terms, tested on random and on awkward points.
//!
//! A new set or term costs one line in the tables below; without it, `check` complains.

use gradus::{Session, Silent, Status};
use std::fmt::Write;

/// An instance and the shape of its element.
struct Instance {
    expr: &'static str,
    shape: &'static str,
    /// Names that its facts mention.
    given: &'static str,
}

const fn instance(expr: &'static str, shape: &'static str) -> Instance {
    Instance { expr, shape, given: "" }
}

const SETS: [Instance; 24] = [
    instance("reals", "5"),
    instance("nonnegative", "5"),
    instance("box(-1, 2)", "5"),
    instance("box", "4"),
    instance("simplex", "5"),
    instance("euclidean(simplex)", "5"),
    instance("simplex(2.5)", "4"),
    instance("simplex", "1"),
    instance("capped_simplex(0.5, 1)", "5"),
    instance("capped_simplex(1, 2)", "6"),
    instance("l1_ball(1.5)", "5"),
    instance("l2_ball(2)", "5"),
    instance("linf_ball(0.5)", "5"),
    instance("row_ball(0.7)", "3, 2"),
    instance("affine([[1.0, 2.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0, -1.0]], [1.0, 2.0])", "5"),
    instance("halfspace([1.0, 2.0, 0.0, -1.0, 0.5], 0.3)", "5"),
    instance("hyperplane([1.0, 2.0, 0.0, -1.0, 0.5], 0.3)", "5"),
    instance("sparse(2)", "5"),
    instance("sparse(3)", "2"),
    instance("second_order_cone", "5"),
    instance("second_order_cone", "1"),
    instance("positive_semidefinite", "3, 3"),
    instance("nuclear_ball(1.5)", "4, 3"),
    instance("nuclear_ball(0.5)", "2, 3"),
];

const TERMS: [Instance; 11] = [
    instance("norm1", "5"),
    instance("norm2", "5"),
    instance("norm_inf", "5"),
    instance("squared_norm", "5"),
    Instance { expr: "elastic_net", shape: "5", given: "let (l1, l2) = (1, 1)\n" },
    Instance { expr: "group_norm", shape: "3, 2", given: "let g = 3\n" },
    instance("huber", "5"),
    instance("logistic", "5"),
    instance("hinge", "5"),
    instance("log_sum_exp", "5"),
    instance("log_sum_exp", "1"),
];

/// A set or term as the library declares it.
struct Item {
    name: String,
    facts: Vec<String>,
    body: String,
}

impl Item {
    fn is(&self, fact: &str) -> bool {
        self.facts.iter().any(|f| f == fact)
    }

    /// `fact(ARGUMENT)`
    fn argument(&self, fact: &str) -> Option<&str> {
        self.facts.iter().find_map(|f| f.strip_prefix(fact)?.strip_prefix('(')?.strip_suffix(')'))
    }

    fn has(&self, oracle: &str) -> bool {
        self.body.lines().any(|l| l.trim_start().starts_with(oracle))
    }
}

fn items(module: &str, word: &str) -> Vec<Item> {
    let text = gradus::stdlib::MODULES.iter().find(|(n, _)| *n == module).map(|(_, t)| *t).unwrap_or("");
    let mut out = Vec::new();
    for (start, _) in text.match_indices(&format!("\n{word} ")) {
        let rest = &text[start + word.len() + 2..];
        let body = rest.split("\n}").next().unwrap_or(rest);
        let name = body.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let facts = body.lines().filter_map(|l| l.trim_start().strip_prefix("is ")).flat_map(split_facts).collect();
        out.push(Item { name, facts, body: body.to_string() });
    }
    out
}

/// At commas outside parentheses.
fn split_facts(line: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut depth = 0;
    for c in line.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                out.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = out.last_mut() {
            last.push(c);
        }
    }
    out.iter().map(|f| f.trim().to_string()).collect()
}

fn base(expr: &str) -> &str {
    expr.split('(').next().unwrap_or(expr)
}

/// Complaints about the library's sets and terms.
pub fn check() -> Vec<String> {
    let mut complaints = Vec::new();
    for (module, word, table) in [("sets", "set", SETS.as_slice()), ("terms", "term", TERMS.as_slice())] {
        let items = items(module, word);
        if items.is_empty() {
            complaints.push(format!("stdlib/{module}.opt has no `{word}`"));
        }
        for item in &items {
            let mut instances = table.iter().filter(|i| base(i.expr) == item.name).peekable();
            if instances.peek().is_none() {
                complaints.push(format!("the {word} `{}` has no instance in crates/gradus-testkit/src/laws.rs", item.name));
            }
            for i in instances {
                let script = if word == "set" { of_set(item, i) } else { of_term(item, i) };
                complaints.extend(run(i.expr, &script).err());
            }
        }
    }
    complaints
}

fn run(what: &str, script: &str) -> Result<(), String> {
    let mut session = Session::builder().build();
    let file = session.text("laws.opt", script);
    let outcome = session.run(file, &mut Silent);
    if outcome.status == Status::Done {
        return Ok(());
    }
    let text: String =
        outcome.diagnostics.iter().take(3).map(|d| gradus::report::render(d, session.sources(), Default::default())).collect();
    Err(format!("{what}:\n{text}"))
}

/// Points to try: random ones at three scales, ties, zero, and one large entry.
fn points(shape: &str) -> Vec<(String, f64)> {
    vec![
        (format!("normal(key(1), {shape})"), 1.0),
        (format!("3 * normal(key(2), {shape})"), 3.0),
        (format!("0.01 * normal(key(3), {shape})"), 1.0),
        (format!("1e6 * normal(key(4), {shape})"), 1e6),
        (format!("full(0.7, {shape})"), 1.0),
        (format!("zeros({shape})"), 1.0),
        (format!("-2 * ones({shape})"), 2.0),
    ]
}

fn of_set(item: &Item, i: &Instance) -> String {
    let mut s = format!("let S = {}\n", i.expr);
    for (k, (point, scale)) in points(i.shape).into_iter().enumerate() {
        let tol = 1e-9 * scale;
        let mut line = |text: String| {
            let _ = writeln!(s, "{text}");
        };
        line(format!("let v{k} = {point}"));
        line(format!("let p{k} = project(S, v{k})"));
        line(format!("let w{k} = {scale:e} * normal(key({}), {})", 100 + k, i.shape));
        line(format!("let z{k} = project(S, w{k})"));
        line(format!("assert contains(S, p{k}, {tol:e}), \"the projection of {point} is feasible\""));
        line(format!("assert norm_inf(project(S, p{k}) - p{k}) <= {tol:e}, \"projecting {point} twice is projecting once\""));
        if item.is("cone") {
            line(format!("assert norm_inf(project(S, 2 * v{k}) - 2 * p{k}) <= {tol:e}, \"a cone at {point}\""));
        }
        if item.is("symmetric") {
            line(format!("assert norm_inf(project(S, -v{k}) + p{k}) <= {tol:e}, \"symmetric at {point}\""));
        }
        if !item.is("convex") {
            line(format!("assert norm2(p{k} - v{k}) <= norm2(z{k} - v{k}) * (1 + 1e-12), \"no other member is nearer to {point}\""));
            continue;
        }
        line(format!("assert dot(v{k} - p{k}, z{k} - p{k}) <= {:e}, \"the variational inequality at {point}\"", tol * scale * 10.0));
        line(format!("assert norm2(p{k} - z{k}) <= norm2(v{k} - w{k}) * (1 + 1e-9) + {tol:e}, \"nonexpansive at {point}\""));
        // Members that the projection itself may never give: random points nearby that happen to be in the set.
        for (j, near) in [0.01, 0.1, 1.0].into_iter().enumerate() {
            line(format!("let n{k}_{j} = p{k} + {:e} * normal(key({}), {})", near * scale, 300 + 10 * k + j, i.shape));
            line(format!(
                "assert not contains(S, n{k}_{j}, 0) or dot(v{k} - p{k}, n{k}_{j} - p{k}) <= {:e}, \"the variational inequality near {point}\"",
                tol * scale * 10.0
            ));
        }
        if item.has("minimize_linear") {
            line(format!("let m{k} = minimize_linear(S, v{k})"));
            line(format!("assert contains(S, m{k}, {tol:e}), \"the linear minimizer for {point} is feasible\""));
            line(format!("assert dot(v{k}, m{k}) <= dot(v{k}, z{k}) + {:e}, \"the linear minimizer for {point} is best\"", tol * scale * 10.0));
        }
        if item.is("bounded") {
            line(format!("assert norm2(p{k}) <= 100, \"bounded at {point}\""));
        }
    }
    s.push_str(&derivative("v -> project(S, v)", i.shape));
    s
}

/// The slope of a function of an array against central differences, at a point where it is smooth with probability one.
fn derivative(f: &str, shape: &str) -> String {
    format!(
        "let oracle = {f}\nlet a = 0.8 * normal(key(11), {shape}) + 0.4\nlet b = normal(key(12), {shape})\n\
         let (_, slope) = jvp(oracle, a, b)\nlet step = 1e-6\n\
         let difference = (oracle(a + step * b) - oracle(a - step * b)) / (2 * step)\n\
         assert norm_inf(slope - difference) <= 1e-5, \"the derivative of the oracle against differences\"\n"
    )
}

fn of_term(item: &Item, i: &Instance) -> String {
    let h = i.expr;
    let mut s = i.given.to_string();
    let mut line = |text: String| {
        let _ = writeln!(s, "{text}");
    };
    for (k, (point, scale)) in points(i.shape).into_iter().enumerate() {
        // Values grow like the square of the point at most.
        let tol = 1e-9 * scale * scale;
        line(format!("let x{k} = {point}"));
        line(format!("let y{k} = {scale:e} * normal(key({}), {})", 100 + k, i.shape));
        if item.is("convex") {
            line(format!("assert {h}((x{k} + y{k}) / 2) <= ({h}(x{k}) + {h}(y{k})) / 2 + {tol:e}, \"convex at {point}\""));
        }
        if item.is("nonnegative") {
            line(format!("assert {h}(x{k}) >= 0, \"nonnegative at {point}\""));
        }
        if item.is("separable") {
            line(format!("assert abs({h}(concat(x{k}, y{k}, axis = 0)) - {h}(x{k}) - {h}(y{k})) <= {tol:e}, \"separable at {point}\""));
        }
        if let Some(d) = item.argument("homogeneous") {
            line(format!("assert abs({h}(2.5 * x{k}) - 2.5^({d}) * {h}(x{k})) <= {tol:e} * 10, \"homogeneous at {point}\""));
        }
        if let Some(c) = item.argument("lipschitz") {
            line(format!("assert abs({h}(x{k}) - {h}(y{k})) <= ({c}) * norm2(x{k} - y{k}) * (1 + 1e-9) + {tol:e}, \"lipschitz at {point}\""));
        }
        if let Some(c) = item.argument("smooth") {
            line(format!(
                "assert norm2(grad(u -> {h}(u))(x{k}) - grad(u -> {h}(u))(y{k})) <= ({c}) * norm2(x{k} - y{k}) * (1 + 1e-9) + {tol:e}, \"smooth at {point}\""
            ));
        }
        if let Some(m) = item.argument("strongly_convex") {
            line(format!(
                "assert {h}(y{k}) >= {h}(x{k}) + dot(grad(u -> {h}(u))(x{k}), y{k} - x{k}) + ({m}) / 2 * sum_squares(y{k} - x{k}) - {tol:e} * 10, \"strongly convex at {point}\""
            ));
        }
        if item.has("prox") {
            for (j, t) in [0.3, 2.0].into_iter().enumerate() {
                line(format!("let p{k}_{j} = prox({h}, x{k}, {t})"));
                for (l, near) in [0.01, 0.3, 3.0].into_iter().enumerate() {
                    line(format!("let z{k}_{j}_{l} = p{k}_{j} + {near} * normal(key({}), {})", 200 + 10 * k + l, i.shape));
                    line(format!(
                        "assert {t} * {h}(p{k}_{j}) + sum_squares(p{k}_{j} - x{k}) / 2 <= {t} * {h}(z{k}_{j}_{l}) + sum_squares(z{k}_{j}_{l} - x{k}) / 2 + {tol:e}, \"prox of {t} at {point}\""
                    ));
                }
            }
        }
        if item.has("conjugate") && scale < 10.0 {
            line(format!("let s{k} = grad(u -> {h}(u))(x{k})"));
            // A gradient may lie a rounding outside the domain of the conjugate; it is taken a little inside.
            line(format!("let c{k} = conjugate({h})((1 - 1e-10) * s{k})"));
            line(format!("assert abs({h}(x{k}) + c{k} - dot(x{k}, s{k})) <= 1e-7, \"Fenchel's equality at {point}\""));
        }
    }
    if item.has("prox") {
        s.push_str(&derivative(&format!("v -> prox({h}, v, 0.3)"), i.shape));
    }
    s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_split_at_their_commas() {
        assert_eq!(split_facts("convex, lipschitz(max(1, 2)), cone"), ["convex", "lipschitz(max(1, 2))", "cone"]);
    }

    /// A wrong projection and a wrong fact are caught.
    #[test]
    fn wrong_oracles_are_caught() {
        let item = Item { name: "l2_ball".into(), facts: vec!["cone".into()], body: String::new() };
        let wrong_fact = of_set(&item, &instance("l2_ball(1)", "5"));
        assert!(run("wrong fact", &wrong_fact).is_err_and(|e| e.contains("a cone")));
        let item = Item { name: "bad".into(), facts: vec!["convex".into()], body: String::new() };
        let declared = "set bad(d: int) of x: real[d] {\n  where norm2(x) <= 1\n  project v = v / max(norm1(v), 1)\n}\n";
        let wrong_projection = format!("{declared}{}", of_set(&item, &instance("bad(5)", "5")));
        let found = run("wrong projection", &wrong_projection);
        assert!(found.as_ref().is_err_and(|e| e.contains("variational")), "{found:?}");
        let item = Item { name: "norm1".into(), facts: vec!["smooth(1)".into()], body: String::new() };
        assert!(run("wrong smoothness", &of_term(&item, &instance("norm1", "5"))).is_err_and(|e| e.contains("smooth")));
    }
}
