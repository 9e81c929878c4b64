//! The syntax tree: what the text says, before any name is known.
//!
//! Trees are shared by `Arc` where an evaluator keeps them (closures, declarations), so that no body is ever copied.

use crate::span::{FileId, Span};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub struct Module {
    pub file: FileId,
    pub items: Vec<Item>,
}

/// A name where it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    pub name: Arc<str>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The `///` lines above, without the slashes, joined by newlines.
    pub doc: Option<Arc<str>>,
    pub kind: ItemKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    Use(UseDecl),
    Data(DataDecl),
    Fn(Arc<FnDecl>),
    Type(Arc<TypeDecl>),
    Set(Arc<SetDecl>),
    Term(Arc<TermDecl>),
    Law(Arc<LawDecl>),
    Rule(Arc<RuleDecl>),
    /// `schedule NAME(params) at t = e`: a function of the step, counted from 1.
    Schedule(Arc<ScheduleDecl>),
    /// `stop NAME(params) = e`: a condition over the quantities of a running solve.
    Stop(Arc<FnDecl>),
    Method(Arc<MethodDecl>),
    Dist(Arc<DistDecl>),
    Model(Arc<ModelDecl>),
    Problem(Arc<ProblemDecl>),
    Test(TestDecl),
    Stmt(Stmt),
    /// A stretch of text that is no item; its diagnostic is in the list.
    Error,
}

/// `use nn.{mlp, cross_entropy}`, `use nn.mlp`, `use nn`, `use "helpers.opt"`.
#[derive(Clone, Debug, PartialEq)]
pub struct UseDecl {
    pub path: UsePath,
    /// `None`: the whole module under its own last name.
    pub names: Option<Vec<Ident>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum UsePath {
    Library(Vec<Ident>),
    File(Arc<str>, Span),
}

/// `data X: real[n, d] = csv("f.csv", columns = 0..10)`; without a source the run must bind it.
#[derive(Clone, Debug, PartialEq)]
pub struct DataDecl {
    pub name: Ident,
    pub ty: TypeExpr,
    pub source: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    pub name: Ident,
    pub ty: Option<TypeExpr>,
    pub default: Option<Expr>,
    /// `sizes: int...` takes all remaining positional arguments as a list.
    pub variadic: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FnDecl {
    pub name: Ident,
    pub params: Vec<Param>,
    pub ret: Option<TypeExpr>,
    pub body: Expr,
}

/// `type pair(n: int) = {a: real[n], b: real} { init key = e  apply x = e }`.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeDecl {
    pub name: Ident,
    pub params: Vec<Param>,
    pub ty: TypeExpr,
    pub oracles: Vec<Oracle>,
}

/// One oracle of a set, term or type: `project v = e`, `prox(v, t) = e`, `conjugate = e`.
#[derive(Clone, Debug, PartialEq)]
pub struct Oracle {
    pub name: Ident,
    pub params: Vec<Ident>,
    pub body: Expr,
}

/// `set simplex(d: int) of x: real[d] { where …  project v = … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct SetDecl {
    pub name: Ident,
    pub params: Vec<Param>,
    pub element: Param,
    pub members: Vec<Expr>,
    pub facts: Vec<Fact>,
    pub oracles: Vec<Oracle>,
}

/// `term norm1(x: real[d]) = sum(abs(x)) { is convex  prox(v, t) = …  conjugate = … }`. The first parameter is the argument.
#[derive(Clone, Debug, PartialEq)]
pub struct TermDecl {
    pub name: Ident,
    pub params: Vec<Param>,
    pub body: Expr,
    pub facts: Vec<Fact>,
    pub oracles: Vec<Oracle>,
}

/// `convex`, `homogeneous(1)`, `lipschitz(sqrt(d))`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    pub name: Ident,
    pub args: Vec<Expr>,
}

