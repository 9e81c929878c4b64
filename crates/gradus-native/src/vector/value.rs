//! Straight-line programs over the elements at hand, written as arithmetic on values.

use super::encode::Level;
use crate::host::Float;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Shl, Shr, Sub};

pub(super) type Id = u32;

/// Operations with one instruction in every vector width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Two {
    Add,
    Sub,
    Mul,
    Div,
    /// The second operand unless the first is smaller (larger).
    Lesser,
    Greater,
    And,
    Or,
    Xor,
    /// Of whole numbers as wide as an element.
    AddBits,
    /// The first times two to the power of the second, a whole number, rounded once; AVX-512 only.
    Scale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum One {
    Sqrt,
    Floor,
    Ceil,
    Even,
    Truncate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Test {
    Equal,
    /// Also where one is NaN.
    Different,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Unordered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    /// The element at hand of the array at an address of the table.
    Load(u16),
    /// The number at an address of the table.
    Splat(u16),
    /// The bits of a number, at single precision twice.
    Const(u64),
    Two(Two, Id, Id),
    One(One, Id),
    ShiftLeft(Id, u8),
    ShiftRight(Id, u8),
    /// All bits of the element or none.
    Test(Test, Id, Id),
    /// The second where the first has all bits, else the third.
    Select(Id, Id, Id),
}

impl Node {
    pub(super) fn operands(&self) -> ([Id; 3], usize) {
        match *self {
            Node::Load(_) | Node::Splat(_) | Node::Const(_) => ([0; 3], 0),
            Node::One(_, a) | Node::ShiftLeft(a, _) | Node::ShiftRight(a, _) => ([a, 0, 0], 1),
            Node::Two(_, a, b) | Node::Test(_, a, b) => ([a, b, 0], 2),
            Node::Select(a, b, c) => ([a, b, c], 3),
        }
    }
}

/// A program under construction. The same operation on the same operands is done once.
pub struct Program {
    pub(super) float: Float,
    level: Level,
    pub(super) nodes: RefCell<Vec<Node>>,
    seen: RefCell<HashMap<Node, Id>>,
}

impl Program {
    pub fn new(float: Float, level: Level) -> Program {
        Program { float, level, nodes: RefCell::new(Vec::new()), seen: RefCell::new(HashMap::new()) }
    }

    /// Operations so far.
    pub fn len(&self) -> usize {
        self.nodes.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn node(&self, n: Node) -> Id {
        *self.seen.borrow_mut().entry(n).or_insert_with(|| {
            let mut nodes = self.nodes.borrow_mut();
            nodes.push(n);
            nodes.len() as Id - 1
        })
    }

    fn value(&self, n: Node) -> Value<'_> {
        Value { program: self, id: self.node(n) }
    }

    /// The elements of the array whose address stands at this place of the table.
    pub fn load(&self, k: u16) -> Value<'_> {
        self.value(Node::Load(k))
    }

    /// The number at the address that stands at this place of the table, for all elements.
    pub fn splat(&self, k: u16) -> Value<'_> {
        self.value(Node::Splat(k))
    }

    pub fn number(&self, x: f64) -> Value<'_> {
        self.constant(match self.float {
            Float::F32 => u64::from((x as f32).to_bits()),
            Float::F64 => x.to_bits(),
        })
    }

    fn constant(&self, bits: u64) -> Value<'_> {
        self.value(Node::Const(match self.float {
            Float::F32 => bits << 32 | bits & 0xffff_ffff,
            Float::F64 => bits,
        }))
    }

    fn sign(&self) -> Value<'_> {
        self.number(-0.0)
    }
}

/// A number for each element.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    program: &'a Program,
    pub(super) id: Id,
}

/// A truth for each element.
#[derive(Clone, Copy)]
pub struct Mask<'a>(Value<'a>);

/// The bits of each element.
#[derive(Clone, Copy)]
pub struct Bits<'a>(Value<'a>);

/// What can stand where a value is expected.
pub trait Operand<'a> {
    fn value(self, program: &'a Program) -> Value<'a>;
}

