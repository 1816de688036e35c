//! A linear form over a graph of expressions as a straight-line program over blocks of rows.

use super::expression::{Column, Graph, Linear, Node, NodeId};
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Rows of one register.
const BLOCK: usize = 32;

/// Where an operand lies.
#[derive(Debug, Clone, Copy)]
enum Operand {
    Register(usize),
    /// Position in [`Program::columns`], and rotation.
    Column(usize, i32),
}

/// One operation; registers are overwritten only after their last use.
#[derive(Debug)]
enum Step {
    Product {
        to: usize,
        operands: [Operand; 2],
    },
    Linear {
        to: usize,
        constant: Fr,
        /// Operands that are added as they are.
        plain: Vec<Operand>,
        /// Operands that are subtracted as they are.
        negated: Vec<Operand>,
        scaled: Vec<(Operand, Fr)>,
    },
}

/// Columns that occur nowhere but in one linear form, at rotation 0, are combined before they are transformed.
pub(super) type Combination = Vec<(Column, Fr)>;

/// A compiled form.
#[derive(Debug)]
pub(super) struct Program {
    /// Columns that the program reads.
    pub columns: Vec<Column>,
    /// Combinations behind [`Column::Combined`].
    pub combined: Vec<Combination>,
    /// Smallest and largest rotation.
    pub rotations: (i32, i32),
    steps: Vec<Step>,
    num_registers: usize,
    result: Operand,
}

impl Program {
    /// Compiles a form.
    pub fn new(mut graph: Graph, form: Linear) -> Self {
        let form = group_by_factor(&mut graph, form);
        let root = graph.close(form);
        let mut nodes = graph.nodes;
        let combined = combine(&mut nodes, root);
        let live = reachable(&nodes, root);
        let mut columns = BTreeSet::new();
        let mut rotations = (0, 0);
        for id in &live {
            if let Node::Column(column, rotation) = nodes[*id] {
                columns.insert(column);
                rotations = (rotations.0.min(rotation), rotations.1.max(rotation));
            }
        }
        let columns: Vec<Column> = columns.into_iter().collect();
        let (steps, num_registers, result) = schedule(&nodes, &live, root, &columns);
        Self {
            columns,
            combined,
            rotations,
            steps,
            num_registers,
            result,
        }
    }

    /// Products per row.
    pub fn num_products(&self) -> usize {
        let of = |step: &Step| match step {
            Step::Product { .. } => 1,
            Step::Linear { scaled, .. } => scaled.len(),
        };
        self.steps.iter().map(of).sum()
    }

    /// Registers of one worker.
    pub fn registers(&self) -> Registers {
        Registers(vec![[Fr::ZERO; BLOCK]; self.num_registers + 2])
    }

    /// Runs the program on the rows `first..first + out.len()`. `columns[i]` holds the values of
    /// [`Program::columns`]`[i]` from row `rotations.0` to row `n + rotations.1`, rows counted modulo n.
    pub fn run(&self, columns: &[Vec<Fr>], registers: &mut Registers, first: usize, out: &mut [Fr]) {
        for (i, part) in out.chunks_mut(BLOCK).enumerate() {
            self.block(columns, registers, first + i * BLOCK, part);
        }
    }

