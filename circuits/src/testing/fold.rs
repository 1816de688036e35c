//! Constraints with the challenges put in and constants folded, so that a row is evaluated quickly.

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::Expression;

/// A cell of the current row or of one beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// Fixed column.
    Fixed(usize),
    /// Advice column.
    Advice(usize),
    /// The instance column.
    Instance,
}

/// A folded expression.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Constant(Fr),
    Cell(Cell, i32),
    Sum(Box<Node>, Box<Node>),
    Product(Box<Node>, Box<Node>),
}

fn sum(x: Node, y: Node) -> Node {
    match (x, y) {
        (Node::Constant(x), Node::Constant(y)) => Node::Constant(x + y),
        (Node::Constant(c), other) | (other, Node::Constant(c)) if c == Fr::ZERO => other,
        (x, y) => Node::Sum(Box::new(x), Box::new(y)),
    }
}

fn product(x: Node, y: Node) -> Node {
    match (x, y) {
        (Node::Constant(x), Node::Constant(y)) => Node::Constant(x * y),
        (Node::Constant(c), _) | (_, Node::Constant(c)) if c == Fr::ZERO => Node::Constant(c),
        (Node::Constant(c), other) | (other, Node::Constant(c)) if c == Fr::ONE => other,
        (x, y) => Node::Product(Box::new(x), Box::new(y)),
    }
}

/// Puts the challenges into an expression.
pub(super) fn fold(poly: &Expression<Fr>, challenges: &[Fr]) -> Node {
    poly.evaluate(
        &Node::Constant,
        &|_| Node::Constant(Fr::ZERO),
        &|q| Node::Cell(Cell::Fixed(q.column_index()), q.rotation().0),
        &|q| Node::Cell(Cell::Advice(q.column_index()), q.rotation().0),
        &|q| Node::Cell(Cell::Instance, q.rotation().0),
        &|c| Node::Constant(challenges[c.index()]),
        &|x| product(Node::Constant(-Fr::ONE), x),
        &sum,
        &product,
        &|x, s| product(Node::Constant(s), x),
    )
}

impl Node {
    /// The value where `read` gives the cells.
    pub fn evaluate(&self, read: &impl Fn(Cell, i32) -> Fr) -> Fr {
        match self {
            Self::Constant(c) => *c,
            Self::Cell(cell, rotation) => read(*cell, *rotation),
            Self::Sum(x, y) => x.evaluate(read) + y.evaluate(read),
            Self::Product(x, y) => {
                let x = x.evaluate(read);
                if x == Fr::ZERO { x } else { x * y.evaluate(read) }
            }
        }
    }

    /// All cells that are read.
    pub fn cells(&self, found: &mut Vec<(Cell, i32)>) {
        match self {
            Self::Constant(_) => {}
            Self::Cell(cell, rotation) => found.push((*cell, *rotation)),
            Self::Sum(x, y) | Self::Product(x, y) => {
                x.cells(found);
                y.cells(found);
            }
        }
    }
}
