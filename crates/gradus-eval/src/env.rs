//! Scopes: an immutable chain of local bindings that ends in a module.

use crate::value::Value;
use std::sync::Arc;

/// Local names, innermost first, and the module whose names come after them.
#[derive(Clone)]
pub struct Env {
    pub module: usize,
    head: Option<Arc<Binding>>,
}

struct Binding {
    name: Arc<str>,
    value: Value,
    next: Option<Arc<Binding>>,
}

impl Env {
    pub fn module(module: usize) -> Env {
        Env { module, head: None }
    }

    pub fn is_top(&self) -> bool {
        self.head.is_none()
    }

    #[must_use]
    pub fn bind(&self, name: impl Into<Arc<str>>, value: Value) -> Env {
        Env { module: self.module, head: Some(Arc::new(Binding { name: name.into(), value, next: self.head.clone() })) }
    }

    /// All local bindings, outermost first.
    pub fn locals(&self) -> Vec<(Arc<str>, Value)> {
        let mut out = Vec::new();
        let mut at = self.head.as_deref();
        while let Some(b) = at {
            out.push((b.name.clone(), b.value.clone()));
            at = b.next.as_deref();
        }
        out.reverse();
        out
    }

    pub fn local(&self, name: &str) -> Option<&Value> {
        let mut at = self.head.as_deref();
        while let Some(b) = at {
            if &*b.name == name {
                return Some(&b.value);
            }
            at = b.next.as_deref();
        }
        None
    }
}