    fn block(&self, columns: &[Vec<Fr>], registers: &mut Registers, row: usize, out: &mut [Fr]) {
        let rows = out.len();
        let before = self.rotations.0;
        let at = |rotation: i32| row + rotation.abs_diff(before) as usize;
        for step in &self.steps {
            match step {
                Step::Product { to, operands } => {
                    let mut result = [Fr::ZERO; BLOCK];
                    let [a, b] = operands.map(|o| registers.read(o, columns, at, rows));
                    for ((r, a), b) in result.iter_mut().zip(a).zip(b) {
                        *r = a * b;
                    }
                    registers.0[*to] = result;
                }
                Step::Linear {
                    to,
                    constant,
                    plain,
                    negated,
                    scaled,
                } => {
                    let mut result = [*constant; BLOCK];
                    for operand in plain {
                        let values = registers.read(*operand, columns, at, rows);
                        result.iter_mut().zip(values).for_each(|(r, v)| *r += v);
                    }
                    for operand in negated {
                        let values = registers.read(*operand, columns, at, rows);
                        result.iter_mut().zip(values).for_each(|(r, v)| *r -= v);
                    }
                    for (operand, factor) in scaled {
                        let values = registers.read(*operand, columns, at, rows);
                        result.iter_mut().zip(values).for_each(|(r, v)| *r += v * factor);
                    }
                    registers.0[*to] = result;
                }
            }
        }
        out.copy_from_slice(registers.read(self.result, columns, at, rows));
    }
}

/// Intermediate values of one worker.
pub(super) struct Registers(Vec<[Fr; BLOCK]>);

impl Registers {
    fn read<'a>(
        &'a self,
        operand: Operand,
        columns: &'a [Vec<Fr>],
        at: impl Fn(i32) -> usize,
        rows: usize,
    ) -> &'a [Fr] {
        match operand {
            Operand::Register(r) => &self.0[r][..rows],
            Operand::Column(c, rotation) => &columns[c][at(rotation)..][..rows],
        }
    }
}

fn operands(node: &Node) -> Vec<NodeId> {
    match node {
        Node::Column(..) => Vec::new(),
        Node::Linear(form) => form.terms.iter().map(|t| t.0).collect(),
        Node::Product(a, b) => vec![*a, *b],
    }
}

/// The nodes that the root needs, operands first.
fn reachable(nodes: &[Node], root: NodeId) -> Vec<NodeId> {
    let mut needed = vec![false; nodes.len()];
    needed[root] = true;
    for id in (0..nodes.len()).rev().filter(|id| *id <= root) {
        if needed[id] {
            operands(&nodes[id]).into_iter().for_each(|o| needed[o] = true);
        }
    }
    (0..nodes.len()).filter(|id| needed[*id]).collect()
}

/// `sum c_i f p_i` as `f sum c_i p_i`, for the factors that are fixed columns.
fn group_by_factor(graph: &mut Graph, form: Linear) -> Linear {
    let mut groups: BTreeMap<NodeId, Linear> = BTreeMap::new();
    let mut rest = Linear::constant(form.constant);
    let is_fixed = |graph: &Graph, id: NodeId| matches!(graph.nodes[id], Node::Column(Column::Fixed(_), _));
    for (id, c) in form.terms {
        let split = match graph.nodes[id] {
            Node::Product(a, b) if is_fixed(graph, a) => Some((a, b)),
            Node::Product(a, b) if is_fixed(graph, b) => Some((b, a)),
            _ => None,
        };
        match split {
            Some((factor, other)) => {
                let term = Linear::node(other).scaled(c);
                let group = groups.entry(factor).or_default();
                *group = std::mem::take(group).plus(&term);
            }
            None => rest = rest.plus(&Linear::node(id).scaled(c)),
        }
    }
    for (factor, group) in groups {
        let product = graph.product(Linear::node(factor), group);
        rest = rest.plus(&product);
    }
    rest
}

