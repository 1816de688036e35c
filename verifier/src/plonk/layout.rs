//! What a proof under a constraint system holds, and in which order it is opened.

use super::permutation::Permutation;
use halo2_proofs::{halo2curves::bn256::Fr, plonk::ConstraintSystem, poly::Rotation};

/// A polynomial that is opened, by its commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commitment {
    /// A fixed column of the key.
    Fixed(usize),
    /// A column of the key's permutation.
    Sigma(usize),
    /// A point of the proof.
    Proof(usize),
    /// The quotient: its pieces, combined by powers of `x^n`.
    Quotient,
}

/// Polynomials that are opened at the same rotations, in the order of their first queries.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    /// Ascending.
    pub rotations: Vec<i32>,
    pub members: Vec<Member>,
}

/// A polynomial of a set.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub commitment: Commitment,
    /// By rotation of the set: the number of the query.
    pub queries: Vec<usize>,
}

/// Points, evaluations and queries of every proof under a constraint system.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub permutation: Permutation,
    /// First point of the permutation's products.
    pub products: usize,
    /// Points of the quotient's pieces.
    pub quotient: std::ops::Range<usize>,
    /// Scalars that the proof states before its openings.
    pub num_scalars: usize,
    /// In the order in which the openings combine them.
    pub queries: Vec<(Commitment, i32)>,
    /// The rotations that occur, ascending.
    pub rotations: Vec<i32>,
    pub sets: Vec<Set>,
}

impl Layout {
    /// `None` where [`Permutation::new`] gives none, or where something would be opened twice at one rotation.
    pub(crate) fn new(cs: &ConstraintSystem<Fr>) -> Option<Self> {
        let permutation = Permutation::new(cs)?;
        let phases = cs.advice_column_phase();
        let mut order: Vec<usize> = (0..phases.len()).collect();
        order.sort_by_key(|column| phases[*column]);
        let mut advice = vec![0; phases.len()];
        for (point, column) in order.into_iter().enumerate() {
            advice[column] = point;
        }
        let products = advice.len();
        let random = products + permutation.num_sets();
        let quotient = random + 1..random + cs.degree();
        let queries = queries(cs, &advice, &permutation, [products, random]);
        let mut rotations: Vec<i32> = queries.iter().map(|(_, rotation)| *rotation).collect();
        rotations.sort_unstable();
        rotations.dedup();
        // All but the quotient's value, which the verifier computes.
        let num_scalars = queries.len() - 1;
        let sets = sets(&queries);
        let once = |set: &Set| set.rotations.windows(2).all(|pair| pair[0] < pair[1]);
        if !sets.iter().all(once) {
            return None;
        }
        Some(Self {
            permutation,
            products,
            quotient,
            num_scalars,
            queries,
            rotations,
            sets,
        })
    }

    /// Points that a proof holds before its openings.
    pub(crate) fn num_points(&self) -> usize {
        self.quotient.end
    }
}

fn queries(
    cs: &ConstraintSystem<Fr>,
    advice: &[usize],
    permutation: &Permutation,
    [products, random]: [usize; 2],
) -> Vec<(Commitment, i32)> {
    let here = Rotation::cur().0;
    let advice = cs
        .advice_queries()
        .iter()
        .map(|(column, at)| (Commitment::Proof(advice[column.index()]), at.0));
    let openings = permutation.openings().into_iter();
    let products = openings.map(|(set, at)| (Commitment::Proof(products + set), at));
    let fixed = cs
        .fixed_queries()
        .iter()
        .map(|(column, at)| (Commitment::Fixed(column.index()), at.0));
    let sigmas = (0..permutation.num_columns()).map(|i| (Commitment::Sigma(i), here));
    let last = [(Commitment::Quotient, here), (Commitment::Proof(random), here)];
    advice
        .chain(products)
        .chain(fixed)
        .chain(sigmas)
        .chain(last)
        .collect()
}

fn sets(queries: &[(Commitment, i32)]) -> Vec<Set> {
    // Polynomials in the order of their first queries, with rotations and numbers of all of them.
    let mut polynomials: Vec<(Commitment, Vec<(i32, usize)>)> = Vec::new();
    for (number, (commitment, rotation)) in queries.iter().enumerate() {
        match polynomials.iter_mut().find(|(c, _)| c == commitment) {
            Some((_, at)) => at.push((*rotation, number)),
            None => polynomials.push((*commitment, vec![(*rotation, number)])),
        }
    }
    let mut sets: Vec<Set> = Vec::new();
    for (commitment, mut at) in polynomials {
        at.sort_unstable();
        let (rotations, queries): (Vec<i32>, Vec<usize>) = at.into_iter().unzip();
        let member = Member { commitment, queries };
        match sets.iter_mut().find(|set| set.rotations == rotations) {
            Some(set) => set.members.push(member),
            None => sets.push(Set {
                rotations,
                members: vec![member],
            }),
        }
    }
    sets
}
