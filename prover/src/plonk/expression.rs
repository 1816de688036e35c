//! Gate expressions with all challenges known, as a graph in which equal parts are one node.
//!
//! Sums are flattened into linear forms and factors that do not depend on the row become coefficients, so that a power
//! of a challenge is computed once for a proof and not once for a row.

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::Expression;
use std::collections::HashMap;

/// A polynomial that expressions read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Column {
    /// Fixed column.
    Fixed(usize),
    /// Advice column.
    Advice(usize),
    /// Instance column.
    Instance(usize),
    /// Polynomial of the permutation argument, or X itself; numbered by the caller.
    Extra(usize),
    /// Combination of columns, in the order of [`super::program::Program::combined`].
    Combined(usize),
}

/// Index of a node.
pub(super) type NodeId = usize;

/// A part of an expression.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Node {
    /// A column at a rotation.
    Column(Column, i32),
    /// `constant + sum coefficient * node`, nodes ascending, coefficients not zero.
    Linear(Linear),
    /// Product of two nodes, the smaller one first.
    Product(NodeId, NodeId),
}

/// A linear form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Linear {
    /// Term of degree 0.
    pub constant: Fr,
    /// Nodes with their coefficients.
    pub terms: Vec<(NodeId, Fr)>,
}

impl Linear {
    /// A constant.
    pub fn constant(constant: Fr) -> Self {
        Self {
            constant,
            terms: Vec::new(),
        }
    }

    /// One node.
    pub fn node(id: NodeId) -> Self {
        Self {
            constant: Fr::ZERO,
            terms: vec![(id, Fr::ONE)],
        }
    }

    /// The form times a constant.
    pub fn scaled(mut self, factor: Fr) -> Self {
        if factor == Fr::ZERO {
            return Self::default();
        }
        self.constant *= factor;
        self.terms.iter_mut().for_each(|(_, c)| *c *= factor);
        self
    }

    /// Sum of two forms.
    pub fn plus(self, other: &Self) -> Self {
        let constant = self.constant + other.constant;
        let mut terms = Vec::with_capacity(self.terms.len() + other.terms.len());
        let (mut a, mut b) = (self.terms.into_iter().peekable(), other.terms.iter().peekable());
        loop {
            let order = match (a.peek(), b.peek()) {
                (Some(x), Some(y)) => x.0.cmp(&y.0),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => break,
            };
            match order {
                std::cmp::Ordering::Less => terms.extend(a.next()),
                std::cmp::Ordering::Greater => terms.extend(b.next().copied()),
                std::cmp::Ordering::Equal => {
                    if let (Some((id, x)), Some((_, y))) = (a.next(), b.next())
                        && x + y != Fr::ZERO
                    {
                        terms.push((id, x + y));
                    }
                }
            }
        }
        Self { constant, terms }
    }
}

/// All nodes of a set of expressions.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Operands come before their users.
    pub nodes: Vec<Node>,
    index: HashMap<Node, NodeId>,
}

impl Graph {
    /// The node's id; equal nodes have one.
    pub fn intern(&mut self, node: Node) -> NodeId {
        if let Some(id) = self.index.get(&node) {
            return *id;
        }
        let id = self.nodes.len();
        self.nodes.push(node.clone());
        self.index.insert(node, id);
        id
    }

    /// A column at a rotation.
    pub fn column(&mut self, column: Column, rotation: i32) -> Linear {
        Linear::node(self.intern(Node::Column(column, rotation)))
    }

    /// A form as one node.
    pub fn close(&mut self, form: Linear) -> NodeId {
        match form.terms[..] {
            [(id, c)] if c == Fr::ONE && form.constant == Fr::ZERO => id,
            _ => self.intern(Node::Linear(form)),
        }
    }

    /// Product of two forms.
    pub fn product(&mut self, a: Linear, b: Linear) -> Linear {
        if a.terms.is_empty() {
            return b.scaled(a.constant);
        }
        if b.terms.is_empty() {
            return a.scaled(b.constant);
        }
        let (a, scale_a) = unit(a);
        let (b, scale_b) = unit(b);
        let (a, b) = (self.close(a), self.close(b));
        let id = self.intern(Node::Product(a.min(b), a.max(b)));
        Linear::node(id).scaled(scale_a * scale_b)
    }

    /// An expression of a constraint system without selectors.
    pub fn expression(&mut self, expression: &Expression<Fr>, challenges: &[Fr]) -> Linear {
        match expression {
            Expression::Constant(c) => Linear::constant(*c),
            Expression::Fixed(q) => self.column(Column::Fixed(q.column_index()), q.rotation().0),
            Expression::Advice(q) => self.column(Column::Advice(q.column_index()), q.rotation().0),
            Expression::Instance(q) => self.column(Column::Instance(q.column_index()), q.rotation().0),
            Expression::Challenge(c) => {
                Linear::constant(challenges.get(c.index()).copied().unwrap_or_default())
            }
            Expression::Negated(e) => self.expression(e, challenges).scaled(-Fr::ONE),
            Expression::Sum(a, b) => {
                let a = self.expression(a, challenges);
                a.plus(&self.expression(b, challenges))
            }
            Expression::Product(a, b) => {
                let a = self.expression(a, challenges);
                let b = self.expression(b, challenges);
                self.product(a, b)
            }
            Expression::Scaled(e, c) => self.expression(e, challenges).scaled(*c),
            // Key generation turns selectors into fixed columns; the circuit has none.
            Expression::Selector(_) => Linear::default(),
        }
    }
}

/// A single term without constant as the bare node and its coefficient, so that `2 a` and `a` share the node `a`.
fn unit(form: Linear) -> (Linear, Fr) {
    match form.terms[..] {
        [(id, c)] if form.constant == Fr::ZERO => (Linear::node(id), c),
        _ => (form, Fr::ONE),
    }
}