impl<'a> Operand<'a> for Value<'a> {
    fn value(self, _: &'a Program) -> Value<'a> {
        self
    }
}

impl<'a> Operand<'a> for f64 {
    fn value(self, program: &'a Program) -> Value<'a> {
        program.number(self)
    }
}

impl<'a> Operand<'a> for f32 {
    fn value(self, program: &'a Program) -> Value<'a> {
        program.number(f64::from(self))
    }
}

macro_rules! arithmetic {
    ($($trait:ident $method:ident $op:ident),*) => {
        $(
            impl<'a, O: Operand<'a>> $trait<O> for Value<'a> {
                type Output = Value<'a>;
                fn $method(self, other: O) -> Value<'a> {
                    let other = other.value(self.program);
                    self.two(Two::$op, other)
                }
            }
            impl<'a> $trait<Value<'a>> for f64 {
                type Output = Value<'a>;
                fn $method(self, other: Value<'a>) -> Value<'a> {
                    other.program.number(self).two(Two::$op, other)
                }
            }
        )*
    };
}

arithmetic!(Add add Add, Sub sub Sub, Mul mul Mul, Div div Div);

impl<'a> Neg for Value<'a> {
    type Output = Value<'a>;
    fn neg(self) -> Value<'a> {
        self.two(Two::Xor, self.program.sign())
    }
}

