//! The command line: what may be said, and the words for what may not.

use gradus::Precision;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Parser)]
#[command(
    name = "gradus",
    version,
    about = "Gradus: say what is to be optimized; the compiler finds the fused gradient program that does it.",
    after_help = "Exit codes: 0 done, 1 the program is wrong or failed, 2 usage, 3 a test or assert failed, 130 interrupted.",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Colour of the output
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub color: When,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand)]
pub enum Command {
    /// Check and run scripts
    Run(RunArgs),
    /// Find mistakes in names, types and shapes before any data is read
    Check(CheckArgs),
    /// Run the `test` blocks of scripts
    Test(TestArgs),
    /// Show an item of the library, list them all, or write its pages
    Doc(DocArgs),
    /// Compare every derivative that scripts and their tests take with differences, at their own data
    CheckGrad(CheckGradArgs),
    /// Put scripts into the standard layout
    Fmt(FmtArgs),
    /// Run the computations of scripts again and again, and say what they take
    Bench(BenchArgs),
    /// Measure this machine once, for the cost model of the rewriter and the shares that `bench` prints
    Calibrate(CalibrateArgs),
    /// Show the stages of a script, or the long story of a code such as E2001
    Explain(ExplainArgs),
    /// Verify a proof file that `explain --proof` wrote
    CheckProof(CheckProofArgs),
}

#[derive(Args)]
pub struct SessionArgs {
    /// Replace the value of a top-level `let`; the value is an expression
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = binding)]
    pub set: Vec<(String, String)>,
    /// Read a `data` declaration from this file
    #[arg(long = "data", value_name = "NAME=PATH", value_parser = binding)]
    pub data: Vec<(String, String)>,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// End the run after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub time_limit: Option<Duration>,
    /// Most memory that one computation may take, and the graph of a script: bytes, or with a unit as in `500M` and `2G`
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub memory: Option<usize>,
    /// Which rewrites may change the graphs
    #[arg(long, value_enum, default_value_t = Rewrites::Default, value_name = "LEVEL")]
    pub rewrites: Rewrites,
    /// The machine that the cost model prices for: a file written by `gradus calibrate`, or `default` for the built-in numbers
    /// [default: what was measured here before, if anything]
    #[arg(long, value_name = "FILE|default")]
    pub machine: Option<String>,
    /// Keep rewritten graphs in this folder, for the next process
    #[arg(long, value_name = "DIR")]
    pub plan_cache: Option<PathBuf>,
    /// What runs as native code, loops and large elementwise instructions; results are the same bits
    #[arg(long, value_enum, default_value_t = Native::Auto, value_name = "WHEN", hide = true)]
    pub native: Native,
    /// Where graphs run; this release has `cpu`
    #[arg(long, default_value = "cpu", value_parser = backend)]
    pub backend: String,
    /// Float type of the run: `f64` or `f32`
    #[arg(long, default_value = "f64", value_name = "TYPE")]
    pub precision: Precision,
    /// Threads that large operations may use; the results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<NonZeroUsize>,
}

#[derive(Args)]
pub struct RunArgs {
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub session: SessionArgs,
    /// Write every printed value and each solve's record as JSON; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write plots as SVG files into this folder instead of drawing them
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,
    /// Show only what the scripts print
    #[arg(long, short)]
    pub quiet: bool,
    /// Show how long each stage took
    #[arg(long)]
    pub timings: bool,
}

