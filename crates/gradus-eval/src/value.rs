//! Values of the language while a script is evaluated. Numbers are nodes of a graph; everything else is static.

use crate::env::Env;
use crate::interp::Interp;
use crate::random::{Dist, DistDecl};
use crate::solve::problem::Problem;
use crate::solve::prox::ProxFn;
use crate::solve::region_fn::RegionFn;
use gradus_ir::NodeId;
use gradus_syntax::ast;
use gradus_syntax::{Diagnostic, Label, Span};
use std::fmt;
use std::sync::Arc;

/// Why an evaluation gave no value.
#[derive(Debug)]
pub enum Stop {
    /// Something to tell.
    Diagnostic(Box<Diagnostic>),
    /// It used a value whose making failed and was told already.
    Poisoned,
    /// The caller asked to stop.
    Cancelled,
}

pub type Eval<T> = Result<T, Stop>;

/// Call sites that one complaint lists at most; recursion has no end otherwise.
const MOST_CALLS: usize = 50;

impl Stop {
    /// Remember the call that led here, unless the complaint points at that call already.
    pub fn called_from(mut self, name: &str, call: Span) -> Stop {
        if let Stop::Diagnostic(d) = &mut self {
            let at = d.primary.span;
            let seen = at.file == call.file && call.start <= at.start && at.end <= call.end;
            if !seen && call.file.0 != 0 && d.trace.len() < MOST_CALLS {
                // A function without a name is called `function` inside.
                let text = if name == "function" { "a function is called".to_string() } else { format!("`{name}` is called") };
                d.trace.push(Label { span: call, text });
            }
        }
        self
    }
}

impl From<Diagnostic> for Stop {
    fn from(d: Diagnostic) -> Stop {
        Stop::Diagnostic(Box::new(d))
    }
}

impl From<Box<Diagnostic>> for Stop {
    fn from(d: Box<Diagnostic>) -> Stop {
        Stop::Diagnostic(d)
    }
}

/// A node of one of the graphs being built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Num {
    /// Which graph: the unique number of its level.
    pub level: u64,
    pub id: NodeId,
}

/// Fields in the order they were written.
pub type Fields = Vec<(Arc<str>, Value)>;