impl<'a> Value<'a> {
    fn make(self, n: Node) -> Value<'a> {
        self.program.value(n)
    }

    fn two(self, op: Two, other: Value<'a>) -> Value<'a> {
        // Nothing less nothing: the only operation that never changes a bit.
        if op == Two::Sub && other.bits() == Some(0) {
            return self;
        }
        self.make(Node::Two(op, self.id, other.id))
    }

    /// The bits of a constant, at single precision twice.
    pub(super) fn bits(self) -> Option<u64> {
        match self.program.nodes.borrow()[self.id as usize] {
            Node::Const(bits) => Some(bits),
            _ => None,
        }
    }

    fn one(self, op: One) -> Value<'a> {
        self.make(Node::One(op, self.id))
    }

    fn test(self, t: Test, other: impl Operand<'a>) -> Mask<'a> {
        let other = other.value(self.program);
        Mask(self.make(Node::Test(t, self.id, other.id)))
    }

    /// The same number for all elements.
    pub fn number(self, x: impl Operand<'a>) -> Value<'a> {
        x.value(self.program)
    }

    pub fn sqrt(self) -> Value<'a> {
        self.one(One::Sqrt)
    }
    pub fn floor(self) -> Value<'a> {
        self.one(One::Floor)
    }
    pub fn ceil(self) -> Value<'a> {
        self.one(One::Ceil)
    }
    pub fn round_ties_even(self) -> Value<'a> {
        self.one(One::Even)
    }
    pub fn trunc(self) -> Value<'a> {
        self.one(One::Truncate)
    }

    pub fn abs(self) -> Value<'a> {
        let all_but_the_sign = match self.program.float {
            Float::F32 => u64::MAX >> 33,
            Float::F64 => u64::MAX >> 1,
        };
        self.two(Two::And, self.program.constant(all_but_the_sign))
    }

    pub fn copysign(self, sign: Value<'a>) -> Value<'a> {
        self.abs().two(Two::Or, sign.two(Two::And, self.program.sign()))
    }

    /// `self * 2^k` for a whole number `k`, rounded once, where there is an instruction for it.
    pub fn scaled(self, k: Value<'a>) -> Option<Value<'a>> {
        (self.program.level == Level::Avx512).then(|| self.two(Two::Scale, k))
    }

    /// The larger one, the second where none is or one is NaN: `if self > b { self } else { b }`.
    pub fn greater_of(self, b: impl Operand<'a>) -> Value<'a> {
        self.two(Two::Greater, b.value(self.program))
    }

    pub fn lesser_of(self, b: impl Operand<'a>) -> Value<'a> {
        self.two(Two::Lesser, b.value(self.program))
    }

    pub fn to_bits(self) -> Bits<'a> {
        Bits(self)
    }
    pub fn from_bits(b: Bits<'a>) -> Value<'a> {
        b.0
    }

    pub fn equals(self, b: impl Operand<'a>) -> Mask<'a> {
        self.test(Test::Equal, b)
    }
    pub fn differs(self, b: impl Operand<'a>) -> Mask<'a> {
        self.test(Test::Different, b)
    }
    pub fn below(self, b: impl Operand<'a>) -> Mask<'a> {
        self.test(Test::Less, b)
    }
    pub fn at_most(self, b: impl Operand<'a>) -> Mask<'a> {
        self.test(Test::LessOrEqual, b)
    }
    pub fn above(self, b: impl Operand<'a>) -> Mask<'a> {
        self.test(Test::Greater, b)
    }
    pub fn at_least(self, b: impl Operand<'a>) -> Mask<'a> {
        self.test(Test::GreaterOrEqual, b)
    }
    pub fn is_nan(self) -> Mask<'a> {
        self.test(Test::Unordered, self)
    }
}

impl<'a> Mask<'a> {
    /// `x` where it holds, `y` elsewhere.
    pub fn select(self, x: impl Operand<'a>, y: impl Operand<'a>) -> Value<'a> {
        let p = self.0.program;
        let (x, y) = (x.value(p), y.value(p));
        if x.id == y.id {
            return x;
        }
        // What keeps a number on one side of a bound is one instruction, with the same choice at zeros and NaN.
        let test = p.nodes.borrow()[self.0.id as usize];
        match test {
            Node::Test(Test::Greater, a, b) if a == y.id && b == x.id => x.two(Two::Lesser, y),
            Node::Test(Test::Greater, a, b) if a == x.id && b == y.id => x.two(Two::Greater, y),
            Node::Test(Test::Less, a, b) if a == y.id && b == x.id => x.two(Two::Greater, y),
            Node::Test(Test::Less, a, b) if a == x.id && b == y.id => x.two(Two::Lesser, y),
            _ => x.make(Node::Select(self.0.id, x.id, y.id)),
        }
    }
}

impl<'a> BitAnd for Mask<'a> {
    type Output = Mask<'a>;
    fn bitand(self, b: Mask<'a>) -> Mask<'a> {
        Mask(self.0.two(Two::And, b.0))
    }
}

impl<'a> BitOr for Mask<'a> {
    type Output = Mask<'a>;
    fn bitor(self, b: Mask<'a>) -> Mask<'a> {
        Mask(self.0.two(Two::Or, b.0))
    }
}

impl<'a> Not for Mask<'a> {
    type Output = Mask<'a>;
    fn not(self) -> Mask<'a> {
        Mask(self.0.two(Two::Xor, self.0.program.constant(u64::MAX)))
    }
}

impl<'a> Bits<'a> {
    fn with(self, op: Two, bits: u64) -> Bits<'a> {
        Bits(self.0.two(op, self.0.program.constant(bits)))
    }

    pub fn wrapping_add(self, bits: impl Into<u64>) -> Bits<'a> {
        self.with(Two::AddBits, bits.into())
    }
}

impl<'a> Shl<u32> for Bits<'a> {
    type Output = Bits<'a>;
    fn shl(self, by: u32) -> Bits<'a> {
        Bits(self.0.make(Node::ShiftLeft(self.0.id, by as u8)))
    }
}

impl<'a> Shr<u32> for Bits<'a> {
    type Output = Bits<'a>;
    fn shr(self, by: u32) -> Bits<'a> {
        Bits(self.0.make(Node::ShiftRight(self.0.id, by as u8)))
    }
}

impl<'a, B: Into<u64>> BitAnd<B> for Bits<'a> {
    type Output = Bits<'a>;
    fn bitand(self, bits: B) -> Bits<'a> {
        self.with(Two::And, bits.into())
    }
}

impl<'a, B: Into<u64>> BitOr<B> for Bits<'a> {
    type Output = Bits<'a>;
    fn bitor(self, bits: B) -> Bits<'a> {
        self.with(Two::Or, bits.into())
    }
}
