//! The gates of a constraint system as one list of operations, each equal part computed once.

use halo2_proofs::{
    halo2curves::bn256::Fr,
    plonk::{ConstraintSystem, Expression},
    poly::Rotation,
};
use std::{cell::RefCell, collections::HashMap};

type NodeId = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    Constant(Fr),
    Fixed(usize),
    Advice(usize),
    Instance(usize),
    Challenge(usize),
    Negated(NodeId),
    Sum(NodeId, NodeId),
    Product(NodeId, NodeId),
    Scaled(NodeId, Fr),
}

/// Gates, compiled. An operation reads only what lies before it.
#[derive(Debug, Clone)]
pub(crate) struct Gates {
    nodes: Vec<Node>,
    /// One for each polynomial that must vanish on all rows, in the order of the constraint system.
    roots: Vec<NodeId>,
}

/// The values that gates read at one point.
pub(super) struct Values<'a> {
    /// By fixed query.
    pub fixed: &'a [Fr],
    /// By advice query.
    pub advice: &'a [Fr],
    /// By instance query.
    pub instance: &'a [Fr],
    /// By number of the challenge.
    pub challenges: &'a [Fr],
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    known: HashMap<Node, NodeId>,
}

impl Builder {
    fn add(&mut self, node: Node) -> NodeId {
        *self.known.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }
}

impl Gates {
    /// Compiles the gates. `None` when one of them reads a selector, or a query without a number.
    pub(crate) fn new(cs: &ConstraintSystem<Fr>) -> Option<Self> {
        let builder = RefCell::new(Builder::default());
        let queries = Queries::new(cs);
        let polynomials = cs.gates().iter().flat_map(|gate| gate.polynomials());
        let roots: Option<Vec<NodeId>> = polynomials.map(|p| compile(&builder, &queries, p)).collect();
        let nodes = builder.into_inner().nodes;
        Some(Self { nodes, roots: roots? })
    }

    /// The values of all polynomials. `None` when a query or challenge is missing.
    pub(super) fn evaluate(&self, values: &Values<'_>) -> Option<Vec<Fr>> {
        let mut results: Vec<Fr> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let at = |id: NodeId| results.get(id).copied();
            let result = match *node {
                Node::Constant(value) => value,
                Node::Fixed(query) => *values.fixed.get(query)?,
                Node::Advice(query) => *values.advice.get(query)?,
                Node::Instance(query) => *values.instance.get(query)?,
                Node::Challenge(index) => *values.challenges.get(index)?,
                Node::Negated(a) => -at(a)?,
                Node::Sum(a, b) => at(a)? + at(b)?,
                Node::Product(a, b) => at(a)? * at(b)?,
                Node::Scaled(a, factor) => at(a)? * factor,
            };
            results.push(result);
        }
        self.roots
            .iter()
            .map(|root| results.get(*root).copied())
            .collect()
    }
}

/// Position of each query, by column and rotation.
struct Queries([HashMap<(usize, i32), usize>; 3]);

impl Queries {
    fn new(cs: &ConstraintSystem<Fr>) -> Self {
        let fixed = cs.fixed_queries().iter().map(|(c, at)| (c.index(), at.0));
        let advice = cs.advice_queries().iter().map(|(c, at)| (c.index(), at.0));
        let instance = cs.instance_queries().iter().map(|(c, at)| (c.index(), at.0));
        let positions = |queries: Vec<(usize, i32)>| queries.into_iter().zip(0..).collect();
        Self([
            positions(fixed.collect()),
            positions(advice.collect()),
            positions(instance.collect()),
        ])
    }

    fn position(&self, kind: usize, column: usize, rotation: Rotation) -> Option<usize> {
        self.0[kind].get(&(column, rotation.0)).copied()
    }
}

fn compile(builder: &RefCell<Builder>, queries: &Queries, polynomial: &Expression<Fr>) -> Option<NodeId> {
    let add = |node: Node| builder.borrow_mut().add(node);
    let at = |kind, column, rotation| queries.position(kind, column, rotation);
    polynomial.evaluate::<Option<NodeId>>(
        &|constant| Some(add(Node::Constant(constant))),
        &|_| None,
        &|q| at(0, q.column_index(), q.rotation()).map(|q| add(Node::Fixed(q))),
        &|q| at(1, q.column_index(), q.rotation()).map(|q| add(Node::Advice(q))),
        &|q| at(2, q.column_index(), q.rotation()).map(|q| add(Node::Instance(q))),
        &|challenge| Some(add(Node::Challenge(challenge.index()))),
        &|a| Some(add(Node::Negated(a?))),
        &|a, b| Some(add(Node::Sum(a?, b?))),
        &|a, b| Some(add(Node::Product(a?, b?))),
        &|a, factor| Some(add(Node::Scaled(a?, factor))),
    )
}