/// `law NAME: lhs == rhs is rewrite when cond, cond`.
#[derive(Clone, Debug, PartialEq)]
pub struct LawDecl {
    pub name: Ident,
    /// `law NAME(A: real[m, n], v: real[n]): …` names its pattern variables with their shapes.
    pub params: Vec<Param>,
    pub lhs: Expr,
    pub rhs: Expr,
    /// `is rewrite`: the left side may be replaced by the right one.
    pub facts: Vec<Fact>,
    pub conditions: Vec<Expr>,
}

/// `rule adam(lr: schedule = 1e-3) on g { state m = 0  m <- …  step … }`. `t` counts from 1, `x` is the unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleDecl {
    pub name: Ident,
    pub params: Vec<Param>,
    pub gradient: Ident,
    pub states: Vec<(Ident, Expr)>,
    pub body: Vec<StepStmt>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleDecl {
    pub name: Ident,
    pub params: Vec<Param>,
    pub time: Ident,
    pub body: Expr,
}

/// A line of a rule's or a method's step. `x <- e` takes effect at once for the lines below it.
#[derive(Clone, Debug, PartialEq)]
pub enum StepStmt {
    Let(Pattern, Option<TypeExpr>, Expr),
    Assign(Ident, Expr),
    /// `step e`: what a rule adds to the unknown (rules only).
    Step(Expr),
}

/// `method fista(…) for min x of f + h where f is smooth, h is proxable { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodDecl {
    pub name: Ident,
    pub params: Vec<Param>,
    pub form: MethodForm,
    /// `f is smooth, h is proxable`
    pub requires: Vec<(Ident, Vec<Fact>)>,
    /// Before the loop, in order: `state x = e` and `let L = e`.
    pub prelude: Vec<Prelude>,
    pub step: Vec<StepStmt>,
    /// `stop when e` (checked after each step); several are alternatives.
    pub stop: Vec<Expr>,
    /// `certificate e`
    pub certificate: Option<Expr>,
    /// `return x`: the state that is the answer; the state named like the unknown where absent.
    pub result: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Prelude {
    State(Ident, Expr),
    Let(Pattern, Option<TypeExpr>, Expr),
}

/// What a method solves: `min x of f`, `min x in C of f`, `min x of f + h`, `min x in C of f subject to g`, `find x in C of F`,
/// `min x in C of F with argmin y in D of f subject to g`.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodForm {
    /// `find`: the answer is where an operator is zero, or points out of the set.
    pub find: bool,
    pub unknown: Ident,
    pub set: Option<Ident>,
    /// The smooth part; of a `find`, the operator.
    pub smooth: Ident,
    /// The proxable part, `+ h`; with `rest` those terms and sets that have one proximal operator together.
    pub prox: Option<Ident>,
    /// `f + g + h`, `f + h(K)`, `f + g + h(K)`: the terms, sets and constraints that `prox` does not hold.
    pub rest: Option<Ident>,
    /// The linear map K whose value `rest` takes.
    pub map: Option<Ident>,
    /// `subject to g`: the constraint residuals.
    pub constraints: Option<Ident>,
    /// `with argmin y of f`: a method for two levels; its functions take both unknowns.
    pub lower: Option<LowerForm>,
}

/// The lower level of a method for two levels: `argmin y in D of f subject to g`.
#[derive(Clone, Debug, PartialEq)]
pub struct LowerForm {
    pub unknown: Ident,
    pub set: Option<Ident>,
    pub objective: Ident,
    pub constraints: Option<Ident>,
}

/// `dist gumbel(m: real, s: real) of x { log_density = e … }`: oracles only.
#[derive(Clone, Debug, PartialEq)]
pub struct DistDecl {
    pub name: Ident,
    pub params: Vec<Param>,
    pub element: Param,
    pub facts: Vec<Fact>,
    pub oracles: Vec<Oracle>,
}