#[derive(Args)]
pub struct BenchArgs {
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub session: SessionArgs,
    /// Timed runs of each computation [default: at least 5, and until half a second has been measured]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub repeat: usize,
    /// Only computations whose source text contains this
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Also what is measured at the answers of solves
    #[arg(long)]
    pub measures: bool,
    /// One line of JSON for each computation instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct CalibrateArgs {
    /// Write to this file instead of the one that later runs find by themselves
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Args)]
pub struct CheckArgs {
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write the diagnostics as JSON; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Say nothing about scripts that are in order
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Args)]
pub struct TestArgs {
    #[arg(required_unless_present = "laws", conflicts_with = "laws", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Test what sets and terms declare against brute force: those of the library (`std`), or of a script
    #[arg(long, value_name = "std|FILE")]
    pub laws: Option<String>,
    #[command(flatten)]
    pub session: SessionArgs,
    /// Only tests, or sets and terms, whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Show only failures
    #[arg(long, short)]
    pub quiet: bool,
    /// Show how long each stage took
    #[arg(long)]
    pub timings: bool,
}

#[derive(Args)]
pub struct DocArgs {
    /// The item to show; without one, all are listed
    #[arg(value_name = "NAME", conflicts_with = "out")]
    pub name: Option<String>,
    /// Write pages into this folder: one a module, an index by problem, an index by paper
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Pages as HTML instead of Markdown
    #[arg(long, requires = "out")]
    pub html: bool,
}

#[derive(Args)]
pub struct CheckGradArgs {
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub session: SessionArgs,
    /// One line of JSON for each script instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct FmtArgs {
    /// Scripts to format in place; none, or `-`: from standard input to standard output
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Change nothing; say which scripts are not in the standard layout
    #[arg(long)]
    pub check: bool,
}

#[derive(Args)]
pub struct ExplainArgs {
    /// A script, or a code
    #[arg(value_name = "FILE|CODE")]
    pub subject: String,
    /// Only this stage
    #[arg(long, value_enum, value_name = "STAGE")]
    pub stage: Option<StageName>,
    /// Write the proofs of all rewritten graphs as JSON, instead of stages; `-` is the standard output
    #[arg(long, value_name = "FILE", conflicts_with = "stage")]
    pub proof: Option<PathBuf>,
    #[command(flatten)]
    pub session: SessionArgs,
}

#[derive(Args)]
pub struct CheckProofArgs {
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StageName {
    Ast,
    Types,
    Ir,
    Grad,
    Rewrite,
    Plan,
}

impl StageName {
    pub fn name(self) -> &'static str {
        match self {
            StageName::Ast => "ast",
            StageName::Types => "types",
            StageName::Ir => "ir",
            StageName::Grad => "grad",
            StageName::Rewrite => "rewrite",
            StageName::Plan => "plan",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rewrites {
    /// Graphs run as they were traced
    Off,
    /// Only rules that give the same floats
    Strict,
    /// Also rules that are equal over the reals
    Default,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Native {
    /// Every loop that can
    On,
    Off,
    /// Those that run long enough to pay for compiling them
    Auto,
}

fn binding(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
            Ok((name.trim().to_string(), value.trim().to_string()))
        }
        _ => Err("write NAME=VALUE".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let n: Option<f64> = text.parse().ok().filter(|n: &f64| *n > 0.0);
    n.and_then(|n| Duration::try_from_secs_f64(n).ok()).ok_or_else(|| "a number of seconds is needed, as in 0.5 or 60".into())
}

fn bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) => (digits, match text.as_bytes().last() {
            Some(b'K') => 1usize << 10,
            Some(b'M') => 1 << 20,
            _ => 1 << 30,
        }),
        None => (text, 1),
    };
    let n = digits.parse().ok().and_then(|n: usize| n.checked_mul(unit)).filter(|n| *n > 0);
    n.ok_or_else(|| "a number of bytes is needed, as in 500000, 500M or 2G".into())
}

fn backend(text: &str) -> Result<String, String> {
    match text {
        "cpu" => Ok(text.into()),
        "wgpu" | "cuda" => Err(format!("this release has no {text} backend yet; it runs on `cpu`")),
        _ => Err("the backends are `cpu` in this release, and later `wgpu` and `cuda`".into()),
    }
}

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse() {
        Ok(n) => NonZeroUsize::new(n).ok_or_else(|| "at least one thread is needed".into()),
        Err(_) => Err("a number of threads is needed".into()),
    }
}