#[derive(Clone)]
pub enum Value {
    Num(Num),
    Str(Arc<str>),
    Record(Arc<Fields>),
    /// Tuples and lists.
    List(Arc<Vec<Value>>),
    Fn(Arc<Function>),
    Set(Arc<SetValue>),
    Term(Arc<TermValue>),
    /// The proxable part of an objective.
    Prox(Arc<ProxFn>),
    Type(Arc<TypeValue>),
    /// A record with a declared type that has methods of its own (`net(x)`).
    Typed(Arc<Typed>),
    Rule(Arc<RuleValue>),
    Method(Arc<MethodValue>),
    Problem(Arc<Problem>),
    ProblemDecl(Arc<ProblemDeclValue>),
    StopTest(Arc<StopValue>),
    Minibatch(Arc<Minibatch>),
    /// A distribution, or a model with its arguments.
    Dist(Arc<Dist>),
    /// What `dist`, `model` and `guide` declare.
    DistDecl(Arc<DistDecl>),
    /// A bare word with a meaning for the callee: `auto`, `ascending`.
    Symbol(&'static str),
    /// A library module, as in `nn.mlp`.
    Module(usize),
    /// What evaluates to nothing because its making failed and was told.
    Poison,
}

pub struct Typed {
    pub ty: Arc<TypeValue>,
    pub value: Value,
}

pub type Native = dyn Fn(&mut Interp<'_>, &[CallArg], Span) -> Eval<Value> + Send + Sync;

/// An evaluated argument.
#[derive(Clone)]
pub struct CallArg {
    pub name: Option<Arc<str>>,
    pub value: Value,
    pub span: Span,
}

pub enum Function {
    Closure { name: Arc<str>, params: Arc<[ast::Param]>, ret: Option<ast::TypeExpr>, body: ast::Expr, env: Env },
    Builtin(&'static crate::builtins::Builtin),
    /// Made by the evaluator: a derivative, a composition, an oracle.
    Native { name: Arc<str>, call: Box<Native> },
    /// A traced function of one argument (an objective, its smooth part).
    Region(RegionFn),
}

/// Parameters that were given a value, in order of declaration.
pub type Bound = Vec<(Arc<str>, Value)>;

/// A set with its parameters; those that are dimensions of the element may still be open.
pub struct SetValue {
    pub kind: SetKind,
}

pub enum SetKind {
    Declared { decl: Arc<ast::SetDecl>, env: Env, args: Bound },
    /// `A & B`
    Meet(Arc<SetValue>, Arc<SetValue>),
    /// An interval given as a pair `(lo, hi)`.
    Interval(Value, Value),
    /// One set per field of a record (products), absent fields are free.
    Product(Vec<(Arc<str>, Arc<SetValue>)>),
}

pub struct TermValue {
    pub kind: TermKind,
}

pub enum TermKind {
    Declared { decl: Arc<ast::TermDecl>, env: Env, args: Bound },
    Indicator(Arc<SetValue>),
    /// `a * term`
    Scaled(Num, Arc<TermValue>),
}

pub struct TypeValue {
    pub decl: Arc<ast::TypeDecl>,
    pub env: Env,
    pub args: Bound,
}

pub enum RuleValue {
    Declared { decl: Arc<ast::RuleDecl>, env: Env, args: Bound, settings: Bound },
    /// The first rule's step is the second's gradient.
    Chain(Vec<Arc<RuleValue>>),
    /// `… |> project`
    Project,
}

pub struct MethodValue {
    pub decl: Arc<ast::MethodDecl>,
    pub env: Env,
    pub args: Bound,
}

pub struct ProblemDeclValue {
    pub decl: Arc<ast::ProblemDecl>,
    pub env: Env,
}

/// `stop calm = …`: evaluated where the solve's quantities are known.
pub struct StopValue {
    pub name: Arc<str>,
    pub body: ast::Expr,
    pub env: Env,
}

/// `minibatch(D, k)`: k rows of every array in D, drawn afresh at every step.
pub struct Minibatch {
    pub data: Value,
    pub size: Num,
}

impl Value {
    /// Is it a function of a script with a parameter of that name?
    pub fn has_parameter(&self, name: &str) -> bool {
        let Value::Fn(f) = self else { return false };
        matches!(&**f, Function::Closure { params, .. } if params.iter().any(|p| &*p.name.name == name))
    }

    pub fn list(items: Vec<Value>) -> Value {
        Value::List(Arc::new(items))
    }

    pub fn record(fields: Fields) -> Value {
        Value::Record(Arc::new(fields))
    }

    pub fn native(
        name: impl Into<Arc<str>>,
        call: impl Fn(&mut Interp<'_>, &[CallArg], Span) -> Eval<Value> + Send + Sync + 'static,
    ) -> Value {
        Value::Fn(Arc::new(Function::Native { name: name.into(), call: Box::new(call) }))
    }

    pub fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Record(f) => f.iter().find(|(n, _)| &**n == name).map(|(_, v)| v),
            Value::Typed(t) => t.value.field(name),
            _ => None,
        }
    }

    /// What kind of thing it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Num(_) => "a number or array",
            Value::Str(_) => "a string",
            Value::Record(_) | Value::Typed(_) => "a record",
            Value::List(_) => "a list",
            Value::Fn(_) => "a function",
            Value::Set(_) => "a set",
            Value::Term(_) | Value::Prox(_) => "a term",
            Value::Type(_) => "a type",
            Value::Rule(_) => "a rule",
            Value::Method(_) => "a method",
            Value::Problem(_) | Value::ProblemDecl(_) => "a problem",
            Value::StopTest(_) => "a stopping test",
            Value::Minibatch(_) => "a minibatch",
            Value::Dist(d) => d.kind(),
            Value::DistDecl(d) => d.kind(),
            Value::Symbol(_) => "a word",
            Value::Module(_) => "a module",
            Value::Poison => "a value that failed",
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Num(n) => write!(f, "%{}", n.id.0),
            Value::Str(s) => write!(f, "{s:?}"),
            Value::Record(r) => f.debug_map().entries(r.iter().map(|(k, v)| (k, v))).finish(),
            Value::List(l) => f.debug_list().entries(l.iter()).finish(),
            other => f.write_str(other.kind()),
        }
    }
}