/// `model` and `guide`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelDecl {
    pub guide: bool,
    pub name: Ident,
    pub params: Vec<Param>,
    pub body: Vec<ModelStmt>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ModelStmt {
    Let(Pattern, Option<TypeExpr>, Expr),
    /// `theta ~ normal(mu, tau) [8] by reparam`
    Sample { name: Ident, dist: Expr, plates: Vec<Expr>, strategy: Option<Expr> },
    For { var: Ident, range: Expr, body: Vec<ModelStmt> },
    Return(Expr),
}

/// `problem lasso(lambda: real) = min w: real[d] of …`.
#[derive(Clone, Debug, PartialEq)]
pub struct ProblemDecl {
    pub name: Ident,
    pub params: Vec<Param>,
    pub body: Expr,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TestDecl {
    pub name: Arc<str>,
    pub name_span: Span,
    pub body: Vec<Stmt>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    Let(Pattern, Option<TypeExpr>, Expr),
    /// `print a, "text", b`
    Print(Vec<Expr>),
    /// `plot e, e` with optional named settings
    Plot(Vec<Arg>),
    /// `save e to "file"`
    Save(Expr, Expr),
    /// `assert e` or `assert e, "message"`
    Assert(Expr, Option<Expr>),
    /// `certify s: kkt <= 1e-8, feasible <= 1e-10`
    Certify(Expr, Vec<Expr>),
    /// A bare expression: its value is shown in the REPL, and is an error in a script where it does nothing.
    Expr(Expr),
    Error,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    Name(Ident),
    /// `_`
    Wild(Span),
    Tuple(Vec<Pattern>, Span),
    /// `{a, b}`: fields by name
    Record(Vec<Ident>, Span),
}

pub struct Expr {
    pub kind: Box<ExprKind>,
    pub span: Span,
}

/// An argument of a call: positional, or `name = value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    pub name: Option<Ident>,
    pub value: Expr,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    Real(f64),
    Int(i64),
    Bool(bool),
    Str(Arc<str>),
    Name(Ident),
    /// `e.name`
    Field(Expr, Ident),
    Call(Expr, Vec<Arg>),
    /// `x[i, a..b, :, None]`
    Index(Expr, Vec<Index>),
    Unary(UnaryOp, Expr),
    Binary(BinaryOp, Expr, Expr),
    /// `0 <= x <= 1`: operands n + 1, operators n.
    Compare(Vec<Expr>, Vec<CompareOp>),
    /// `x'`
    Transpose(Expr),
    /// `(a, b)`
    Tuple(Vec<Expr>),
    /// `[a, b, c]`: an array where the elements are numeric and equal in shape, else a list.
    List(Vec<Expr>),
    /// `[e for x in xs, y in ys if c]`
    Comprehension { body: Expr, clauses: Vec<(Pattern, Expr)>, filter: Option<Expr> },
    /// `a..b` and `a..=b`
    Range { from: Expr, to: Expr, inclusive: bool },
    /// `{a = e, b}`: a field without a value takes the variable of that name.
    Record(Vec<(Ident, Option<Expr>)>),
    /// `{ let a = e; e }`: the value is the last expression.
    Block(Vec<Stmt>, Expr),
    /// `let p = e in e`
    LetIn(Pattern, Option<TypeExpr>, Expr, Expr),
    /// `x -> e`, `(x: real[n], y) -> e`
    Lambda(Arc<Lambda>),
    If(Expr, Expr, Expr),
    /// `for i in xs from s = s0 { e }`: the last state.
    For { var: Pattern, over: Expr, state: Pattern, init: Expr, body: Expr },
    /// `while c from s = s0 upto n { e }`: the last state; `upto` bounds the steps.
    While { cond: Expr, state: Pattern, init: Expr, limit: Option<Expr>, body: Expr },
    /// `scan x in xs from s = s0 { (s1, out) }`: the last state, and the outs stacked along a new first axis.
    Scan { var: Pattern, over: Expr, state: Pattern, init: Expr, body: Expr },
    /// `min x: T in S of e subject to …`, `argmin`, `max`, `argmax`.
    Optimize(Arc<Optimize>),
    /// `find x: T in S of F`
    Find(Arc<Find>),
    /// `fix x from x0 of e`
    Fix(Arc<Fix>),
    /// `expect z ~ D of e`
    Expect(Arc<Expect>),
    /// `solve p(…) by m until c with …`
    Solve(Arc<Solve>),
    /// `time 10 s`, `steps 500` in an `until` clause: the named quantity has reached that much (seconds for time).
    Budget(Ident, Expr, Option<Ident>),
    /// A broken expression; its diagnostic is in the list.
    Error,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Index {
    At(Expr),
    /// `a..b` with either end left out; `:` is both left out. `inclusive` for `..=`.
    Slice { from: Option<Expr>, to: Option<Expr>, inclusive: bool, span: Span },
    /// `None`: a new axis of length one.
    NewAxis(Span),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Lambda {
    pub params: Vec<Param>,
    pub body: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sense {
    Min,
    Max,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Optimize {
    pub sense: Sense,
    /// `argmin`/`argmax`: the value is the point.
    pub arg: bool,
    pub unknowns: Vec<Unknown>,
    pub objective: Expr,
    pub constraints: Vec<Constraint>,
    pub clauses: Clauses,
}

/// `x: T in S`
#[derive(Clone, Debug, PartialEq)]
pub struct Unknown {
    pub name: Ident,
    pub ty: Option<TypeExpr>,
    pub set: Option<Expr>,
}

/// `cap: w <= 0.1`; the expression is a comparison or `e in S`.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    pub name: Option<Ident>,
    pub expr: Expr,
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Clauses {
    pub by: Option<Expr>,
    pub diff: Option<Expr>,
    /// `warm on`, `warm off`: does an inner solve start where it ended in the step before?
    pub warm: Option<bool>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Find {
    pub unknowns: Vec<Unknown>,
    /// `find t in (lo, hi) of …`: a bracket given as a pair is parsed as the unknown's set.
    pub operator: Expr,
    pub clauses: Clauses,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    pub unknown: Pattern,
    pub init: Expr,
    pub body: Expr,
    pub clauses: Clauses,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    pub pattern: Pattern,
    pub dist: Expr,
    pub body: Expr,
    pub strategy: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Solve {
    pub problem: Expr,
    /// `by a then b`: the stages in order; empty when left to the compiler.
    pub stages: Vec<Expr>,
    /// `from e`: where to start.
    pub start: Option<Expr>,
    /// `until kkt < 1e-10 or time 10 s`
    pub until: Option<Expr>,
    /// `with samples = 16`, `with delta by pgd(…)`
    pub with: Vec<With>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum With {
    Setting(Ident, Expr),
    Inner(Ident, Expr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    Neg,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    MatMul,
    Pow,
    Mod,
    And,
    Or,
    /// `&`: intersection of sets, update of records
    Meet,
    /// `|>`: the left value goes into the right function or rule
    Pipe,
    /// `f . g`: composition, written with spaces
    Compose,
    /// `a after b`: rule `b` first
    After,
    /// `x in S`
    In,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
}

pub struct TypeExpr {
    pub kind: Box<TypeKind>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// `real`, `int`, `bool`, `string`, `schedule`, `rule`, `list`, a declared type, or a library one.
    Name(Ident),
    /// `real[n, d + 1]`, `mlp[64, 128, 10]`; dimensions are expressions over dimension names and integers.
    Array(TypeExpr, Vec<Expr>),
    Record(Vec<(Ident, TypeExpr)>),
    Tuple(Vec<TypeExpr>),
    /// `[T for p in e]`: one type per element
    List { body: TypeExpr, pattern: Pattern, over: Expr },
    /// `A -> B`
    Fn(TypeExpr, TypeExpr),
    SetOf(TypeExpr),
    DistOf(TypeExpr),
    Error,
}
