//! What the interpreter asks of the outside: library texts, data, execution, output. The facade implements it.

use gradus_ir::{Array, Graph, Origin};
use gradus_syntax::ast::Module;
use gradus_syntax::{Diagnostic, FileId, Span};
use std::sync::Arc;

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The iterations of a solve.
    Solve,
    /// What is measured at the answer of a solve.
    Measure,
    /// A value that the script asks for.
    Value,
}

/// Runs graphs. Implemented by the facade as rewrite → plan → executor, with its cache.
pub trait Engine {
    /// Told before a run what it is for, with the source text that asks for it: for records, never for results.
    fn about(&mut self, _purpose: Purpose, _text: &str) {}

    /// The outputs of a graph whose shapes are all known. `inputs` are in parameter order.
    fn run(&mut self, graph: &Graph, inputs: &[Array]) -> Result<Vec<Array>, Fault>;

    /// What inner solves did in the runs since this was asked last.
    fn counted(&mut self) -> Vec<Level> {
        Vec::new()
    }

    /// The graph for each of several inputs, each with the bits that `run` gives.
    fn run_many(&mut self, graph: &Graph, inputs: &[Vec<Array>]) -> Vec<Result<Vec<Array>, Fault>> {
        inputs.iter().map(|i| self.run(graph, i)).collect()
    }

    /// The same without rewriting and in double precision, whatever the precision of the run: for what is measured once and
    /// must not share a form with what it measures.
    fn run_as_written(&mut self, graph: &Graph, inputs: &[Array]) -> Result<Vec<Array>, Fault>;

    /// The graph with a few exactly equal, numerically safer forms (log-sum-exp, softplus, …), for differentiation.
    fn stabilise(&mut self, graph: &Graph) -> Graph;

    /// A law of the script: applied from now on, where it was tested.
    fn learn(&mut self, law: StatedLaw) -> Result<(), Unfit>;

    /// Runs again, unrewritten, and reports the first operation that made a NaN (or else an infinity) of finite operands.
    fn first_nonfinite(&mut self, graph: &Graph, inputs: &[Array]) -> Option<NonFinite>;
}

/// A law that says `is rewrite`, traced.
#[derive(Clone, Debug)]
pub struct StatedLaw {
    pub name: Arc<str>,
    /// Names of the graph's parameters.
    pub variables: Vec<Arc<str>>,
    /// Outputs: left side, right side, conditions. Lengths may be names.
    pub graph: Graph,
    /// The same floats on both sides.
    pub exact: bool,
    /// On how many random instances it held; not applied before it was tested.
    pub tested: Option<usize>,
}

/// Why a law is no rewrite rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    Form(String),
    /// The right side holds an instance of the left one.
    Loops,
}

/// The inner solves (or linear systems) of one place, counted over a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    pub what: Arc<str>,
    pub origin: Origin,
    pub solves: f64,
    /// Fewest, mean, most; NaN where it is not known.
    pub steps: [f64; 3],
    /// The same of the residuals: of optimality, or relative ones of linear systems.
    pub residual: [f64; 3],
    /// How many ended without converging, and how many of no use.
    pub unfinished: f64,
    pub away: f64,
}

impl Level {
    /// From the numbers that a graph gives for a tally.
    pub fn new(what: Arc<str>, origin: Origin, sums: &[f64], least: &[f64], most: &[f64]) -> Option<Level> {
        let [solves, steps, residual, unfinished, away] = *sums else { return None };
        let ([s0, r0], [s1, r1]) = (<[f64; 2]>::try_from(least).ok()?, <[f64; 2]>::try_from(most).ok()?);
        (solves > 0.0).then(|| Level {
            what,
            origin,
            solves,
            steps: [s0, steps / solves, s1],
            residual: [r0, residual / solves, r1],
            unfinished,
            away,
        })
    }

    /// Both runs together.
    pub fn with(&self, o: &Level) -> Level {
        let n = self.solves + o.solves;
        let join = |a: &[f64; 3], b: &[f64; 3]| {
            // NaN wins: what is not known of a part is not known of the whole.
            let (least, most) = if (a[0] - b[0]).is_nan() { (f64::NAN, f64::NAN) } else { (a[0].min(b[0]), a[2].max(b[2])) };
            [least, (a[1] * self.solves + b[1] * o.solves) / n, most]
        };
        Level {
            solves: n,
            steps: join(&self.steps, &o.steps),
            residual: join(&self.residual, &o.residual),
            unfinished: self.unfinished + o.unfinished,
            away: self.away + o.away,
            ..self.clone()
        }
    }
}

/// A derivative of a script, beside differences: along one direction, the worst of those that were tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Slope {
    pub what: &'static str,
    pub span: Span,
    pub ours: f64,
    pub differences: f64,
    /// Their difference, relative to the larger.
    pub error: f64,
    pub verdict: Verdict,
}

/// From good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Agrees,
    /// Not compared alone: its point is only known inside a loop, or inside another derivative.
    Inside,
    /// The slopes on both sides differ, and the derivative lies between them.
    Kink,
    Differs,
    /// There is no finite number to compare.
    Failed,
}

