//! What happened, as far as a proof needs to know: which forms were looked at, which were made, what was found equal.
//!
//! Nothing is recorded unless a proof is asked for.

use crate::sea::{Kids, Sop};
use crate::space::Term;
use egg::Id;
use std::sync::Arc;

/// A form of a class, by the ids of the time.
#[derive(Clone, Debug)]
pub struct Form {
    pub id: Id,
    pub op: Sop,
    pub kids: Kids,
}

/// What a rule went by.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The form it matched.
    pub top: Form,
    /// Forms of operands, and of their operands.
    pub used: Vec<Form>,
    /// What a law's variables stand for.
    pub variables: Vec<(Arc<str>, Id)>,
}

#[derive(Clone, Debug)]
pub enum Event {
    /// `raw` and the class `to` are equal by normal forms.
    Normal { raw: Term, used: Vec<Form>, made: Vec<Form>, to: Id },
    /// The matched form and `new` are equal by a rule.
    Rule { name: Arc<str>, seen: Seen, new: Term },
}

#[derive(Clone, Debug, Default)]
pub struct Record {
    pub used: Vec<Form>,
    pub made: Vec<Form>,
    pub events: Vec<Event>,
}

/// How far the record was.
pub struct Mark {
    used: usize,
    made: usize,
}

impl Record {
    pub fn mark(&self) -> Mark {
        Mark { used: self.used.len(), made: self.made.len() }
    }

    pub fn normal(&mut self, mark: Mark, raw: Term, to: Id) {
        let used = self.used.split_off(mark.used.min(self.used.len()));
        let made = self.made.split_off(mark.made.min(self.made.len()));
        // A node that was added as it is says nothing.
        let plain = used.is_empty()
            && made.len() == 1
            && made.iter().all(|m| {
                matches!(&raw, Term::Node(op, kids) if m.id == to && *op == m.op && kids.len() == m.kids.len()
                    && kids.iter().zip(&m.kids).all(|(k, j)| matches!(k, Term::At(i) if i == j)))
            });
        if !plain {
            self.events.push(Event::Normal { raw, used, made, to });
        }
    }

    pub fn applied(&mut self, name: Arc<str>, seen: Seen, new: Term) {
        self.events.push(Event::Rule { name, seen, new });
    }
}