/// Replaces the columns that only one linear form reads, at rotation 0 alone, by one combination per form.
fn combine(nodes: &mut Vec<Node>, root: NodeId) -> Vec<Combination> {
    let live = reachable(nodes, root);
    let mut users: HashMap<Column, BTreeSet<(NodeId, bool)>> = HashMap::new();
    for id in &live {
        for o in operands(&nodes[*id]) {
            if let Node::Column(column, rotation) = nodes[o] {
                let here = rotation == 0 && matches!(nodes[*id], Node::Linear(_));
                users.entry(column).or_default().insert((*id, here));
            }
        }
    }
    let alone =
        |column: Column, id: NodeId| users[&column].len() == 1 && users[&column].contains(&(id, true));
    let mut found: Vec<Combination> = Vec::new();
    for id in live {
        let Node::Linear(form) = &nodes[id] else { continue };
        let own = |(o, c): &(NodeId, Fr)| match nodes[*o] {
            Node::Column(column, _) if alone(column, id) => Some((column, *c)),
            _ => None,
        };
        let combination: Combination = form.terms.iter().filter_map(own).collect();
        if combination.len() < 2 {
            continue;
        }
        let mut kept = form.clone();
        kept.terms.retain(|t| own(t).is_none());
        // The node ids above the root are free: the combined column is appended and read by position.
        let leaf = nodes.len();
        nodes.push(Node::Column(Column::Combined(found.len()), 0));
        kept.terms.push((leaf, Fr::ONE));
        nodes[id] = Node::Linear(kept);
        found.push(combination);
    }
    found
}

/// Steps in the order of the nodes, with registers reused after the last use of what they hold.
fn schedule(
    nodes: &[Node],
    live: &[NodeId],
    root: NodeId,
    columns: &[Column],
) -> (Vec<Step>, usize, Operand) {
    let mut last_use: HashMap<NodeId, usize> = HashMap::new();
    for (position, id) in live.iter().enumerate() {
        operands(&nodes[*id]).into_iter().for_each(|o| {
            last_use.insert(o, position);
        });
    }
    last_use.insert(root, usize::MAX);
    let position: HashMap<Column, usize> = columns.iter().enumerate().map(|(i, c)| (*c, i)).collect();
    let mut place: HashMap<NodeId, Operand> = HashMap::new();
    let (mut free, mut num_registers) = (Vec::new(), 0);
    let mut steps = Vec::new();
    for (id, node) in nodes.iter().enumerate() {
        if let Node::Column(column, rotation) = node
            && let Some(at) = position.get(column)
        {
            place.insert(id, Operand::Column(*at, *rotation));
        }
    }
    for (now, id) in live.iter().enumerate() {
        let Some(form) = Computed::of(&nodes[*id]) else {
            continue;
        };
        let to = free.pop().unwrap_or_else(|| {
            num_registers += 1;
            num_registers - 1
        });
        steps.push(form.step(&place, to));
        place.insert(*id, Operand::Register(to));
        let mut ended: Vec<NodeId> = operands(&nodes[*id]);
        ended.dedup();
        for o in ended {
            if last_use.get(&o) == Some(&now)
                && let Some(Operand::Register(r)) = place.get(&o)
                && !free.contains(r)
            {
                free.push(*r);
            }
        }
    }
    let result = place.get(&root).copied().unwrap_or(Operand::Register(0));
    (steps, num_registers, result)
}

/// A node that takes a step: all but the columns.
enum Computed<'a> {
    Linear(&'a Linear),
    Product(NodeId, NodeId),
}

impl<'a> Computed<'a> {
    fn of(node: &'a Node) -> Option<Self> {
        match node {
            Node::Column(..) => None,
            Node::Linear(form) => Some(Self::Linear(form)),
            Node::Product(a, b) => Some(Self::Product(*a, *b)),
        }
    }

    fn step(&self, place: &HashMap<NodeId, Operand>, to: usize) -> Step {
        // Operands come before their users, so that each has a place.
        let at = |id: &NodeId| place.get(id).copied().unwrap_or(Operand::Register(0));
        let form = match self {
            Self::Linear(form) => form,
            Self::Product(a, b) => {
                let operands = [at(a), at(b)];
                return Step::Product { to, operands };
            }
        };
        let (mut plain, mut negated, mut scaled) = (Vec::new(), Vec::new(), Vec::new());
        for (id, c) in &form.terms {
            if *c == Fr::ONE {
                plain.push(at(id));
            } else if *c == -Fr::ONE {
                negated.push(at(id));
            } else {
                scaled.push((at(id), *c));
            }
        }
        Step::Linear {
            to,
            constant: form.constant,
            plain,
            negated,
            scaled,
        }
    }
}
