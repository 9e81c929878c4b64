//! Copying, comparing and showing of trees that may be thousands of levels deep: the same as the derived traits, but on
//! a stack that grows. Dropping needs no such care, its frames are small (see `parser::MOST_LEVELS`).

use crate::ast::{Expr, TypeExpr};
use std::fmt;

fn grow<T>(run: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, run)
}

macro_rules! deep {
    ($node:ident) => {
        impl Clone for $node {
            fn clone(&self) -> Self {
                grow(|| $node { kind: self.kind.clone(), span: self.span })
            }
        }

        impl PartialEq for $node {
            fn eq(&self, other: &Self) -> bool {
                self.span == other.span && grow(|| self.kind == other.kind)
            }
        }

        impl fmt::Debug for $node {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                grow(|| f.debug_struct(stringify!($node)).field("kind", &self.kind).field("span", &self.span).finish())
            }
        }
    };
}

deep!(Expr);
deep!(TypeExpr);