/// Why a run did not give its outputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// An index outside its axis.
    Index { origin: Origin, index: f64, len: usize },
    /// The caller's token was set, or a limit was reached.
    Cancelled,
    TimeLimit,
    /// The plan needs more memory than the limit allows.
    Memory { needed: usize, limit: usize },
    /// A whole number that the precision of the run does not have; where it arose, if that is known.
    Whole { origin: Option<Origin>, value: f64 },
    /// A mistake of the compiler; the text says which stage.
    Internal(String),
}

/// Where a number stopped being finite.
#[derive(Clone, Debug, PartialEq)]
pub struct NonFinite {
    pub origin: Origin,
    /// Name of the operation, and what it gave.
    pub op: &'static str,
    pub value: f64,
    /// The steps of the enclosing loops, outermost first, counted from 0.
    pub steps: Vec<u64>,
}

/// `csv("f.csv", columns = 0..10)` after its arguments were evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct DataRequest {
    /// The name of the `data` declaration.
    pub name: Arc<str>,
    pub format: DataFormat,
    pub path: Arc<str>,
    pub columns: Columns,
    /// Rows `from..to` of the data rows, header not counted.
    pub rows: Option<(usize, Option<usize>)>,
    pub header: Header,
    pub separator: Option<char>,
    /// Name of the array inside an `npz`.
    pub member: Option<Arc<str>>,
    /// How many axes the declaration has, and whether its elements must be integers.
    pub rank: usize,
    pub integers: bool,
    /// The declaration, and the source expression that names the file.
    pub span: Span,
    pub source: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataFormat {
    Csv,
    Npy,
    Npz,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Columns {
    All,
    /// `a..b` by position
    Range(usize, usize),
    /// One column, given as a vector.
    One(ColumnRef),
    Many(Vec<ColumnRef>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum ColumnRef {
    Position(usize),
    Name(Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    Auto,
    Yes,
    No,
}

/// A module of the standard library, parsed once by whoever holds it.
#[derive(Clone, Debug)]
pub struct Library {
    pub file: FileId,
    pub text: Arc<str>,
    pub tree: Arc<Module>,
    /// The first syntax error, which a released library has not.
    pub broken: Option<Box<Diagnostic>>,
}

impl Library {
    pub fn parse(file: FileId, text: Arc<str>) -> Library {
        let (tree, diagnostics) = gradus_syntax::parse(file, &text);
        let broken = diagnostics.into_iter().find(Diagnostic::is_error).map(Box::new);
        Library { file, text, tree: Arc::new(tree), broken }
    }
}

/// The outside world of a run.
pub trait Host {
    /// A standard library module (`sets`, `nn`, …).
    fn library(&self, module: &str) -> Option<Library>;

    /// The modules whose names are visible without `use`, in order.
    fn prelude(&self) -> &[&'static str];

    /// All library modules, by the path `use` takes.
    fn modules(&self) -> Vec<&'static str>;

    /// The text of a script named in `use "file.opt"`, relative to the script that says so.
    fn script(&mut self, path: &str, from: FileId) -> Result<(FileId, Arc<str>), String>;

    /// Read data (E6xxx diagnostics: missing file, ragged row, text in a number column, NaN, wrong column count; with file, row, column).
    fn load(&mut self, request: &DataRequest) -> Result<Array, Box<Diagnostic>>;

    /// A binding made outside the script: `--data NAME=PATH` or the embedding application.
    fn bound(&mut self, name: &str) -> Option<Array>;

    /// A value given by `--set NAME=VALUE`, as text in the language.
    fn setting(&self, name: &str) -> Option<Arc<str>>;

    fn engine(&mut self) -> &mut dyn Engine;

    /// Called as results appear.
    fn emit(&mut self, event: Event);

    /// May this run go on? Checked between statements.
    fn cancelled(&self) -> bool {
        false
    }

    /// May tracing go on, with so many bytes in the graphs being built? Asked every few hundred expressions.
    fn limits(&self, bytes: usize) -> Result<(), Fault> {
        let _ = bytes;
        if self.cancelled() { Err(Fault::Cancelled) } else { Ok(()) }
    }
}

/// What a run says while it goes.
#[derive(Clone, Debug)]
pub enum Event {
    /// One `print` statement: each item with the text that named it (none for a string literal).
    Print { items: Vec<(Option<String>, Output)>, span: Span },
    Plot { items: Vec<(String, Output)>, settings: Vec<(String, Output)>, span: Span },
    Save { value: Output, path: String, span: Span },
    /// A solve has ended.
    Solved { name: Option<String>, record: Output, span: Span },
    /// A derivative was compared with differences. Sent only when asked for.
    Slope(Slope),
    Test { name: Arc<str>, passed: bool, diagnostics: Vec<Diagnostic> },
    Warning(Diagnostic),
    /// A stage's artifact in text form, for `explain` and golden files. Sent only when asked for.
    Stage { stage: &'static str, title: String, text: String },
}

/// A value as it leaves the interpreter: plain data.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    Array(Array),
    Text(Arc<str>),
    Record(Vec<(Arc<str>, Output)>),
    List(Vec<Output>),
    /// Something that has no data form (a function, a set): its description.
    Opaque(String),
}
